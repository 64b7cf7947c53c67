// How much of Grad-CAM lies in the background. Its ReLU leaves many maps empty, and those lie nowhere.
import { sum } from '../../engine/ops/broadcast.ts';
import type { Device } from '../../engine/tensor.ts';
import { gradCam } from '../../lrp/attributions/grad-cam.ts';
import { backgroundShare } from '../../lrp/metrics/localisation.ts';
import type { Module } from '../../nn/module.ts';
import { uploadHostBatch } from '../batch.ts';
import type { BatchSource } from '../data/source.ts';
import { checkFinite, eachBatch, explainedAtOnce, readings } from './batches.ts';
import { meanOf } from './estimate.ts';

/** Grad-CAM of the images that have a mask. */
export interface GradCamBackground {
  /** Mean of sum R outside the mask / sum R over the maps that are not empty; null if all are. */
  readonly share: number | null;
  readonly maps: { readonly explained: number; readonly empty: number };
}

/**
 * Background share of Grad-CAM of the predicted class at the last feature maps, for one mask per image. A map is empty
 * where no place speaks for the class on balance: that happens to sound networks, and is neither background nor object.
 * Whoever minimises Grad-CAM's background can empty maps, too: so look at `maps` besides. Throws TrainingError for maps that are
 * NaN or infinite, and as `gradCam` does.
 */
export async function gradCamBackground(
  device: Device,
  model: Module,
  source: BatchSource,
): Promise<GradCamBackground> {
  const shares: number[] = [];
  let empty = 0;
  await eachBatch(source, model, { batchSize: explainedAtOnce(source) }, async (batch) => {
    const [totals, values] = await readings(device, () => {
      const { images, masks } = uploadHostBatch(device, source, batch);
      const maps = gradCam(model, images);
      return [sum(maps, [1, 2, 3]), backgroundShare(maps, masks)];
    });
    for (let n = 0; n < batch.count; n++) {
      checkFinite('gradCamBackground', totals[n], batch.indices[n]);
      if (batch.hasMask[n] === 0) continue;
      if (totals[n] === 0) empty++;
      else shares.push(values[n]);
    }
  });
  return {
    share: shares.length === 0 ? null : meanOf(shares),
    maps: { explained: shares.length + empty, empty },
  };
}
