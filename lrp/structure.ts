// Rules for ops that are no layers: what sums, joins, pools and reshapes do with relevance.
import { UsageError } from '../engine/errors.ts';
import { apply } from '../engine/op.ts';
import { div, mul, neg } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { pad, permute, slice } from '../engine/ops/layout.ts';
import { stabilize } from '../engine/ops/pointwise.ts';
import { formatShape, isSameShape, type Shape } from '../engine/shape.ts';
import type { Origin, Tensor } from '../engine/tensor.ts';
import { transpose } from '../engine/transpose.ts';
import { mapCount, perMap, relevanceShape, repeatPerMap } from './maps.ts';

/** A tensor made by an op, the relevance R [K N, ...] that has reached it, and which input is asked about. */
export interface OpCall {
  readonly t: Tensor;
  readonly origin: Origin;
  readonly index: number;
  readonly eps: number;
  /** Whether input i depends on the explained input; constants and parameters do not. */
  isVariable(index: number): boolean;
}

type OpRule = (R: Tensor, call: OpCall) => Tensor;

const pass: OpRule = (R) => R;

/** Sum: each term gets its share.   R_i = x_i R / (y + eps sign y)   A constant term keeps its share (bias). */
const splitSum: OpRule = (R, call) => {
  const { t, origin, index, eps } = call;
  const term = origin.inputs[index];
  checkNotBroadcast(call);
  const share = perMap(mul, perMap(div, R, stabilize(t, eps)), term);
  return origin.op.name === 'sub' && index === 1 ? neg(share) : share;
};

/** Any op that is linear in the asked input, by the epsilon rule on the op itself: average pools, sums, scalings. */
const linear: OpRule = (R, { t, origin, index, eps }) => {
  const x = origin.inputs[index];
  const s = perMap(div, R, stabilize(t, eps));
  const rerun = (input: Tensor) => apply(origin.op, origin.inputs.with(index, input), origin.attrs);
  return perMap(mul, transpose(rerun, relevanceShape(s, x), s), x);
};

/** Product with a constant (dropout, a gate seen as a weight): all relevance goes to the variable factor. */
const passVariable: OpRule = (R, call) => {
  const { origin, t, index } = call;
  if (call.isVariable(1 - index)) {
    throw new UsageError(
      `lrp: no rule for op '${origin.op.name}' of two activations (output ${formatShape(t.shape)}); detach one of them if it is a gate`,
    );
  }
  if (origin.op.name === 'div' && index === 1) {
    throw new UsageError(
      `lrp: no rule for op 'div' by an activation (output ${formatShape(t.shape)}); detach it if it is a scale`,
    );
  }
  checkNotBroadcast(call);
  return R;
};

/** One number that became many would be owed the sum of their relevance. */
function checkNotBroadcast({ t, origin, index }: OpCall): void {
  const { shape } = origin.inputs[index];
  if (isSameShape(shape, t.shape)) return;
  throw new UsageError(
    `lrp: op '${origin.op.name}' broadcasts ${formatShape(shape)} to ${formatShape(t.shape)}; expand the term first, relevance is not summed silently`,
  );
}

/** Shape of the relevance at the asked input of an op that moves numbers. With several maps the batch leads and stays. */
function movedShape(R: Tensor, { t, origin, index }: OpCall): Shape {
  const x = origin.inputs[index];
  if (mapCount(R.shape, t.shape) === 1) return x.shape;
  const { order } = origin.attrs as { order?: readonly number[] };
  if (x.shape[0] !== t.shape[0] || (order && order[0] !== 0)) {
    throw new UsageError(
      `lrp: op '${origin.op.name}' changes the batch axis, ${formatShape(x.shape)} to ${formatShape(t.shape)}; keep the batch in front`,
    );
  }
  return relevanceShape(R, x);
}

const structuralRules: Readonly<Record<string, OpRule>> = {
  relu: pass,
  add: splitSum,
  sub: splitSum,
  mul: passVariable,
  div: passVariable,
  avgPool: linear,
  reduceSum: linear,
  reshape: (R, call) => reshape(R, movedShape(R, call)),
  permute(R, call) {
    const { order } = call.origin.attrs as { order: readonly number[] };
    movedShape(R, call);
    return permute(
      R,
      order.map((_, axis) => order.indexOf(axis)),
    );
  },
  concat(R, call) {
    const { origin, index } = call;
    const { axis } = origin.attrs as { axis: number };
    const offset = origin.inputs.slice(0, index).reduce((sum, part) => sum + part.shape[axis], 0);
    const starts = R.shape.map((_, i) => (i === axis ? offset : 0));
    return slice(R, starts, movedShape(R, call));
  },
  slice(R, call) {
    const { starts } = call.origin.attrs as { starts: readonly number[] };
    return pad(R, starts, movedShape(R, call));
  },
  pad(R, call) {
    const { starts } = call.origin.attrs as { starts: readonly number[] };
    return slice(R, starts, movedShape(R, call));
  },
  /** Max-pooling: the winner of each window takes all. */
  poolGather(R, { t, origin }) {
    const [x, indices] = origin.inputs;
    const count = mapCount(R.shape, t.shape);
    const rerun = (input: Tensor) => apply(origin.op, [input, repeatPerMap(indices, count)], origin.attrs);
    return transpose(rerun, relevanceShape(R, x), R);
  },
};

/** The rule of an op, or null if relevance has no meaning there. */
export function structuralRule(opName: string): OpRule | null {
  return structuralRules[opName] ?? null;
}
