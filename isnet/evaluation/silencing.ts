// What a background does that no heatmap shows. LRP gives a unit that is 0 no relevance, so a background that silences units of
// the object changes the answer and stays unseen, and a loss on heatmaps does not forbid it.

import { apply } from '../../engine/op.ts';
import { add, mul, sub } from '../../engine/ops/arithmetic.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { concat } from '../../engine/ops/layout.ts';
import { step } from '../../engine/ops/pointwise.ts';
import { scope } from '../../engine/scope.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Device, Tensor } from '../../engine/tensor.ts';
import { ancestorsOf } from '../../engine/walk.ts';
import type { Module } from '../../nn/module.ts';
import { uploadHostBatch } from '../batch.ts';
import type { BatchSource, HostBatch } from '../data/source.ts';
import type { Batch } from '../objective.ts';
import { rectifiersOf } from '../rectifiers.ts';
import { halfOf, imagesAndObjects } from '../rivals/masks.ts';
import { type BatchedOptions, eachBatch, pairsAtOnce, readings } from './batches.ts';
import { type Estimate, proportion } from './estimate.ts';
import { rightOf } from './scores.ts';

type Values = ArrayLike<number>;

/** What the background silences behind one layer. */
export interface SilencedLayer {
  /** Whose output goes into the ReLU. */
  readonly layer: string;
  /** Share of the units, in [0, 1], that fire (are above 0) for the object on black. */
  readonly firing: number;
  /** Share of those, in [0, 1], that do not fire with the background; 0 where none fires. */
  readonly silenced: number;
  /** Accuracy on whole images if those units gave what they give for the object on black, and all others what they do. */
  readonly accuracyRestored: Estimate;
}

/** What `silencing` finds. */
export interface Silencing {
  /** Images that have a mask. */
  readonly imageCount: number;
  /** Of the images as they are. */
  readonly accuracy: Estimate;
  /** Of their objects on black. */
  readonly objectAccuracy: Estimate;
  /** One for each ReLU, in the order of execution. */
  readonly layers: readonly SilencedLayer[];
}

/**
 * What the background silences, in evaluation mode: a forward pass of the images and of their objects on black, and for each
 * ReLU the rest of the network once more with its silenced units restored. Where that brings the accuracy on objects back,
 * the background works by silencing there. Null if no image has a mask. Throws what `model.forward` throws.
 */
export async function silencing(
  device: Device,
  model: Module,
  source: BatchSource,
  { batchSize = pairsAtOnce(source), onProgress }: BatchedOptions = {},
): Promise<Silencing | null> {
  const totals = new Totals(source);
  await eachBatch(source, model, { batchSize, onProgress }, async (host) => {
    let layers: readonly Layer[] = [];
    const [logits, ...ofLayers] = await readings(device, () => {
      const pass = forwardTwice(model, uploadHostBatch(device, source, host));
      layers = pass.layers;
      return [pass.logits, ...pass.restored.flat()];
    });
    totals.add(host, layers, logits, ofLayers);
  });
  return totals.result();
}

interface Layer {
  readonly name: string;
  /** Units of one image. */
  readonly units: number;
}

/** Of one layer: logits [N, K] with its silenced units restored, and how many units fire and are silenced, [N] each. */
type Restored = readonly [logits: Tensor, firing: Tensor, silenced: Tensor];

interface ForwardPass {
  /** [2N, K]: of whole images, then of objects on black. */
  readonly logits: Tensor;
  readonly layers: readonly Layer[];
  readonly restored: readonly Restored[];
}

function forwardTwice(model: Module, batch: Batch): ForwardPass {
  const logits = model.forward(imagesAndObjects(batch));
  const rectifiers = rectifiersOf(model, logits);
  return {
    logits,
    layers: rectifiers.map(({ layer, output }) => ({ name: layer, units: sizeOf(output.shape.slice(1)) })),
    restored: rectifiers.map(({ output }) => restoredAt(output, logits)),
  };
}

function restoredAt(output: Tensor, logits: Tensor): Restored {
  return scope(output.device, () => {
    const [whole, object] = [halfOf(output, 0), halfOf(output, 1)];
    const firing = step(object);
    const silenced = mul(firing, sub(1, step(whole)));
    const restored = add(whole, mul(silenced, sub(object, whole)));
    const perImage = (t: Tensor): Tensor =>
      sum(
        t,
        t.shape.map((_, axis) => axis).filter((axis) => axis > 0),
      );
    const answer = halfOf(withReplaced(logits, output, concat([restored, object], 0)), 0);
    return [answer, perImage(firing), perImage(silenced)];
  });
}

/** `t` computed anew, with `fresh` where it was computed from `old`. */
function withReplaced(t: Tensor, old: Tensor, fresh: Tensor): Tensor {
  const now = new Map([[old, fresh]]);
  for (const each of ancestorsOf(t)) {
    const { origin } = each;
    if (!origin || now.has(each) || !origin.inputs.some((input) => now.has(input))) continue;
    const inputs = origin.inputs.map((input) => now.get(input) ?? input);
    now.set(each, apply(origin.op, inputs, origin.attrs));
  }
  return now.get(t) ?? t;
}

/** Numbers of all images with a mask so far. */
class Totals {
  readonly #source: BatchSource;
  readonly #targets: number[] = [];
  readonly #known: number[] = [];
  readonly #whole: number[] = [];
  readonly #object: number[] = [];
  #layers: (Layer & { firing: number; silenced: number; readonly restored: number[] })[] = [];

  constructor(source: BatchSource) {
    this.#source = source;
  }

  /** `ofLayers` are the numbers of `Restored`, layer after layer. */
  add(host: HostBatch, layers: readonly Layer[], logits: Values, ofLayers: readonly Values[]): void {
    const K = this.#source.classNames.length;
    const row = (values: Values, n: number): number[] =>
      Array.from({ length: K }, (_, k) => values[n * K + k]);
    if (this.#layers.length === 0)
      this.#layers = layers.map((layer) => ({ ...layer, firing: 0, silenced: 0, restored: [] }));
    for (let n = 0; n < host.count; n++) {
      if (host.hasMask[n] === 0) continue;
      this.#targets.push(...row(host.targets, n));
      this.#known.push(...row(host.known, n));
      this.#whole.push(...row(logits, n));
      this.#object.push(...row(logits, host.count + n));
      this.#layers.forEach((total, i) => {
        const [restored, firing, silenced] = ofLayers.slice(3 * i);
        total.restored.push(...row(restored, n));
        total.firing += firing[n];
        total.silenced += silenced[n];
      });
    }
  }

  result(): Silencing | null {
    const { classNames, isMultiLabel } = this.#source;
    const count = this.#targets.length / classNames.length;
    if (count === 0) return null;
    const truth = { targets: Uint8Array.from(this.#targets), known: Uint8Array.from(this.#known) };
    const accuracy = (logits: readonly number[]): Estimate => {
      const scores = { count, classNames, isMultiLabel, ...truth, logits: Float64Array.from(logits) };
      return proportion(rightOf(scores).filter(Boolean).length, count);
    };
    return {
      imageCount: count,
      accuracy: accuracy(this.#whole),
      objectAccuracy: accuracy(this.#object),
      layers: this.#layers.map(({ name, units, firing, silenced, restored }) => ({
        layer: name,
        firing: firing / (units * count),
        silenced: firing > 0 ? silenced / firing : 0,
        accuracyRestored: accuracy(restored),
      })),
    };
  }
}
