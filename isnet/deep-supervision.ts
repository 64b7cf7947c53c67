// LRP Deep Supervision (LDS, arXiv:2401.08409): the heatmap loss at several depths of the network, pooled to one number.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { adaptiveAvgPool2d } from '../engine/ops/avg-pool.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { step } from '../engine/ops/pointwise.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { ancestorsOf } from '../engine/walk.ts';
import { Conv2d, MaxPool2d } from '../nn/layers.ts';
import { DenseNet } from '../nn/models/densenet.ts';
import { ResNet } from '../nn/models/resnet.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { Vgg } from '../nn/models/vgg.ts';
import type { Module, Sequential } from '../nn/module.ts';
import { gwrp } from './gwrp.ts';

/** Children of `features` that follow one that fits, by their names; `end` stands for what follows the last. */
function followers(features: Sequential, end: string, fits: (module: Module) => boolean): string[] {
  const children = features.children();
  return children.flatMap(([, module], i) => {
    if (!fits(module)) return [];
    return [i + 1 < children.length ? `features.${children[i + 1][0]}` : end];
  });
}

/**
 * The modules at whose inputs the papers look: behind each stage of a ResNet, each transition's ReLU and the last ReLU of a
 * DenseNet, each max-pooling of a VGG; and behind each convolution's ReLU (and pool) of our small CNN. Throws UsageError
 * for other networks: name their modules.
 */
export function stageNames(model: Module): string[] {
  if (model instanceof ResNet) return ['layer2', 'layer3', 'layer4', 'avgpool'];
  if (model instanceof DenseNet) {
    const transitions = model.features.children().filter(([name]) => name.startsWith('transition'));
    return [...transitions.map(([name]) => `features.${name}.conv`), 'avgpool'];
  }
  if (model instanceof Vgg) {
    return followers(model.features, 'avgpool', (module) => module instanceof MaxPool2d);
  }
  if (model instanceof SmallCnn) {
    const convolutions = model.features.children().filter(([, module]) => module instanceof Conv2d);
    return [...convolutions.slice(1).map(([name]) => `features.${name}`), 'classifier'];
  }
  throw new UsageError(
    `deep supervision: no stages are known for a ${model.constructor.name}; name the modules whose inputs have masks`,
  );
}

/**
 * Inputs [N, C, H, W] of the modules with these names in a recorded forward pass; of a container the input of its first
 * executed layer. Throws UsageError for a module that the pass did not run, and ShapeError for an input that is no map.
 */
export function inputsOfModules(model: Module, names: readonly string[], logits: Tensor): Tensor[] {
  if (names.length === 0) return [];
  const calls = ancestorsOf(logits).flatMap(({ call }) => call ?? []);
  const modules = new Map(model.namedModules());
  return names.map((name) => {
    const inside = new Set<object>(
      modules
        .get(name)
        ?.namedModules()
        .map(([, module]) => module),
    );
    const first = calls.find(({ layer }) => inside.has(layer));
    if (!first) {
      throw new UsageError(
        `deep supervision: the forward pass runs no module '${name}'; use one of ${[...modules.keys()].filter(Boolean).join(', ')}`,
      );
    }
    const { input } = first;
    if (input.shape.length !== 4) {
      throw new ShapeError(
        `deep supervision: the input of '${name}' is ${formatShape(input.shape)}; masks lie on maps [N, C, H, W], name a module before`,
      );
    }
    return input;
  });
}

/**
 * Masks [.., 1, H, W] on a smaller map: 1 where a cell holds any foreground, so that nothing in the object is penalised.
 * The published code averages adaptively and takes all that is not 0. Returns [.., 1, h, w].
 */
export function masksAt(masks: Tensor, [h, w]: readonly [number, number]): Tensor {
  const { shape } = masks;
  if (shape.at(-2) === h && shape.at(-1) === w) return masks;
  const planes = reshape(masks, [-1, ...shape.slice(-3)]);
  return reshape(step(adaptiveAvgPool2d(planes, [h, w])), [...shape.slice(0, -2), h, w]);
}

/** Losses [] of all depths as one: GWRP over the depths, so d = 1 is their mean and d = 0 the largest. Returns []. */
export function overDepths(losses: readonly Tensor[], d: number): Tensor {
  if (losses.length === 1) return losses[0];
  return gwrp(
    concat(
      losses.map((loss) => reshape(loss, [1])),
      0,
    ),
    d,
  );
}
