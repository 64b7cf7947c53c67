// Multi-task learning: one network that segments and classifies, in the hope that what it learns of the object it uses.
import { add, mul } from '../../engine/ops/arithmetic.ts';
import type { MultiTaskUNet } from '../../nn/models/multi-task-unet.ts';
import { type Batch, type ClassificationOptions, classificationLoss, type Losses } from '../objective.ts';
import { maskLoss } from './masks.ts';
import { type Method, singlePhase } from './method.ts';

export interface MultiTaskOptions {
  /** Weight w of the segmentation loss. The authors' is not in their code; default 1. */
  readonly maskWeight?: number;
}

/** L = cross-entropy(z, t) + w BCE(u, M) for class logits z and mask logits u of one U-Net. */
export function multiTaskLosses(
  model: MultiTaskUNet,
  batch: Batch,
  { maskWeight = 1 }: MultiTaskOptions = {},
  options: ClassificationOptions = {},
): Losses {
  const { logits, mask } = model.run(batch.images);
  const classification = classificationLoss(logits, batch, options);
  const segmentation = maskLoss(mask, batch);
  const total = add(classification, mul(segmentation, maskWeight));
  return { logits, total, classification, heatmap: segmentation };
}

/** The method with these weights. */
export const multiTaskMethod = (options: MultiTaskOptions = {}): Method => ({
  name: 'multi-task',
  title: 'Multi-task U-Net',
  source: 'Caruana 1997, Machine Learning 28, on the U-Net of Ronneberger et al. 2015, arXiv:1505.04597',
  loss: 'L = cross-entropy(z, t) + w BCE(u, M),   w = 1',
  data: 'biased',
  needsMasks: true,
  needsMasksAtTest: false,
  plan({ init, input, networks, ...classification }) {
    const model = networks.multiTask(init, input);
    return singlePhase(model, (_, batch) => multiTaskLosses(model, batch, options, classification));
  },
});
