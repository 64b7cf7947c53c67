// The leak report: where relevance is lost between an output and the input, layer by layer, split into its causes.
// For a z-rule the split is exact:   sum R_out = sum R_in + sum_o s_o b_o + sum_o s_o (stab z_o - z_o) + dead,
// with s_o = R_o / stab z_o. It is computed from the same parts that propagated the relevance (rule.ts).
import { readAll } from '../engine/create.ts';
import { add, mul, sub } from '../engine/ops/arithmetic.ts';
import { reshape, sum } from '../engine/ops/broadcast.ts';
import { scope } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { walk } from '../engine/walk.ts';
import type { AffineCall } from './affine.ts';
import { ForwardPass } from './forward-pass.ts';
import { mapCount, perMap } from './maps.ts';
import { type RelevanceOptions, type RelevanceStep, relevanceStep } from './relevance.ts';
import { denominator, messages, type Rule } from './rule.ts';
import { stabilized } from './stabilizer.ts';
import { structuralRule } from './structure.ts';

/** Causes of loss. `other` is what an op does that conserves nothing by itself. */
export const leakCauses = ['bias', 'stabilizer', 'dead', 'padding', 'other'] as const;
export type LeakCause = (typeof leakCauses)[number];

/** One step of the walk. All lists have one number per map and sample, map-major. */
export interface LeakRow {
  /** Dotted name of the layer, '' if unknown. */
  readonly name: string;
  /** Class of the layer, or name of the op. */
  readonly kind: string;
  /** The composite's rule, or '' where the op's structural rule applied. */
  readonly rule: string;
  /** Sum of the relevance that arrived at the output of the step. */
  readonly atOutput: readonly number[];
  /** Sum of the relevance that it handed to its inputs. */
  readonly atInput: readonly number[];
  /** atOutput - atInput, split by cause. */
  readonly leaks: Readonly<Record<LeakCause, readonly number[]>>;
  /** What the split does not explain: rounding. */
  readonly unexplained: readonly number[];
}

export interface LeakReport {
  /** From the output to the input, in the order of the walk. */
  readonly rows: readonly LeakRow[];
}

export type Leaks = Partial<Record<LeakCause, Tensor>>;

/** Sums in tensors, until all of them are read at once. */
interface OpenRow {
  readonly step: RelevanceStep;
  readonly atOutput: Tensor;
  atInput: Tensor | null;
  readonly leaks: Leaks;
}

/** Sums per map and sample, [K N]. The batch may have been cut on the way (heads): maps and samples still lead. */
const perSample = (t: Tensor, count: number): Tensor => sum(reshape(t, [count, -1]), [1]);

const plus = (a: Tensor | null | undefined, b: Tensor): Tensor => (a ? add(a, b) : b);

/**
 * Sums of what a z-rule loses of R [K N, ...], by cause, each [count] for `count` maps and samples; empty for a rule that
 * is no z-rule.
 */
export function ruleLeaks(rule: Rule, call: AffineCall, R: Tensor, count: number): Leaks {
  const groups = rule.groups?.(call);
  if (!groups) return {};
  const leaks: { bias?: Tensor; stabilizer?: Tensor; dead?: Tensor } = {};
  let answered: Tensor | null = null;
  for (const group of groups) {
    const s = messages(call, group, R, rule.stabilizer);
    const z = denominator(call, group);
    leaks.stabilizer = plus(
      leaks.stabilizer,
      perSample(perMap(mul, s, sub(stabilized(z, rule.stabilizer), z)), count),
    );
    if (group.bias) {
      // The layer at x = 0 is its bias, in the shape of its output.
      const [{ x, weight }] = group.parts;
      const bias = call.apply(mul(x, 0), { weight, bias: group.bias });
      leaks.bias = plus(leaks.bias, perSample(perMap(mul, s, bias), count));
    }
    const { factor = 1, mask } = group;
    const share = mask ? mul(perMap(mul, R, mask), factor) : mul(R, factor);
    answered = plus(answered, share);
  }
  if (answered) leaks.dead = perSample(sub(R, answered), count);
  return leaks;
}

/** The share that constant terms of a sum keep: a bias written as an op. */
function constantShare(step: RelevanceStep, R: Tensor, pass: ForwardPass, count: number): Tensor | null {
  if (step.rule || (step.kind !== 'add' && step.kind !== 'sub')) return null;
  const index = step.inputs.findIndex((input) => !pass.dependsOnInput(input));
  const share = index < 0 ? null : step.pull(R, index);
  return share && perSample(share, count);
}

function finishRow(row: OpenRow): OpenRow {
  const { step, atOutput, leaks } = row;
  const atInput = row.atInput ?? mul(atOutput, 0);
  if (step.rule?.groups) return { ...row, atInput };
  const missing = sub(atOutput, atInput);
  const loss = structuralRule(step.kind)?.loss ?? 'other';
  const cause = loss === 'none' ? 'other' : loss;
  const rest = leaks.bias ? sub(missing, leaks.bias) : missing;
  return { ...row, atInput, leaks: { ...leaks, [cause]: rest } };
}

/** Walks as `relevance` does and writes down what each step loses. */
function collectRows({ output, seed, input, composite, model }: RelevanceOptions): OpenRow[] {
  mapCount(seed.shape, output.shape);
  const count = seed.shape[0];
  const pass = new ForwardPass(input, output, model);
  const rows = new Map<Tensor, OpenRow>();
  const stepOf = (t: Tensor): RelevanceStep | null => {
    const step = t === input ? null : relevanceStep(t, composite, pass);
    if (!step) return null;
    return {
      ...step,
      pull(R, index) {
        let row = rows.get(t);
        if (!row) {
          const leaks = step.rule && step.call ? ruleLeaks(step.rule, step.call(), R, count) : {};
          const bias = constantShare(step, R, pass, count);
          row = {
            step,
            atOutput: perSample(R, count),
            atInput: null,
            leaks: bias ? { ...leaks, bias } : leaks,
          };
          rows.set(t, row);
        }
        const part = step.pull(R, index);
        if (part) row.atInput = plus(row.atInput, perSample(part, count));
        return part;
      },
    };
  };
  walk({ output, seed, targets: [input], stepOf });
  return [...rows.values()].map(finishRow);
}

/** Propagates relevance as `relevance` does, and reports what each step on the way loses, and to what. */
export async function leakReport(options: RelevanceOptions): Promise<LeakReport> {
  const { device } = options.output;
  const rows = scope(device, () =>
    collectRows(options).map(({ step, ...tensors }) => ({ ...tensors, step: [step] })),
  );
  const tensors = rows.flatMap(({ atOutput, atInput, leaks }) => [
    atOutput,
    atInput as Tensor,
    ...leakCauses.flatMap((cause) => leaks[cause] ?? []),
  ]);
  const values = (await readAll(tensors)).map((list) => Array.from(list));
  for (const t of tensors) release(t);
  let next = 0;
  const take = (): number[] => values[next++];
  return {
    rows: rows.map(({ step: [step], leaks }) => {
      const [atOutput, atInput] = [take(), take()];
      const zeros = atOutput.map(() => 0);
      const split = Object.fromEntries(
        leakCauses.map((cause) => [cause, leaks[cause] ? take() : zeros]),
      ) as Record<LeakCause, number[]>;
      const unexplained = atOutput.map((value, i) =>
        leakCauses.reduce((rest, cause) => rest - split[cause][i], value - atInput[i]),
      );
      const { name, kind, rule } = step;
      return { name, kind, rule: rule?.name ?? '', atOutput, atInput, leaks: split, unexplained };
    }),
  };
}
