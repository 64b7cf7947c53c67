// Weights that fall with the rank of a number in its row. Only the ranks that count are found: no row is sorted whole.
import { type AdapterProfile, type Dispatch, foldWorkgroups, type KernelPlan } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { keyWgsl, lastAxis, numbersIn, orderOf, sortSteps, sortTemps } from './sort.ts';
import { spanOf } from './span.ts';

interface RankWeightsAttrs {
  readonly decay: number;
  /** Ranks from here on weigh nothing. */
  readonly keep: number;
}

/** Items that the GPU kernel holds in workgroup memory, 8 bytes each; it compares each with each. */
const LARGEST_TILE = 1536;

const weightWgsl = (decay: number): string =>
  `fn weight(rank: u32) -> Real { return exp(Real(${Math.log(decay)}) * Real(rank)); }\n`;

/** Whether a workgroup can hold a row's largest numbers. */
function fitsGroup(keep: number, { family, maxWorkgroupStorageSize }: AdapterProfile): boolean {
  return family === 'gpu' && keep <= LARGEST_TILE && 16 * 1024 <= maxWorkgroupStorageSize;
}

/** What is asked, with the number of rows and their length. */
interface RowsRequest extends RankWeightsAttrs {
  readonly rows: number;
  readonly n: number;
  readonly adapter: AdapterProfile;
}

/** One workgroup per row. */
function planByGroup({ rows, n, decay, keep, adapter }: RowsRequest): KernelPlan {
  const threads = Math.min(256, adapter.maxInvocationsPerWorkgroup);
  const workgroups = foldWorkgroups(rows, adapter);
  const consts = `const THREADS = ${threads}u;\nconst KEEP = ${keep}u;\n`;
  return {
    steps: [
      { clear: 'output' },
      {
        shader: 'rank_weights',
        prelude: consts + keyWgsl + weightWgsl(decay),
        params: { rows, groups_x: workgroups[0], n, bits: 32 },
        operands: [{ input: 0 }, 'output'],
        workgroups,
      },
    ],
  };
}

/** Picks the largest numbers of each row, unsorted, into temp 0. */
function selectStep(rows: number, n: number, keep: number, adapter: AdapterProfile): Dispatch {
  const lanes = n % 4 === 0 ? 4 : 1;
  const of = (scalar: string) => (lanes === 4 ? `vec4<${scalar}>` : scalar);
  const functions = `alias Numbers = ${of('f32')};
alias Keys = ${of('u32')};
fn keys_of(x: Numbers) -> Keys {
  let bits = bitcast<Keys>(x);
  let keys = select(bits | Keys(0x80000000u), ~bits, bits > Keys(0x80000000u));
  return select(keys, Keys(0xffffffffu), (bits & Keys(0x7fffffffu)) > Keys(0x7f800000u));
}
fn total(counts: Keys) -> u32 { return ${lanes === 4 ? 'counts.x + counts.y + counts.z + counts.w' : 'counts'}; }
fn number_at(i: u32) -> f32 { return ${lanes === 4 ? 'x[i / 4u][i % 4u]' : 'x[i]'}; }
`;
  const { prelude, params, workgroups } = spanOf(rows, adapter);
  return {
    shader: 'select_top',
    prelude: prelude + keyWgsl + functions,
    params: { ...params, n, chunks: n / lanes, keep, bits: 32 },
    operands: [{ input: 0 }, { temp: 0 }],
    workgroups,
  };
}

/** The largest numbers picked where they are few, then sorted; the last pass of the sort writes weights. */
function planBySort({ rows, n, decay, keep, adapter }: RowsRequest): KernelPlan {
  const isPicked = 2 * keep <= n;
  const sorted = isPicked ? keep : n;
  const steps = sortSteps({
    rows,
    n: sorted,
    outN: n,
    source: isPicked
      ? {
          operand: { temp: 0 },
          wgsl: 'alias In = vec2u;\nfn item_of(item: vec2u, place: u32) -> vec2u { return item; }\n',
        }
      : numbersIn({ descending: true }),
    temps: isPicked ? [1, 2] : [0, 1],
    put: `${weightWgsl(decay)}alias Out = Real;
fn put(row: u32, rank: u32, item: vec2u) {
  out[row * params.out_n + item.y] = select(Real(0), weight(rank), rank < ${keep}u);
}
`,
    adapter,
  });
  if (!isPicked) return { steps, temps: sortTemps(rows, n) };
  const temps = [2 * rows * keep, ...sortTemps(rows, keep)];
  return { steps: [{ clear: 'output' }, selectStep(rows, n, keep, adapter), ...steps], temps };
}

export const rankWeightsOp = defineOp<RankWeightsAttrs>({
  name: 'rankWeights',
  shape([x], { decay, keep }) {
    const n = lastAxis('rankWeights', x);
    if (!(decay > 0 && decay <= 1 && Number.isInteger(keep) && keep >= 1 && keep <= n)) {
      throw new ShapeError(
        `rankWeights: decay is ${decay} and keep ${keep} for ${formatShape(x)}; decay must lie in (0, 1], and keep be 1 to ${n}`,
      );
    }
    return x;
  },
  reference([x], { decay, keep }, out) {
    const n = x.shape.at(-1) as number;
    for (let start = 0; start < x.data.length; start += n) {
      const order = orderOf(x.data.subarray(start, start + n), true);
      for (let rank = 0; rank < keep; rank++) out.data[start + order[rank]] = decay ** rank;
    }
  },
  kernel({ inputs: [x], attrs, adapter }) {
    const n = lastAxis('rankWeights', x);
    const request = { ...attrs, rows: sizeOf(x) / n, n, adapter };
    return fitsGroup(attrs.keep, adapter) ? planByGroup(request) : planBySort(request);
  },
  vjp: [null], // ranks do not change with the values, except in jumps
  examples: [
    { inputs: [[2, 3, 5]], attrs: { decay: 0.5, keep: 5 } },
    // Few of many, with ties across the edge.
    {
      inputs: [[2, 24]],
      attrs: { decay: 0.8, keep: 9 },
      fixed: { 0: Array.from({ length: 48 }, (_, i) => [2, -1, 0, 3, 2, -0, 1, 2][i % 8]) },
    },
    { inputs: [[3, 83]], attrs: { decay: 0.9, keep: 20 } },
  ],
});

/**
 * decay^rank for the `keep` largest numbers of each row of x [.., n] and 0 for the others; rank 0 is the largest, equal
 * numbers rank by their place, and NaN is the largest number. No slope. Throws ShapeError.
 */
export const rankWeights = (x: Tensor, decay: number, keep: number): Tensor =>
  apply(rankWeightsOp, [x], { decay, keep });
