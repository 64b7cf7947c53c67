// Methods whose loss is that of an ordinary classifier. They differ in what they are shown, or in the network.
import { classifierObjective } from '../objective.ts';
import { type Method, singlePhase } from './method.ts';

const CROSS_ENTROPY = 'L = cross-entropy(z, t)';
const noMasks = { needsMasks: false, needsMasksAtTest: false } as const;

/** The network without any protection: what all methods are measured against. */
export const classifier: Method = {
  name: 'classifier',
  title: 'Ordinary classifier',
  source: 'the network itself',
  loss: CROSS_ENTROPY,
  data: 'biased',
  ...noMasks,
  plan: ({ init, input, networks, ...classification }) =>
    singlePhase(networks.classifier(init, input), classifierObjective(classification)),
};

/** The same network, trained on images without the bias: what a method can hope for. */
export const oracle: Method = {
  ...classifier,
  name: 'oracle',
  title: 'Oracle (trained without the bias)',
  source: 'upper bound',
  data: 'unbiased',
};

/**
 * The same network on images whose background is 0. It needs a mask for each image that it is to classify, so it is a
 * bound, too, where nobody draws them.
 */
export const maskedInput: Method = {
  ...classifier,
  name: 'masked-input',
  title: 'Masked input',
  source: 'upper bound with true masks',
  loss: 'L = cross-entropy(f(x M), t)',
  data: 'masked',
  needsMasks: true,
  needsMasksAtTest: true,
};

/** A network that can choose where to look, and is not told where. */
export const attentionGated: Method = {
  ...classifier,
  name: 'attention-gated',
  title: 'AG-Sononet',
  source: 'Schlemper et al. 2019, Medical Image Analysis 53, arXiv:1808.08114',
  plan: ({ init, input, networks, ...classification }) =>
    singlePhase(networks.attentionGated(init, input), classifierObjective(classification)),
};

/** A network whose every layer sees the whole image. */
export const visionTransformer: Method = {
  ...classifier,
  name: 'vision-transformer',
  title: 'Vision transformer',
  source: 'Dosovitskiy et al. 2021, arXiv:2010.11929',
  plan: ({ init, input, networks, ...classification }) =>
    singlePhase(networks.transformer(init, input), classifierObjective(classification)),
};
