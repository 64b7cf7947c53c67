// Structural rules of ops that only move numbers: relevance moves back the way the numbers came. Nothing is lost, except
// where a number is left out (`slice` leaves it 0) or a zero was put in (`pad`, whose zeros may not keep any).
import { vjpOf } from '../../engine/grad.ts';
import { reshape, sumTo } from '../../engine/ops/broadcast.ts';
import { pad, permute, slice } from '../../engine/ops/layout.ts';
import { mapCount, repeatPerMap } from '../maps.ts';
import { inputOf, mapsShape, type OpRule, onMapAxis } from './op-call.ts';

const zeros = (lead: readonly number[]): number[] => lead.map(() => 0);

export const reshaped: OpRule = (R, call) =>
  reshape(R, mapsShape(mapCount(R.shape, call.t.shape), inputOf(call)));

export const permuted: OpRule = (R, call) => {
  const { order } = call.origin.attrs as { order: readonly number[] };
  return onMapAxis(R, call, (own, lead) => {
    const inverse = order.map((_, axis) => order.indexOf(axis) + lead.length);
    return permute(own, [...lead.keys(), ...inverse]);
  });
};

/** Joined parts: each gets its slice. */
export const joined: OpRule = (R, call) => {
  const { origin, index, t } = call;
  const { axis } = origin.attrs as { axis: number };
  const offset = origin.inputs.slice(0, index).reduce((sum, part) => sum + part.shape[axis], 0);
  const starts = t.shape.map((_, i) => (i === axis ? offset : 0));
  return onMapAxis(R, call, (own, lead) =>
    slice(own, [...zeros(lead), ...starts], [...lead, ...inputOf(call).shape]),
  );
};

/** A box cut out: what lies outside gets 0. */
export const cutOut: OpRule = (R, call) => {
  const { starts } = call.origin.attrs as { starts: readonly number[] };
  return onMapAxis(R, call, (own, lead) =>
    pad(own, [...zeros(lead), ...starts], [...lead, ...inputOf(call).shape]),
  );
};

/** Zeros around: what they have is lost. */
export const padded: OpRule = (R, call) => {
  const { starts } = call.origin.attrs as { starts: readonly number[] };
  return onMapAxis(R, call, (own, lead) =>
    slice(own, [...zeros(lead), ...starts], [...lead, ...inputOf(call).shape]),
  );
};

/** Copies (`expand`, nearest upsampling): the original gets what its copies have. */
export const copied: OpRule = (R, call) => {
  const { shape } = inputOf(call);
  const ones = new Array<number>(call.t.shape.length - shape.length).fill(1);
  return onMapAxis(R, call, (own, lead) => sumTo(own, [...lead, ...ones, ...shape]));
};

/** Elements chosen by place or by mask: the chosen one takes all. The op's slope is 1 there and 0 elsewhere. */
export const picked: OpRule = (R, { t, origin, index }) => {
  const { op, inputs, attrs } = origin;
  const count = mapCount(R.shape, t.shape);
  const repeated = inputs.map((input) => repeatPerMap(input, count));
  return vjpOf(op, index)?.(R, repeated, t, attrs, index) ?? null;
};
