// The ISNets: all variants, with the same settings and the same network, and no cost at test time.
import { UsageError } from '../../engine/errors.ts';
import { type Composite, isnetComposite } from '../../lrp/composite.ts';
import { stageNames } from '../deep-supervision.ts';
import { type Propagation, ruleCountOf } from '../maps.ts';
import { classifierObjective, type IsnetOptions, isnetObjective, type Objective } from '../objective.ts';
import { naturalRange, type RelevanceRange } from '../range.ts';
import { RunningRange } from '../running-range.ts';
import type { Variant } from '../seeds.ts';
import type { HeatmapWeight } from '../weight.ts';
import { type Method, type MethodPlan, type MethodSetting, singlePhase } from './method.ts';

export const DEFAULT_P = 0.7;

/** What all ISNets of a comparison share. */
export interface IsnetSettings
  extends Pick<
    IsnetOptions,
    'd' | 'w1' | 'w2' | 'E' | 'foreground' | 'emptyMasks' | 'selectiveEps' | 'dLoss'
  > {
  /** Weight of the heatmap loss; default 0.7. */
  readonly P?: HeatmapWeight;
  /**
   * C1 and C2. `running`, the default: estimated during the training, which needs no other network. `natural`: the published
   * procedure, measured on an ordinary copy of the network, which is trained first, with a budget of its own.
   */
  readonly range?: RelevanceRange | 'running' | 'natural';
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

// The mean of 1,000 totals is known to a few per cent, and C1 is a fifth of it.
const RANGE_IMAGES = 1000;

/** The network, what it minimises, and what is trained or kept beside it for C1 and C2. */
function planOf(kind: Kind, settings: IsnetSettings, setting: MethodSetting): MethodPlan {
  const { P = DEFAULT_P, range = 'running', composite = isnetComposite(), ...loss } = settings;
  const { init, input, networks, ...classification } = setting;
  const model = networks.classifier(init, input);
  const { variant, propagation } = kind;
  const maps = {
    variant,
    propagation,
    composite,
    deepSupervision: kind.isDeep ? stageNames(model) : [],
  };
  const objectiveWith = (bounds: Partial<RelevanceRange> & Pick<IsnetOptions, 'runningRange'>) =>
    isnetObjective({ ...classification, ...loss, ...maps, ...bounds });
  if (range === 'running') {
    const groups = (1 + maps.deepSupervision.length) * ruleCountOf(kind);
    const runningRange = new RunningRange(init.device, groups);
    return singlePhase(model, objectiveWith({ runningRange }), { P, owned: [runningRange] });
  }
  if (range !== 'natural') return singlePhase(model, objectiveWith(range), { P });
  const copy = networks.classifier(init, input);
  let objective: Objective | null = null;
  return {
    phases: [
      { title: 'ordinary copy', model: copy, objective: classifierObjective(classification) },
      {
        title: 'classifier',
        model,
        P,
        async prepare(train) {
          objective = objectiveWith(
            await naturalRange(init.device, copy, train, maps, { limit: RANGE_IMAGES }),
          );
        },
        objective(own, inputs) {
          if (!objective) throw new UsageError(`${kind.name}: C1 and C2 are not known; call prepare first`);
          return objective(own, inputs);
        },
      },
    ],
    classifier: model,
    dispose() {
      for (const part of [model, copy]) part.dispose();
    },
  };
}

/** `0.7`, or what it is from one epoch to another as JSON. */
const weightText = (P: HeatmapWeight): string => JSON.stringify(P);

const methodOf = (kind: Kind, settings: IsnetSettings): Method => ({
  name: kind.name,
  title: kind.title,
  source: kind.source,
  loss: `L = (1 - P) cross-entropy(z, t) + P (w1 L1 + w2 L2),   P = ${weightText(settings.P ?? DEFAULT_P)}`,
  data: 'biased',
  needsMasks: true,
  needsMasksAtTest: false,
  plan: (setting) => planOf(kind, settings, setting),
});

/** All ISNets with these settings, in the order of their publication. */
export const isnetMethods = (settings: IsnetSettings = {}): Method[] =>
  kinds.map((kind) => methodOf(kind, settings));
