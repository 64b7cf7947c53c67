// Networks by name with leaky ReLUs: every ReLU is one, weights stay as they are, and relevance is what it is for ReLUs.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, read, readAll, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { adjoint } from '../engine/grad.ts';
import { MetaDevice, metaTensor } from '../engine/meta-device.ts';
import { mean, mul } from '../engine/ops/arithmetic.ts';
import { randomStream } from '../engine/random-bits.ts';
import { scope } from '../engine/scope.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { collapseSigns } from '../isnet/collapse.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { memorySource } from '../isnet/data/source.ts';
import { silencing } from '../isnet/evaluation/silencing.ts';
import { heatmapLoss } from '../isnet/heatmap-loss.ts';
import { isnetMaps } from '../isnet/maps.ts';
import { rectifiersOf } from '../isnet/rectifiers.ts';
import { epsilonComposite, isnetComposite, type LayerContext } from '../lrp/composite.ts';
import { targetRows, targetSeed } from '../lrp/explain.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { leakCauses, leakReport } from '../lrp/leak.ts';
import { relevance } from '../lrp/relevance.ts';
import { epsilon } from '../lrp/rules.ts';
import { LeakyReLU } from '../nn/activations.ts';
import { DenseNet } from '../nn/models/densenet.ts';
import { createModel, models } from '../nn/models/index.ts';
import { ResNet, resnetSizes } from '../nn/models/resnet.ts';
import type { Init, Module } from '../nn/module.ts';
import { rectifier } from '../nn/rectifier.ts';
import { stateLayout } from '../nn/state-dict.ts';
import { relativeError } from './golden-flex.ts';
import { goldenUniform } from './golden-random.ts';
import { withGpu } from './gpu.ts';
import { fillNet } from './small-nets.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const SLOPE = 0.1;
const initOn = (device: Device): Init => ({ device, random: randomStream(0, 'leaky'), isBlank: true });

describe('a network by name', () => {
  // As many as the papers have: DenseNet-121 one before each convolution but the first and one before its head.
  const rectifierCounts = {
    resnet18: 17,
    resnet50: 49,
    densenet121: 121,
    vgg11: 10,
    vgg11_bn: 10,
    'small-cnn': 3,
  };
  test.each(Object.entries(rectifierCounts))('%s has %i leaky ReLUs and no other', (name, count) => {
    // Shapes alone: a VGG's numbers would fill a gigabyte.
    const device = new MetaDevice();
    const { imageSize } = models[name as keyof typeof rectifierCounts];
    const shape = [2, 3, imageSize, imageSize];
    const make = (negativeSlope?: number) =>
      createModel(name, initOn(device), { classes: 2, negativeSlope }).eval();
    const found = (model: Module) =>
      rectifiersOf(model, model.forward(metaTensor(shape, device))).map(({ isLeaky, layer }) => ({
        isLeaky,
        layer,
      }));
    const [plain, leaky] = [make(), make(SLOPE)];
    expect(found(plain).filter(({ isLeaky }) => !isLeaky)).toHaveLength(count);
    expect(found(leaky)).toEqual(found(plain).map(({ layer }) => ({ isLeaky: true, layer })));
    const slopes = leaky
      .namedModules()
      .flatMap(([, module]) => (module instanceof LeakyReLU ? module.negativeSlope : []));
    expect(new Set(slopes)).toEqual(new Set([SLOPE]));
    expect([...stateLayout(leaky)]).toEqual([...stateLayout(plain)]);
  });

  test.each(['vit_b_16', 'vit_small', 'unet'])('%s takes no slope', (name) => {
    const make = (negativeSlope: number) =>
      createModel(name, initOn(new MetaDevice()), { classes: 2, negativeSlope });
    expect(() => make(SLOPE)).toThrow(UsageError);
    expect(() => make(SLOPE)).toThrow(`'${name}' takes no negativeSlope, and it is 0.1; leave it out`);
    if (name === 'vit_small') expect(stateLayout(make(0)).size).toBeGreaterThan(0);
  });

  test.each([1, -0.1, Number.NaN])('takes no slope of %d', (slope) => {
    expect(() => rectifier(slope)).toThrow(`negativeSlope is ${slope}; use a number from 0 to below 1`);
    const make = () =>
      createModel('resnet18', initOn(new MetaDevice()), { classes: 2, negativeSlope: slope });
    expect(make).toThrow(UsageError);
  });
});

interface Tiny {
  readonly make: (init: Init, negativeSlope: number) => Module;
  /** [C, H, W] */
  readonly input: Shape;
  /** Layers without a ReLU right behind them, where LRP-Flex has no stabiliser. Of sums with a ReLU behind, rules have another. */
  readonly unrectified?: RegExp;
}

/** The first block alone: it has 64 channels, and more of them would take seconds in f64. */
const residual = (block: 'resnet18' | 'resnet50'): Tiny => ({
  make: (init, negativeSlope) =>
    new ResNet(init, {
      ...resnetSizes[block],
      counts: [1, 0, 0, 0],
      classes: 3,
      inChannels: 1,
      negativeSlope,
    }),
  input: [1, 6, 8],
});

/** Both ways to join branches, and every place of a BatchNorm. */
const tinyNets: Readonly<Record<string, Tiny>> = {
  'ResNet of basic blocks': residual('resnet18'),
  'ResNet of bottlenecks': residual('resnet50'),
  DenseNet: {
    make: (init, negativeSlope) =>
      new DenseNet(init, { stem: 6, growth: 4, counts: [2, 1], classes: 3, inChannels: 1, negativeSlope }),
    input: [1, 16, 16],
    unrectified: /(conv2|transition\d\.conv|classifier)$/,
  },
};
const cases = Object.entries(tinyNets);

interface Filled {
  readonly model: Module;
  readonly input: Tensor;
}

/** The network with numbers that are neither 0 nor 1, and two images in [0, 1]. */
function filled(device: Device, { make, input }: Tiny, { withBias = true, slope = SLOPE } = {}): Filled {
  const model = make(initOn(device), slope).eval();
  fillNet(model, { withBias });
  const shape = [2, ...input];
  return { model, input: tensor(device, goldenUniform(0, 1, 'leaky', 3, sizeOf(shape)), shape) };
}

/** Heatmap loss of an ISNet for the images, of which the left half is the object. */
function lossOf({ model, input }: Filled): Tensor {
  const { device, shape } = input;
  const composite = isnetComposite({ eps: 0.1, bias: 'keep', statisticsGradient: 'keep' });
  const maps = isnetMaps(model, input, model.forward(input), { variant: 'selective', composite });
  const side = shape[3];
  const masks = Array.from({ length: sizeOf(shape) }, (_, i) => Number(i % side < side / 2));
  return mean(heatmapLoss(maps, tensor(device, masks, shape), { C1: 1, C2: 3, w2: 0.5 }).perSample);
}

describe.each(cases)('a tiny leaky %s', (_, net) => {
  test('gives other logits than with plain ReLUs', async () => {
    const images = (slope: number) => filled(new CpuDevice(), net, { slope });
    const logits = ({ model, input }: Filled) => read(model.forward(input));
    expect(relativeError(await logits(images(SLOPE)), await logits(images(0)))).toBeGreaterThan(1e-2);
  });

  test('loses no relevance without biases', async () => {
    const { model, input } = filled(new CpuDevice(), net, { withBias: false });
    const output = model.forward(input);
    const composite = epsilonComposite({ eps: 1e-12 });
    const seed = targetSeed(output, 1, composite);
    const R = dataOf(relevance({ output, seed, input, composite, model }));
    const size = R.length / 2;
    for (const n of [0, 1]) {
      const total = R.slice(n * size, (n + 1) * size).reduce((sum, v) => sum + v, 0);
      const logit = dataOf(output)[3 * n + 1];
      expect(Math.abs(logit)).toBeGreaterThan(1e-3);
      expect(total / logit).toBeCloseTo(1, 7);
    }
  });

  test('loses with biases what the leak report names', async () => {
    const { model, input } = filled(new CpuDevice(), net);
    const output = model.forward(input);
    const composite = isnetComposite({ bias: 'keep', statisticsGradient: 'keep' });
    const options = { output, seed: targetSeed(output, 0, composite), input, composite, model };
    const { rows } = await leakReport(options);
    const total = (values: ArrayLike<number>) => Array.from(values).reduce((sum, v) => sum + v, 0);
    const lost = rows.flatMap(({ leaks }) => leakCauses.map((cause) => total(leaks[cause])));
    const [given, left] = [options.seed, relevance(options)].map((t) => total(dataOf(t)));
    expect(left + total(lost)).toBeCloseTo(given, 9);
    for (const { unexplained } of rows) expect(Math.hypot(...unexplained)).toBeLessThan(1e-9);
    expect(Math.abs(left - given)).toBeGreaterThan(1e-3);
  });

  test('has by rules the maps of LRP-Flex', () => {
    const { model, input } = filled(new CpuDevice(), net);
    const output = model.forward(input);
    const none = 1e-13;
    const eps = net.unrectified ? 0.05 : none;
    const ruleFor = ({ name }: LayerContext) => epsilon(net.unrectified?.test(name) ? none : eps);
    const rules = { ...epsilonComposite({ eps: none, bias: 'keep', statisticsGradient: 'keep' }), ruleFor };
    const rows = targetRows(output, [0, 2]);
    const R = relevance({ output, seed: mul(rows, output), input, composite: rules, model });
    const flex = { ...epsilonComposite({ eps }), ruleFor: () => null };
    const G = flexRelevance({ output, seed: rows, input, composite: flex, model });
    expect(relativeError(dataOf(R), dataOf(G))).toBeLessThan(1e-8);
  });

  test('has finite differences of the heatmap loss for gradients', () => {
    const lossWith = (name: string, k: number, delta: number): number => {
      const device = new CpuDevice();
      return scope(device, () => {
        const moved = filled(device, net);
        const t = moved.model.stateDict().get(name) as Tensor;
        const values = dataOf(t).map((v, i) => (i === k ? v + delta : v));
        assign(t, tensor(device, values, t.shape));
        return dataOf(lossOf(moved))[0];
      });
    };
    const whole = filled(new CpuDevice(), net);
    const parameters = [...whole.model.namedParameters()];
    const gradients = adjoint(
      lossOf(whole),
      parameters.map(([, t]) => t),
      tensor(whole.input.device, [1], []),
    );
    // Every third parameter: convolutions, scales, shifts and the head are all among them.
    for (let i = 0; i < parameters.length; i += 3) {
      const exact = dataOf(gradients[i]);
      const k = exact.length >> 1;
      const h = 1e-6;
      const name = parameters[i][0];
      const numeric = (lossWith(name, k, h) - lossWith(name, k, -h)) / (2 * h);
      expect(Math.abs(numeric - exact[k]), name).toBeLessThan(1e-6 * Math.max(1, Math.abs(exact[k])));
    }
  });

  test('has on the GPU the relevance and the gradients of f64', { timeout: 60_000 }, async () => {
    const results = async (device: Device) => {
      const own = filled(device, net);
      const [first] = own.model.parameters();
      const loss = lossOf(own);
      const [gradient] = adjoint(loss, [first], tensor(device, [1], []));
      const logits = own.model.forward(own.input);
      const maps = isnetMaps(own.model, own.input, logits, { variant: 'original' });
      return readAll([logits, maps, loss, gradient]);
    };
    const [actual, expected] = [await results(gpu), await results(new CpuDevice())];
    // Quotients of f32 by sums that may be small.
    for (const [i, values] of expected.entries()) {
      expect(relativeError(actual[i], values), `${i}`).toBeLessThan(2e-4);
    }
  });

  test('has no dead channel, and units that a background turns negative are found', async () => {
    const device = new CpuDevice();
    const { model, input } = filled(device, net);
    const [count, channels, height, width] = input.shape;
    const data: Dataset = {
      images: Float32Array.from(dataOf(input)),
      masks: Float32Array.from({ length: count * height * width }, (_, i) => Number(i % width < width / 2)),
      labels: new Uint8Array(count),
      ...{ count, channels, height, width, classNames: ['a', 'b', 'c'] },
    };
    expect((await collapseSigns(device, model, data)).firing).toEqual([]);
    const found = await silencing(device, model, memorySource(data));
    const names = model.namedModules().map(([name]) => name);
    const expectedCount = rectifiersOf(model, model.forward(input)).length;
    expect(found?.layers).toHaveLength(expectedCount);
    for (const { layer, firing } of found?.layers ?? []) {
      expect(names).toContain(layer);
      expect(layer).toMatch(/(bn|norm|downsample)/);
      expect(firing).toBeGreaterThan(0);
    }
    expect(found?.layers.some(({ silenced }) => silenced > 0)).toBe(true);
  });
});
