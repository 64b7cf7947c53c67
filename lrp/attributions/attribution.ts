// What all attributions share: one signature, the explained number, and a model that is left as it was.
import { detach } from '../../engine/create.ts';
import { ShapeError } from '../../engine/errors.ts';
import { adjoint } from '../../engine/grad.ts';
import { mul } from '../../engine/ops/arithmetic.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { softmax } from '../../engine/ops/softmax.ts';
import { scope, withoutRecording } from '../../engine/scope.ts';
import { formatShape, isSameShape } from '../../engine/shape.ts';
import { type Device, Tensor } from '../../engine/tensor.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { type Target, targetRows } from '../explain.ts';
import { ForwardPass } from '../forward-pass.ts';

/** As `Target`, or rows w [N, C] on the device: what is explained is f = sum_c w_c z_c, e.g. a margin of two logits. */
export type AttributionTarget = Target | Tensor;

/** What every attribution takes; each adds its own. */
export interface AttributionOptions {
  /** Default 'predicted'. */
  readonly target?: AttributionTarget;
  /**
   * The recorded `model.forward(x)` [N, C], if there is one: saves a forward pass, and explains it as it was run, batch
   * statistics and dropout included. Otherwise the model is run in evaluation mode.
   */
  readonly logits?: Tensor;
}

/**
 * A map [N, C, H, W] (or [N, 1, H, W], for attributions of places) of what the pixels of x [N, C, H, W] have to do with
 * one number per image. Made of recorded ops, so it can be differentiated again. Parameters, buffers and modes of the
 * model stay as they were. Call it inside a scope; where recording is off, the map comes without a history.
 */
export type Attribution<Options extends AttributionOptions = AttributionOptions> = (
  model: Module,
  x: Tensor,
  options?: Options,
) => Tensor;

/**
 * Runs `fn` with recording on, which gradients need. If it was off, the result forgets its history: a gradient of
 * nothing would otherwise be zero, without a word.
 */
export function recorded(device: Device, fn: () => Tensor): Tensor {
  const { recorder } = device;
  if (recorder.isRecording) return fn();
  recorder.isRecording = true;
  try {
    return detach(fn());
  } finally {
    recorder.isRecording = false;
  }
}

/** Rows w [N, C] of the explained numbers f = sum_c w_c z_c. Throws ShapeError or UsageError if they do not fit. */
export function explainedRows(logits: Tensor, target: AttributionTarget = 'predicted'): Tensor {
  if (logits.shape.length !== 2) {
    throw new ShapeError(
      `attribution: the model's output is ${formatShape(logits.shape)}; it must be logits [N, C]`,
    );
  }
  if (!(target instanceof Tensor)) return targetRows(logits, target);
  if (!isSameShape(target.shape, logits.shape)) {
    throw new ShapeError(
      `attribution: target rows ${formatShape(target.shape)} do not fit logits ${formatShape(logits.shape)}; they must be equal`,
    );
  }
  return target;
}

/** Rows [N, C] of the explained numbers, without a slope; runs the model in evaluation mode if nothing else tells them. */
export function rowsOf(model: Module, x: Tensor, { target, logits }: AttributionOptions): Tensor {
  if (logits) return explainedRows(logits, target);
  if (target instanceof Tensor && target.shape.length === 2 && target.shape[0] === x.shape[0]) return target;
  const rows = () =>
    explainedRows(
      inEvaluation(model, () => model.forward(x)),
      target,
    );
  return scope(x.device, () => withoutRecording(x.device, rows));
}

/** A forward pass whose output depends on x, and the rows [N, C] of what is explained. */
export interface Explained {
  readonly logits: Tensor;
  readonly rows: Tensor;
}

/** Runs the model on x, unless its logits are given, and computes a map from that. Throws UsageError if x plays no part. */
export function onForwardPass(
  model: Module,
  x: Tensor,
  { target, logits: given }: AttributionOptions,
  compute: (pass: Explained) => Tensor,
): Tensor {
  return recorded(x.device, () => {
    const logits = given ?? inEvaluation(model, () => model.forward(x));
    // Throws unless the logits were computed from this very tensor.
    new ForwardPass(x, logits, model);
    return compute({ logits, rows: explainedRows(logits, target) });
  });
}

/** df/dt for f = sum_c w_c z_c, of the shape of t. */
export function gradientAt(t: Tensor, { logits, rows }: Explained): Tensor {
  return adjoint(logits, [t], rows)[0];
}

/** What a perturbation is measured by: the logit, or the probability by softmax. */
export type Score = 'logit' | 'probability';

/** f = sum_c w_c z_c [N] for logits z and rows w, both [N, C]; probabilities in place of z if asked. */
export function scoreOf(logits: Tensor, rows: Tensor, score: Score = 'logit'): Tensor {
  return sum(mul(rows, score === 'probability' ? softmax(logits) : logits), [1]);
}
