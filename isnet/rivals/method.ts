// What a method is, so that all of them can be trained and judged alike: networks, losses, images, and nothing else.
import { metaTensor } from '../../engine/meta-device.ts';
import { scope } from '../../engine/scope.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { ancestorsOf } from '../../engine/walk.ts';
import { type Init, inEvaluation, type Module } from '../../nn/module.ts';
import type { BatchSource } from '../data/source.ts';
import type { ModelInput } from '../from-config.ts';
import type { ClassificationOptions, Objective } from '../objective.ts';
import type { HeatmapWeight } from '../weight.ts';
import type { Networks } from './networks.ts';

/**
 * Which images a method is trained and tested on: the `biased` ones, as all that compete; the `unbiased` ones, for the
 * oracle, which is no competitor but a bound; or the biased ones `masked`: background pixels are 0, in tests too.
 */
export type MethodData = 'biased' | 'unbiased' | 'masked';

/** What all methods of a comparison share. `init.random` is a fresh stream of the same seed for each of them. */
export interface MethodSetting extends ClassificationOptions {
  readonly init: Init;
  readonly input: ModelInput;
  readonly networks: Networks;
}

/** One training. A method with several does them in order, each with the whole budget. */
export interface Phase {
  readonly title: string;
  /** What is trained; other parts of the method, trained before, lie in the objective. */
  readonly model: Module;
  readonly objective: Objective;
  /** Weight of the heatmap loss over the run, for an objective that looks at P. */
  readonly P?: HeatmapWeight;
  /** Awaited before the training, with the images that it will see: measures what the phases before have made. */
  readonly prepare?: (train: BatchSource) => Promise<void>;
}

/** A method that is made: its networks with fresh weights, and how they are trained. */
export interface MethodPlan {
  readonly phases: readonly Phase[];
  /** What runs at test time: images [N, C, H, W] -> logits [N, classes]. */
  readonly classifier: Module;
  /** Releases all tensors of the method. */
  dispose(): void;
}

/** A way to train a classifier that is to ignore backgrounds; or one that is not, to compare with. */
export interface Method {
  /** `right-reasons`: what commands take. */
  readonly name: string;
  readonly title: string;
  /** Where it was published. */
  readonly source: string;
  /** What is minimised, as an equation. */
  readonly loss: string;
  readonly data: MethodData;
  /** Whether training looks at masks. */
  readonly needsMasks: boolean;
  /** Whether it must be given the mask of an image that it is to classify. */
  readonly needsMasksAtTest: boolean;
  plan(setting: MethodSetting): MethodPlan;
}

/** A plan of one network and one loss. */
export function singlePhase(
  model: Module,
  objective: Objective,
  options: Pick<Phase, 'P'> & { readonly owned?: readonly { dispose(): void }[] } = {},
): MethodPlan {
  const { owned = [], ...rest } = options;
  return {
    phases: [{ title: 'classifier', model, objective, ...rest }],
    classifier: model,
    dispose() {
      for (const part of [model, ...owned]) part.dispose();
    },
  };
}

/** Numbers of parameters. */
export interface ParameterCounts {
  /** Of all networks that training moves. */
  readonly training: number;
  /** That the logits depend on: what has to be deployed. */
  readonly runTime: number;
}

/** Counts parameters by looking at which of them a forward pass meets. Nothing is computed. */
export function parameterCounts(
  { phases, classifier }: MethodPlan,
  { channels, height, width }: ModelInput,
): ParameterCounts {
  const trained = new Set(phases.flatMap(({ model }) => model.parameters()));
  const count = (tensors: Iterable<Tensor>) => [...tensors].reduce((sum, t) => sum + sizeOf(t.shape), 0);
  const [{ device }] = trained;
  const met = scope(device, () => {
    const logits = inEvaluation(classifier, () =>
      classifier.forward(metaTensor([1, channels, height, width])),
    );
    const seen = new Set(ancestorsOf(logits));
    return [...trained].filter((t) => seen.has(t));
  });
  return { training: count(trained), runTime: count(met) };
}
