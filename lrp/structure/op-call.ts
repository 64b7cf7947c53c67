// What structural rules see: an op's result with the relevance that reached it, and how relevance of several maps is
// bent to the shape of an input.
import { ShapeError, UsageError } from '../../engine/errors.ts';
import { reshape } from '../../engine/ops/broadcast.ts';
import { formatShape, isSameShape, type Shape } from '../../engine/shape.ts';
import type { Origin, Tensor } from '../../engine/tensor.ts';
import { mapCount } from '../maps.ts';

/** Choices of a composite for what is no layer with weights. */
export interface StructureOptions {
  /** Max-pooling and `max`: the `first` of equal maxima takes all (as its gradient), or they `split` it evenly. */
  readonly ties: 'first' | 'split';
  /** Smooth activations `pass` relevance on (LXT's identity rule), or keep the part x f'(x) / f(x) of it. */
  readonly activation: 'pass' | 'gradientShare';
  /** Softmax by its `taylor` expansion (AttnLRP), or attention weights as `constant` (CP-LRP, Ali et al. 2022). */
  readonly softmax: 'taylor' | 'constant';
}

/** What composites choose unless told otherwise. */
export const defaultStructure: StructureOptions = { ties: 'first', activation: 'pass', softmax: 'taylor' };

/** A tensor made by an op, and which of its inputs is asked about. */
export interface OpCall {
  readonly t: Tensor;
  readonly origin: Origin;
  readonly index: number;
  /** Stabiliser, in units of t. */
  readonly eps: number;
  readonly options: StructureOptions;
  /** Whether relevance goes on at input i: it depends on the explained input. Constants and parameters do not. */
  isVariable(index: number): boolean;
}

/** Relevance R [K N, ...] at the op's result -> relevance at the asked input; null where none goes. */
export type OpRule = (R: Tensor, call: OpCall) => Tensor | null;

/** The asked input. */
export const inputOf = ({ origin, index }: OpCall): Tensor => origin.inputs[index];

/** Shape of `count` maps of an activation: [K N, ...]. Throws ShapeError when there is no axis to put maps on. */
export function mapsShape(count: number, { shape }: Tensor): Shape {
  if (count === 1) return shape;
  if (shape.length === 0) {
    throw new ShapeError('lrp: several maps of a scalar have no axis; explain a tensor with a batch axis');
  }
  return [count * shape[0], ...shape.slice(1)];
}

/**
 * Relevance at the asked input by a function of relevance whose maps are an axis of their own: `lead` is [K], or [] for a
 * single map. fn takes [...lead, ...t] to [...lead, ...x] or any shape of that size. Lets ops move the batch axis about.
 */
export function onMapAxis(
  R: Tensor,
  call: OpCall,
  fn: (R: Tensor, lead: readonly number[]) => Tensor,
): Tensor {
  const { t } = call;
  const count = mapCount(R.shape, t.shape);
  const lead = count === 1 ? [] : [count];
  return reshape(fn(reshape(R, [...lead, ...t.shape]), lead), mapsShape(count, inputOf(call)));
}

/** Throws UsageError if the op repeated the asked input: one number that became many is owed the sum of what they get. */
export function checkNotBroadcast(call: OpCall): void {
  const { t, origin } = call;
  const { shape } = inputOf(call);
  if (isSameShape(shape, t.shape)) return;
  throw new UsageError(
    `lrp: op '${origin.op.name}' broadcasts ${formatShape(shape)} to ${formatShape(t.shape)}; expand the term first, relevance is not summed silently`,
  );
}
