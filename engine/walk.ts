// The one backward walk. Autograd, relevance and LRP-Flex differ only in the step they take at each tensor.
import { ShapeError } from './errors.ts';
import { add } from './ops/arithmetic.ts';
import { formatShape, isSameShape } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** t and all that it was computed from, inputs before results: in the order of execution. */
export function ancestorsOf(t: Tensor): Tensor[] {
  const seen = new Set<Tensor>([t]);
  // A set is walked in the order of insertion, while it grows.
  for (const { origin } of seen) for (const input of origin?.inputs ?? []) seen.add(input);
  return [...seen].sort((a, b) => a.id - b.id);
}

/** How a signal crosses from a tensor to the tensors it was made of. */
export interface Step {
  readonly inputs: readonly Tensor[];
  /** The part of the tensor's signal that goes to input i; null if none does. */
  pull(signal: Tensor, index: number): Tensor | null;
}

/** What is carried where; see `walk`. */
export interface WalkOptions {
  /** Where the walk starts, with the signal there. */
  readonly output: Tensor;
  readonly seed: Tensor;
  /** Where signals are wanted. Only paths that lead to one of these are walked. */
  readonly targets: readonly Tensor[];
  /** How to go on from a tensor; null at leaves. Called once per tensor. */
  readonly stepOf: (t: Tensor) => Step | null;
  /** Watches signals come and go; `backward` frees memory with it. */
  readonly observer?: WalkObserver;
}

/** Told of every signal on a walk. */
export interface WalkObserver {
  /** Runs a pull or a sum. */
  run(compute: () => Tensor | null): Tensor | null;
  /** A tensor's signal has been passed on to all its inputs. */
  passed(t: Tensor, signal: Tensor, isTarget: boolean): void;
  /** A signal is wanted once more (+1) or once less (-1); at 0 nobody needs it. */
  count(signal: Tensor, change: 1 | -1): void;
}

interface Visit {
  readonly t: Tensor;
  readonly step: Step | null;
  next: number;
  leads: boolean;
}

/** Tensors that lie on a path from `output` to a target, consumers before producers, with their steps. */
function plan(options: WalkOptions): { order: Visit[]; leads: Map<Tensor, boolean> } {
  const { output, targets, stepOf } = options;
  const wanted = new Set(targets);
  const leads = new Map<Tensor, boolean>();
  const order: Visit[] = [];
  const visit = (t: Tensor): Visit => ({ t, step: stepOf(t), next: 0, leads: wanted.has(t) });
  // An explicit stack: networks are deeper than JavaScript's own.
  const stack = [visit(output)];
  leads.set(output, false);
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const input = top.step?.inputs[top.next];
    if (input) {
      const known = leads.get(input);
      if (known === undefined) {
        leads.set(input, false);
        stack.push(visit(input));
        continue;
      }
      top.leads ||= known;
      top.next++;
      continue;
    }
    stack.pop();
    leads.set(top.t, top.leads);
    if (top.leads) order.push(top);
  }
  return { order: order.reverse(), leads };
}

/** Carries `seed` from `output` back to the targets: signal(input_i) += step.pull(signal(output), i). */
export function walk(options: WalkOptions): Map<Tensor, Tensor> {
  const { output, seed, observer } = options;
  const run = observer ? observer.run.bind(observer) : (compute: () => Tensor | null) => compute();
  const wanted = new Set(options.targets);
  const { order, leads } = plan(options);
  const signals = new Map<Tensor, Tensor>([[output, seed]]);
  const found = new Map<Tensor, Tensor>();
  observer?.count(seed, 1);
  for (const { t, step } of order) {
    const signal = signals.get(t);
    if (!signal) continue;
    signals.delete(t);
    if (wanted.has(t)) found.set(t, signal);
    step?.inputs.forEach((input, i) => {
      if (!leads.get(input)) return;
      const part = run(() => step.pull(signal, i));
      if (!part) return;
      observer?.count(part, 1);
      const before = signals.get(input);
      if (!before) {
        signals.set(input, part);
        return;
      }
      const sum = run(() => add(before, part)) as Tensor;
      observer?.count(sum, 1);
      observer?.count(before, -1);
      observer?.count(part, -1);
      signals.set(input, sum);
    });
    observer?.passed(t, signal, wanted.has(t));
  }
  return found;
}

/** Throws ShapeError unless the seed has the shape of the output it is a signal for. */
export function checkSeed(where: string, output: Tensor, seed: Tensor): void {
  if (!isSameShape(output.shape, seed.shape)) {
    throw new ShapeError(
      `${where}: the seed is ${formatShape(seed.shape)} and the output ${formatShape(output.shape)}; they must be equal`,
    );
  }
}
