// All attributions by name: what command lines and comparisons choose from.
import type { Attribution } from './attribution.ts';
import { gradCam } from './grad-cam.ts';
import { gradient, inputTimesGradient } from './gradient.ts';
import { integratedGradients } from './integrated-gradients.ts';
import { occlusion } from './occlusion.ts';
import { lrp, lrpFlex } from './relevance.ts';
import { deconvnet, guidedBackprop } from './relu-rules.ts';
import { smoothGrad } from './smooth-grad.ts';

/** Every attribution with its own defaults; call the function itself to pass options of its own. */
export const attributions = {
  lrp,
  lrpFlex,
  gradient,
  inputTimesGradient,
  integratedGradients,
  smoothGrad,
  guidedBackprop,
  deconvnet,
  occlusion,
  gradCam,
} satisfies Readonly<Record<string, Attribution>>;

export type AttributionName = keyof typeof attributions;
