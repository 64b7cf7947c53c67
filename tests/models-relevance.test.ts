// Relevance on whole networks: nothing is lost without a name, and LRP as rules is LRP-Flex as gradients.
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { readAll, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { randomStream } from '../engine/random-bits.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { epsilonComposite, isnetComposite, type LayerContext } from '../lrp/composite.ts';
import { targetRows, targetSeed } from '../lrp/explain.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { leakCauses, leakReport } from '../lrp/leak.ts';
import { relevance } from '../lrp/relevance.ts';
import { epsilon } from '../lrp/rules.ts';
import { createModel } from '../nn/models/index.ts';
import { UNet } from '../nn/models/unet.ts';
import type { Init, Module } from '../nn/module.ts';
import { relativeError } from './golden-flex.ts';
import { fillByName, goldenUniform } from './golden-random.ts';
import { withGpu } from './gpu.ts';
import { isThorough } from './thorough.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

interface Filled {
  readonly model: Module;
  readonly input: Tensor;
}

/** A network with parameters that are neither 0 nor 1, and an image [1, 3, 32, 32]. */
function filled(device: Device, make: (init: Init) => Module): Filled {
  const model = make({ device, random: randomStream(0, 'relevance'), isBlank: true }).eval();
  fillByName(model, { seed: 11, gain: 0.8 });
  const input = tensor(device, goldenUniform(0, 1, 'input', 11, 3 * 32 * 32), [1, 3, 32, 32]);
  return { model, input };
}

const named = (name: string) => (init: Init) => createModel(name, init, { classes: 3, dropout: 0 });

const total = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, v) => sum + v, 0);

describe('what is explained is the relevance of the image and the leaks that the report names', () => {
  async function expectAudited({ model, input }: Filled, bound: number): Promise<void> {
    const output = model.forward(input);
    const composite = isnetComposite({ bias: 'keep', statisticsGradient: 'keep' });
    // One logit of a classifier, and all pixels of a mask.
    const seed = output.shape.length === 2 ? targetSeed(output, 0, composite) : output;
    const options = { output, seed, input, composite, model };
    const [given, R] = (await readAll([seed, relevance(options)])).map(total);
    const { rows } = await leakReport(options);
    // Sums in f32 are as good as the numbers in them are small: positive and negative leaks cancel.
    const scale = Math.max(Math.abs(given), ...rows.map(({ atOutput }) => Math.abs(atOutput[0])));
    const lost = rows.flatMap(({ leaks }) => leakCauses.map((cause) => leaks[cause][0]));
    expect(Math.abs(R + total(lost) - given) / scale).toBeLessThan(bound);
    for (const { name, kind, unexplained } of rows) {
      expect(Math.abs(unexplained[0]) / scale, `${name} ${kind}`).toBeLessThan(bound);
    }
    // Named leaks are no excuse for losing everything.
    expect(Math.abs(R)).toBeGreaterThan(0.01 * Math.abs(given));
  }

  const networks = ['resnet18', 'densenet121', 'vit_small'];
  test.each(networks)('%s in f32', (name) => expectAudited(filled(gpu, named(name)), 2e-5), 60_000);
  test.runIf(isThorough).each(networks)(
    '%s in f64',
    (name) => expectAudited(filled(new CpuDevice(), named(name)), 1e-9),
    300_000,
  );
  test('a U-Net in f64', () => {
    const make = (init: Init) => new UNet(init, { classes: 1, width: 2, depth: 3 });
    return expectAudited(filled(new CpuDevice(), make), 1e-9);
  });
});

// The spec of both: LRP-Flex has its stabiliser at ReLUs and nowhere else. DenseNet has no sums, whose stabilisers differ.
test('DenseNet121: rules with a stabiliser before ReLUs alone give the maps of LRP-Flex', {
  timeout: 60_000,
}, async () => {
  const { model, input } = filled(gpu, named('densenet121'));
  const logits = model.forward(input);
  const eps = 1e-2;
  const none = 1e-9;
  const isBeforeRelu = ({ name }: LayerContext) => !/(conv2|transition\d\.conv|classifier)$/.test(name);
  const ruleFor = (layer: LayerContext) => epsilon(isBeforeRelu(layer) ? eps : none);
  const rules = { ...epsilonComposite({ eps: none, bias: 'keep', statisticsGradient: 'keep' }), ruleFor };
  const rows = targetRows(logits, 0);
  const asRules = relevance({ output: logits, seed: mul(rows, logits), input, composite: rules, model });
  const flex = { ...epsilonComposite({ eps }), ruleFor: () => null };
  const asGradients = flexRelevance({ output: logits, seed: rows, input, composite: flex, model });
  const [R, G] = await readAll([asRules, asGradients]);
  expect(relativeError(R, G)).toBeLessThan(2e-5);
});
