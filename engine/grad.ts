// Derivatives. `adjoint` is a computation like any other and can be differentiated again; `backward` ends a step.
import { constant } from './create.ts';
import { ShapeError } from './errors.ts';
import { expand } from './ops/broadcast.ts';
import { scope, withoutRecording } from './scope.ts';
import { formatShape, sizeOf } from './shape.ts';
import { type Op, release, type Tensor } from './tensor.ts';
import { checkSeed, type Step, type WalkObserver, walk } from './walk.ts';

/** The slope of an op in input i; null where there is none. The last entry stands for all further inputs. */
export function vjpOf(op: Op, i: number): Op['vjp'][number] {
  return op.vjp[Math.min(i, op.vjp.length - 1)];
}

/** The autograd step: the op that made the tensor, pulled back by its vjp. */
export function stepOfOp(t: Tensor): Step | null {
  const origin = t.origin;
  if (!origin) return null;
  const { op, inputs, attrs } = origin;
  return {
    inputs,
    pull(g, i) {
      return vjpOf(op, i)?.(g, inputs, t, attrs, i) ?? null;
    },
  };
}

/**
 * Gradients of `sum(seed * y)` with respect to each of `xs`, as recorded tensors: rules and penalties build on them.
 * `seed` has the shape of y. Where no path leads from y to an x its gradient is zero. Throws ShapeError.
 */
export function adjoint(y: Tensor, xs: readonly Tensor[], seed: Tensor): Tensor[] {
  checkSeed('adjoint', y, seed);
  const signals = walk({ output: y, seed, targets: xs, stepOf: stepOfOp });
  // On the seed's device: x may be a meta tensor, and its gradient has numbers all the same.
  return xs.map((x) => signals.get(x) ?? expand(constant(seed.device, 0), x.shape));
}

/** Frees gradients as soon as they are passed on, and forward results as soon as no slope needs them. */
class ReleasingObserver implements WalkObserver {
  readonly #uses = new Map<Tensor, number>();
  readonly #retained: ReadonlySet<Tensor>;
  readonly #root: Tensor;

  constructor(root: Tensor, retained: readonly Tensor[]) {
    this.#root = root;
    this.#retained = new Set(retained);
  }

  run(compute: () => Tensor | null): Tensor | null {
    return scope(this.#root.device, compute);
  }

  count(signal: Tensor, change: 1 | -1): void {
    const uses = (this.#uses.get(signal) ?? 0) + change;
    this.#uses.set(signal, uses);
    if (uses === 0) this.#releaseOwn(signal);
  }

  passed(t: Tensor, signal: Tensor, isTarget: boolean): void {
    if (!isTarget) this.count(signal, -1);
    if (t !== this.#root && t.origin && !isTarget) this.#releaseOwn(t);
  }

  /** Releases what this step made; parameters, data and kept tensors belong to no open scope and stay. */
  #releaseOwn(t: Tensor): void {
    if (this.#retained.has(t)) return;
    if (t.device.recorder.frames.some((frame) => frame.delete(t))) release(t);
  }
}

/**
 * Gradients of a scalar loss with respect to `params`, in their order. The last act of a step: nothing is recorded, and
 * what the step computed is released on the way, except the loss, the gradients and the tensors in `retain`.
 */
export function backward(
  loss: Tensor,
  params: readonly Tensor[],
  { retain = [] }: { retain?: readonly Tensor[] } = {},
): Tensor[] {
  if (sizeOf(loss.shape) !== 1) {
    throw new ShapeError(
      `backward: the loss is ${formatShape(loss.shape)}; reduce it to one number, e.g. with mean`,
    );
  }
  return withoutRecording(loss.device, () => {
    const seed = expand(constant(loss.device, 1), loss.shape);
    const observer = new ReleasingObserver(loss, [...retain, ...params]);
    const signals = walk({ output: loss, seed, targets: params, stepOf: stepOfOp, observer });
    return params.map((p) => signals.get(p) ?? expand(constant(p.device, 0), p.shape));
  });
}
