// `isnet explain --why`: the table behind one number of a heatmap.
import { UsageError } from '../../engine/errors.ts';
import { scope } from '../../engine/scope.ts';
import type { Device } from '../../engine/tensor.ts';
import type { Composite } from '../../lrp/composite.ts';
import { type Target, targetSeed } from '../../lrp/explain.ts';
import { formatWhy, type WhyReport, why } from '../../lrp/why.ts';
import type { Module } from '../../nn/module.ts';
import { uploadHostBatch } from '../batch.ts';
import type { BatchSource } from '../data/source.ts';

/** `<layer>:<unit>`, the unit as a flat index into the layer's output of one image. */
export interface UnitName {
  readonly layer: string;
  readonly unit: number;
}

/** Reads `features.2:17`. Throws UsageError when there is no layer or no whole number. */
export function parseUnit(text: string): UnitName {
  const [, layer, unit] = /^(.+):(\d+)$/.exec(text) ?? [];
  if (!layer)
    throw new UsageError(`explain: --why ${text} is no unit; use <layer>:<unit>, e.g. features.2:17`);
  return { layer, unit: Number(unit) };
}

export interface WhyRequest extends UnitName {
  readonly model: Module;
  readonly source: BatchSource;
  /** Number of the image in the source. */
  readonly index: number;
  readonly target: Target;
  readonly composite: Composite;
}

/** The report for one image. Throws UsageError for a layer or unit that does not exist. */
export async function whyUnit(device: Device, request: WhyRequest): Promise<WhyReport> {
  const { model, source, index, target, composite, layer, unit } = request;
  const batch = await source.batch([index]);
  let report: Promise<WhyReport> | undefined;
  model.eval();
  // The report encodes all its work before it waits, so the forward pass may go when the scope ends.
  scope(device, () => {
    const { images } = uploadHostBatch(device, source, batch);
    const output = model.forward(images);
    const seed = targetSeed(output, target, composite);
    report = why({ output, seed, input: images, composite, model, layer, unit });
  });
  return report as Promise<WhyReport>;
}

/** The table of the unit for one image, below its title. Throws as `whyUnit` does. */
export async function whyText(device: Device, title: string, request: WhyRequest): Promise<string> {
  return `\n${title}\n${formatWhy(await whyUnit(device, request))}`;
}
