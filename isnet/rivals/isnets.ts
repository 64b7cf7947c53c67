// The ISNets: all variants, with the same settings and the same network, and no cost at test time.
import { type Composite, isnetComposite } from '../../lrp/composite.ts';
import { stageNames } from '../deep-supervision.ts';
import { type Propagation, ruleCountOf } from '../maps.ts';
import { type IsnetOptions, isnetObjective } from '../objective.ts';
import type { RelevanceRange } from '../range.ts';
import { RunningRange } from '../running-range.ts';
import type { Variant } from '../seeds.ts';
import type { HeatmapWeight } from '../weight.ts';
import { type Method, singlePhase } from './method.ts';

/** What all ISNets of a comparison share. */
export interface IsnetSettings
  extends Pick<
    IsnetOptions,
    'd' | 'w1' | 'w2' | 'E' | 'foreground' | 'emptyMasks' | 'selectiveEps' | 'dLoss'
  > {
  /** Weight of the heatmap loss; default 0.7. */
  readonly P?: HeatmapWeight;
  /** C1 and C2; by default they are estimated during the training, which needs no other network. */
  readonly range?: RelevanceRange;
  readonly composite?: Composite;
}

/** What tells one ISNet from another. */
interface Kind {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  readonly variant: Variant;
  readonly propagation?: Propagation;
  readonly isDeep?: boolean;
}

const ORIGINAL = 'Bassi, Dertkigil and Cavalli 2024, Nature Communications 15:291, arXiv:2202.00232';
const FASTER = 'Bassi, Decherchi and Cavalli 2024, IEEE Access 12, arXiv:2401.08409';

const kinds = [
  { name: 'isnet-original', title: 'ISNet (original: every logit)', source: ORIGINAL, variant: 'original' },
  { name: 'isnet-selective', title: 'Selective ISNet', source: FASTER, variant: 'selective' },
  { name: 'isnet-stochastic', title: 'Stochastic ISNet', source: FASTER, variant: 'stochastic' },
  { name: 'isnet-dual', title: 'Dual ISNet (z+ and epsilon)', source: FASTER, variant: 'dual' },
  {
    name: 'isnet-flex',
    title: 'Stochastic ISNet by LRP-Flex',
    source: FASTER,
    variant: 'stochastic',
    propagation: 'flex',
  },
  {
    name: 'isnet-deep-supervision',
    title: 'Stochastic ISNet with LRP deep supervision',
    source: FASTER,
    variant: 'stochastic',
    isDeep: true,
  },
  {
    name: 'isnet-gradient-input',
    title: 'ISNet by gradient x input',
    source: `ablation of ${ORIGINAL}`,
    variant: 'original',
    propagation: 'gradient-input',
  },
  {
    name: 'isnet-softmax-gradient-input',
    title: 'ISNet by gradient x input of the softmax',
    source: `ablation of ${FASTER}`,
    variant: 'softmax',
    propagation: 'gradient-input',
  },
  {
    name: 'isnet-grad-cam',
    title: 'ISNet loss on Grad-CAM',
    source: `ablation of ${FASTER}; Grad-CAM: Selvaraju et al. 2017, arXiv:1610.02391`,
    variant: 'stochastic',
    propagation: 'grad-cam',
  },
] as const satisfies readonly Kind[];

/** Names of the ISNets. */
export type IsnetMethodName = (typeof kinds)[number]['name'];

const methodOf = (kind: Kind, { P = 0.7, range, composite, ...loss }: IsnetSettings): Method => ({
  name: kind.name,
  title: kind.title,
  source: kind.source,
  loss: 'L = (1 - P) cross-entropy(z, t) + P (w1 L1 + w2 L2),   P = 0.7',
  data: 'biased',
  needsMasks: true,
  needsMasksAtTest: false,
  plan({ init, input, networks, ...classification }) {
    const model = networks.classifier(init, input);
    const { variant, propagation } = kind;
    const deepSupervision = kind.isDeep ? stageNames(model) : [];
    const groups = (1 + deepSupervision.length) * ruleCountOf(kind);
    const runningRange = range ? undefined : new RunningRange(init.device, groups);
    const bounds = range ?? { runningRange };
    const objective = isnetObjective({
      ...classification,
      ...loss,
      variant,
      propagation,
      deepSupervision,
      composite: composite ?? isnetComposite(),
      ...bounds,
    });
    return singlePhase(model, objective, { P, owned: runningRange ? [runningRange] : [] });
  },
});

/** All ISNets with these settings, in the order of their publication. */
export const isnetMethods = (settings: IsnetSettings = {}): Method[] =>
  kinds.map((kind) => methodOf(kind, settings));
