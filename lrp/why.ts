// One number explained: the relevance of one output unit of one layer, and how it is shared among the unit's inputs.
import { readAll, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { scope } from '../engine/scope.ts';
import { formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { transpose } from '../engine/transpose.ts';
import { type LeakCause, leakCauses, ruleLeaks } from './leak.ts';
import { type RelevanceOptions, relevanceAt, relevanceSteps } from './relevance.ts';
import { columns } from './table.ts';

/** An input of the unit: x, w, their product, and the part of the unit's relevance that it gets. */
export interface WhyRow {
  /** Index in the layer's input without the batch, e.g. [channel, y, x]. */
  readonly index: readonly number[];
  readonly x: number;
  readonly w: number;
  /** x w, the input's part in z. */
  readonly z: number;
  /** relevance / R of the unit. */
  readonly share: number;
  readonly relevance: number;
}

export interface WhyReport {
  readonly layer: string;
  readonly kind: string;
  readonly rule: string;
  /** Index of the unit in the layer's output without the batch. */
  readonly unit: readonly number[];
  /** Output of the unit, bias included. */
  readonly z: number;
  /** Relevance that arrived at the unit. */
  readonly relevance: number;
  /** Inputs with a weight, the largest |relevance| first. */
  readonly rows: readonly WhyRow[];
  /** What no input gets, by cause. Shares of rows and leaks add up to 1. */
  readonly leaks: Readonly<Record<LeakCause, number>>;
}

export interface WhyOptions extends RelevanceOptions {
  /** Dotted name of a layer with a rule. */
  readonly layer: string;
  /** Flat index of the unit in the layer's output of one sample. */
  readonly unit: number;
}

/** [channel, y, x] of a flat index. */
function indexOf(flat: number, shape: Shape): number[] {
  const index: number[] = [];
  let rest = flat;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return index;
}

function findLayer({ layer, ...options }: WhyOptions) {
  const steps = relevanceSteps(options).filter(({ step }) => step.rule && step.call);
  const found = steps.find(({ step }) => step.name === layer);
  if (found) return found;
  const names = steps.map(({ step }) => `'${step.name}'`).join(', ');
  throw new UsageError(`why: no layer '${layer}' with a rule on the way; use one of ${names}`);
}

/** Copies, because some of these are tensors of the forward pass, which must outlive the report. */
const fresh = (tensors: readonly Tensor[]): Tensor[] => tensors.map((t) => mul(t, 1));

/** The tensors of the report: unit's z and R, then x, w, relevance of all inputs, then leaks. */
function compute(options: WhyOptions): { tensors: Tensor[]; causes: LeakCause[]; out: Shape; input: Shape } {
  const { t, step } = findLayer(options);
  const call = step.call?.();
  const out = t.shape.slice(1);
  if (!call || !step.rule || t.shape[0] !== 1) {
    throw new UsageError(`why: the batch is ${t.shape[0]}; explain one image`);
  }
  const { unit } = options;
  if (!(Number.isInteger(unit) && unit >= 0 && unit < sizeOf(out))) {
    throw new UsageError(
      `why: layer '${options.layer}' has ${sizeOf(out)} units ${formatShape(out)}; use 0 to ${sizeOf(out) - 1}`,
    );
  }
  const one = new Float32Array(sizeOf(out));
  one[unit] = 1;
  const only = tensor(t.device, one, t.shape);
  const R = mul(relevanceAt(options, [t])[0], only);
  // The row of the layer's matrix that belongs to the unit.
  const row = transpose((x) => call.apply(x, { weight: call.params.weight, bias: null }), call.x.shape, only);
  const leaks = ruleLeaks(step.rule, call, R, 1);
  const causes = leakCauses.filter((cause) => leaks[cause]);
  const lost = causes.map((cause) => leaks[cause] as Tensor);
  const z = call.apply(call.x, call.params);
  return {
    tensors: fresh([z, R, call.x, row, step.rule.propagate(call, R), ...lost]),
    causes,
    out,
    input: call.x.shape.slice(1),
  };
}

/** The table behind one number of a relevance map. One image, one map. Throws UsageError for an unknown layer or unit. */
export async function why(options: WhyOptions): Promise<WhyReport> {
  const { layer, unit } = options;
  const { step } = findLayer(options);
  const { tensors, causes, out, input } = scope(options.output.device, () => compute(options));
  const [z, R, x, w, relevance, ...lost] = await readAll(tensors);
  for (const t of tensors) release(t);
  const total = R[unit];
  const rows: WhyRow[] = [];
  for (let i = 0; i < x.length; i++) {
    if (w[i] === 0 && relevance[i] === 0) continue;
    const share = total === 0 ? 0 : relevance[i] / total;
    rows.push({ index: indexOf(i, input), x: x[i], w: w[i], z: x[i] * w[i], share, relevance: relevance[i] });
  }
  rows.sort((a, b) => Math.abs(b.relevance) - Math.abs(a.relevance));
  const leaks = Object.fromEntries(leakCauses.map((cause) => [cause, 0])) as Record<LeakCause, number>;
  causes.forEach((cause, i) => {
    leaks[cause] = lost[i][0];
  });
  const { kind, rule } = step;
  return {
    layer,
    kind,
    rule: rule?.name ?? '',
    unit: indexOf(unit, out),
    z: z[unit],
    relevance: total,
    rows,
    leaks,
  };
}

/** The report as text; at most `limit` inputs, the rest in one line. */
export function formatWhy(report: WhyReport, limit = 20): string {
  const number = (value: number): string => (value === 0 ? '0' : value.toPrecision(5));
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const { rows, leaks, relevance, z } = report;
  const shown = rows
    .slice(0, limit)
    .map((row) => [
      `[${row.index.join(', ')}]`,
      ...[row.x, row.w, row.z].map(number),
      percent(row.share),
      number(row.relevance),
    ]);
  const rest = rows.slice(limit);
  const sumOf = (key: 'z' | 'share' | 'relevance') => rest.reduce((sum, row) => sum + row[key], 0);
  if (rest.length > 0) {
    shown.push([
      `${rest.length} more`,
      '',
      '',
      number(sumOf('z')),
      percent(sumOf('share')),
      number(sumOf('relevance')),
    ]);
  }
  for (const cause of leakCauses) {
    if (leaks[cause] === 0) continue;
    shown.push([`to ${cause}`, '', '', '', percent(leaks[cause] / relevance), number(leaks[cause])]);
  }
  const total = [...rows.map((row) => row.relevance), ...Object.values(leaks)].reduce((a, b) => a + b, 0);
  shown.push(['sum', '', '', '', percent(relevance === 0 ? 0 : total / relevance), number(total)]);
  const head = `layer '${report.layer}' (${report.kind}, rule ${report.rule}), unit [${report.unit.join(', ')}]: z = ${number(z)}, relevance ${number(relevance)}`;
  return `${head}\n${columns([['input', 'x', 'w', 'x w', 'share', 'relevance'], ...shown])}`;
}
