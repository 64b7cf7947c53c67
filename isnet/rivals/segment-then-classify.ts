// Segment, then classify: a U-Net finds the object, and a classifier sees that alone. Two trainings and two networks.
import { mul } from '../../engine/ops/arithmetic.ts';
import { step } from '../../engine/ops/pointwise.ts';
import { withoutRecording } from '../../engine/scope.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { inEvaluation, Module } from '../../nn/module.ts';
import type { Batch, Losses } from '../objective.ts';
import { classificationLoss, type Objective } from '../objective.ts';
import { maskLoss } from './masks.ts';
import type { Method } from './method.ts';

/** x times the mask that the U-Net predicts (probability above 1/2), through a classifier. The U-Net is not trained here. */
export class SegmentThenClassify extends Module {
  readonly unet: Module;
  readonly classifier: Module;

  constructor(unet: Module, classifier: Module) {
    super();
    this.unet = unet;
    this.classifier = classifier;
  }

  /** Images with the background as the U-Net sees it set to 0. */
  foreground(x: Tensor): Tensor {
    return mul(x, this.predictedMask(x));
  }

  /** [N, 1, H, W], 0 or 1. */
  predictedMask(x: Tensor): Tensor {
    // In evaluation mode: training the classifier must not move the U-Net's statistics.
    return inEvaluation(this.unet, () => step(this.unet.forward(x)));
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.foreground(x));
  }
}

/** Loss of the U-Net alone: binary cross-entropy per pixel. There are no classes yet, so its logits are those of the mask. */
export const segmentationObjective: Objective = (unet, batch) => {
  const logits = unet.forward(batch.images);
  const loss = maskLoss(logits, batch);
  return { logits, total: loss, classification: loss, heatmap: null };
};

/** Loss of the classifier behind a U-Net that stays as it is. */
export function foregroundLosses(
  pipeline: SegmentThenClassify,
  batch: Batch,
  options: Parameters<typeof classificationLoss>[2],
): Losses {
  const { images } = batch;
  const seen = withoutRecording(images.device, () => pipeline.foreground(images));
  const logits = pipeline.classifier.forward(seen);
  const classification = classificationLoss(logits, batch, options);
  return { logits, total: classification, classification, heatmap: null };
}

export const segmentThenClassify: Method = {
  name: 'segment-then-classify',
  title: 'U-Net, then classifier',
  source:
    'Ronneberger et al. 2015, arXiv:1505.04597, as a first stage; the pipeline that ISNets are compared with',
  loss: 'L1 = BCE(u(x), M) for the U-Net u;  then L2 = cross-entropy(f(x [u(x) > 0]), t) for the classifier f',
  data: 'biased',
  needsMasks: true,
  needsMasksAtTest: false,
  plan({ init, input, networks, ...classification }) {
    // The classifier first: it draws the weights that the ordinary one has.
    const classifier = networks.classifier(init, input);
    const unet = networks.unet(init, input);
    const pipeline = new SegmentThenClassify(unet, classifier);
    return {
      phases: [
        { title: 'U-Net', model: unet, objective: segmentationObjective },
        {
          title: 'classifier',
          model: classifier,
          objective: (_, batch) => foregroundLosses(pipeline, batch, classification),
        },
      ],
      classifier: pipeline,
      dispose: () => pipeline.dispose(),
    };
  },
};
