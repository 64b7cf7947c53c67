// The networks by name: names, shapes and outputs are torchvision's; other heads, other options, named errors.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { MetaDevice } from '../engine/meta-device.ts';
import { randomStream } from '../engine/random-bits.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Device } from '../engine/tensor.ts';
import { headNames } from '../nn/models/classifier.ts';
import { DenseNet, densenetSizes } from '../nn/models/densenet.ts';
import { createModel, isModelName, type ModelName, models } from '../nn/models/index.ts';
import { ResNet, resnetSizes } from '../nn/models/resnet.ts';
import { UNet } from '../nn/models/unet.ts';
import { vggFeatures, vggSizes } from '../nn/models/vgg.ts';
import type { Init, Module } from '../nn/module.ts';
import { loadStateDict, readTensors, stateLayout } from '../nn/state-dict.ts';
import { goldenJson } from './golden-files.ts';
import { relativeError } from './golden-flex.ts';
import { fillByName, goldenUniform } from './golden-random.ts';
import { withGpu } from './gpu.ts';
import { isThorough } from './thorough.ts';

/** torchvision_models.json; made by golden-tools/torchvision_models.py. */
interface TorchvisionFile {
  readonly seed: number;
  readonly classes: number;
  readonly cases: readonly {
    readonly name: ModelName;
    readonly layout: string;
    readonly tensors: number;
    readonly parameters: number;
    readonly gain: number;
    readonly imageSize: number;
    readonly output: readonly number[];
  }[];
}

const files = goldenJson('torchvision_models').map(({ value }) => value as TorchvisionFile);
const cases = files.flatMap(({ cases, ...file }) => cases.map((expected) => ({ ...file, ...expected })));
type Case = (typeof cases)[number];

const blank = (device: Device): Init => ({ device, random: randomStream(0, 'models'), isBlank: true });
const drawing = (device: Device): Init => ({ device, random: randomStream(5, 'models') });

/** The network of a case; the U-Net's is small. */
function published({ name, classes }: Case, device: Device, imageSize?: number): Module {
  return name === 'unet'
    ? new UNet(blank(device), { classes: 1, width: 4, depth: 3 })
    : createModel(name, blank(device), { classes, imageSize });
}

describe('names and shapes are those of a torchvision state dict', () => {
  test.each(cases)('$name', (expected) => {
    const net = published(expected, new MetaDevice());
    const lines = [...stateLayout(net)].map(([name, shape]) => `${name} ${shape.join()}`).sort();
    expect(lines.length).toBe(expected.tensors);
    const parameters = [...net.namedParameters().values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    expect(parameters).toBe(expected.parameters);
    expect(createHash('sha256').update(lines.join('\n')).digest('hex')).toBe(expected.layout);
  });

  test('for every network but our own small one', () => {
    const names: string[] = cases.map(({ name }) => name);
    expect([...names, 'small-cnn'].sort()).toEqual(Object.keys(models).sort());
  });
});

describe("outputs are torchvision's", () => {
  let gpu: Device;
  withGpu((device) => {
    gpu = device;
  });

  /** The part that is compared: of a VGG the convolutions, because the dense layers are large and alike in all. */
  function filled(expected: Case): Module {
    const { name, imageSize } = expected;
    if (!Object.hasOwn(vggSizes, name)) {
      const net = published(expected, gpu, imageSize).eval();
      fillByName(net, expected);
      return net;
    }
    const features = vggFeatures(blank(gpu), vggSizes[name as keyof typeof vggSizes]).eval();
    fillByName(features, { ...expected, prefix: 'features.' });
    return features;
  }

  // One of each kind of block; names and shapes above say that the others have more of the same.
  const isQuick = ({ name }: Case) =>
    /^(resnet18|resnet50|densenet121|vgg11|vgg11_bn|vit_small|unet)$/.test(name);
  const wanted = cases.filter((expected) => isThorough || isQuick(expected));

  test.each(wanted)('$name', { timeout: 60_000 }, async (expected) => {
    const { seed, imageSize: size } = expected;
    const net = filled(expected);
    const image = tensor(gpu, goldenUniform(0, 1, 'input', seed, 3 * size * size), [1, 3, size, size]);
    const output = withoutRecording(gpu, () => scope(gpu, () => net.forward(image)));
    // f32 through up to 200 layers.
    expect(relativeError(await read(output), expected.output)).toBeLessThan(1e-4);
    net.dispose();
  });
});

describe('weights made for other classes', () => {
  const device = new CpuDevice();
  const small = { inChannels: 1, imageSize: 8 };
  const fileOf = async (classes: number) => {
    const net = createModel('small-cnn', drawing(device), { ...small, classes });
    return new Map(await readTensors(net.stateDict()));
  };

  test('are refused, with the way to load the rest', async () => {
    const net = createModel('small-cnn', drawing(device), { ...small, classes: 3 });
    const tensors = await fileOf(5);
    expect(() => loadStateDict(net, tensors)).toThrow(
      /2 misshapen \(classifier\.3\.weight is \[3, 32\] in the model and \[5, 32\].*headNames\(model\)/,
    );
  });
  test('load but for the head, which is reported and stays as it was', async () => {
    const net = createModel(
      'small-cnn',
      { device, random: randomStream(6, 'other') },
      { ...small, classes: 3 },
    );
    const head = net.stateDict().get('classifier.3.weight');
    const before = [...dataOf(head as NonNullable<typeof head>)];
    const tensors = await fileOf(5);
    const report = loadStateDict(net, tensors, { skip: headNames(net) });
    expect(report).toEqual({
      missing: [],
      unexpected: [],
      skipped: ['classifier.3.weight', 'classifier.3.bias'],
    });
    const after = new Map(await readTensors(net.stateDict()));
    expect(Array.from(after.get('classifier.3.weight')?.data ?? [])).toEqual(before);
    expect(after.get('features.0.weight')?.data).toEqual(tensors.get('features.0.weight')?.data);
  });
  test('load without a head in the file too', async () => {
    const net = createModel('small-cnn', drawing(device), { ...small, classes: 3 });
    const tensors = await fileOf(5);
    for (const name of headNames(net)) tensors.delete(name);
    expect(() => loadStateDict(net, tensors)).toThrow(/2 missing/);
    expect(loadStateDict(net, tensors, { skip: headNames(net) }).missing).toEqual([]);
  });
  test('do not hide a name that is wrong', async () => {
    const net = createModel('small-cnn', drawing(device), { ...small, classes: 3 });
    const tensors = await fileOf(5);
    expect(() => loadStateDict(net, tensors, { skip: ['fc.weight'] })).toThrow(
      /there is nothing named fc\.weight to skip/,
    );
  });
  test.each(Object.keys(models))('%s knows its head', (name) => {
    const net = createModel(name, blank(new MetaDevice()), { classes: 7 });
    const shapes = stateLayout(net);
    expect(headNames(net).map((head) => shapes.get(head)?.[0])).toEqual([7, 7]);
  });
});

describe('options', () => {
  test.each(Object.keys(models))('%s takes gray images', (name) => {
    const net = createModel(name, blank(new MetaDevice()), { classes: 2, inChannels: 1 });
    const first = [...stateLayout(net)].find(([, shape]) => shape.length === 4);
    expect(first?.[1][1]).toBe(1);
  });
  test.each(['resnet18', 'densenet121', 'vit_small'])('%s has dropout before its head', (name) => {
    const gpuless = new MetaDevice();
    const layers = createModel(name, blank(gpuless), { classes: 2, dropout: 0.25 }).namedModules();
    const [, dropout] = layers.find(([path]) => path === 'dropout') ?? [];
    expect(dropout).toMatchObject({ p: 0.25 });
  });
  test('a VGG drops half behind both hidden layers unless told otherwise', () => {
    const rates = (dropout?: number) =>
      createModel('vgg11', blank(new MetaDevice()), { classes: 2, dropout })
        .namedModules()
        .flatMap(([, module]) => ('p' in module ? [module.p] : []));
    expect(rates()).toEqual([0.5, 0.5]);
    expect(rates(0)).toEqual([0, 0]);
  });
});

describe('initial weights', () => {
  const device = new CpuDevice();
  const deviation = (values: ArrayLike<number>): number => {
    const squares = Array.from(values).reduce((sum, v) => sum + v * v, 0);
    return Math.sqrt(squares / values.length);
  };
  const expectDeviation = (values: ArrayLike<number>, expected: number) => {
    // Five standard errors of a deviation from n draws; more than a uniform needs.
    const error = 5 / Math.sqrt(2 * values.length);
    expect(Math.abs(deviation(values) / expected - 1)).toBeLessThan(error);
  };
  const dataIn = (net: Module, name: string) => {
    const t = net.stateDict().get(name);
    if (!t) throw new Error(`no ${name}`);
    return dataOf(t);
  };

  test('of ResNet are normal by the outputs; the head is uniform', () => {
    const { block } = resnetSizes.resnet18;
    const net = new ResNet(drawing(device), { block, counts: [1, 1, 0, 0], classes: 10 });
    expectDeviation(dataIn(net, 'layer2.0.conv1.weight'), Math.sqrt(2 / (128 * 9)));
    expectDeviation(dataIn(net, 'fc.weight'), 1 / Math.sqrt(3 * 128));
    expect(Math.max(...dataIn(net, 'fc.weight'))).toBeLessThanOrEqual(1 / Math.sqrt(128));
    expect(new Set(dataIn(net, 'layer2.0.bn1.weight'))).toEqual(new Set([1]));
  });
  test('of DenseNet are normal by the inputs; the head has no bias', () => {
    const net = new DenseNet(drawing(device), { ...densenetSizes.densenet121, counts: [1, 3], classes: 10 });
    const name = 'features.denseblock2.denselayer3.conv2.weight';
    expectDeviation(dataIn(net, name), Math.sqrt(2 / (128 * 9)));
    expect(new Set(dataIn(net, 'classifier.bias'))).toEqual(new Set([0]));
  });
  test("of a vision transformer are torchvision's", () => {
    const net = createModel('vit_small', drawing(device), { classes: 10 });
    const layer = 'encoder.layers.encoder_layer_1';
    expectDeviation(dataIn(net, 'conv_proj.weight'), Math.sqrt(1 / 48));
    expectDeviation(dataIn(net, 'encoder.pos_embedding'), 0.02);
    expectDeviation(dataIn(net, `${layer}.self_attention.in_proj_weight`), Math.sqrt(2 / (4 * 128)));
    expectDeviation(dataIn(net, `${layer}.self_attention.out_proj.weight`), 1 / Math.sqrt(3 * 128));
    expectDeviation(dataIn(net, `${layer}.mlp.0.weight`), Math.sqrt(2 / (128 + 256)));
    expect(new Set(dataIn(net, 'heads.head.weight'))).toEqual(new Set([0]));
  });
});

describe('what is wrong is named', () => {
  const init = blank(new MetaDevice());
  test.each([
    ['resnet19', 'resnet18'],
    ['ResNet50', 'resnet50'],
    ['vgg16bn', 'vgg16_bn'],
    ['densenet', 'densenet121'],
    ['vit', 'vit_b_16'],
  ])('the model %s: %s is nearest', (name, nearest) => {
    expect(isModelName(name)).toBe(false);
    expect(() => createModel(name, init, { classes: 2 })).toThrow(
      `createModel: there is no model '${name}' (did you mean '${nearest}'?); use one of small-cnn, `,
    );
  });
  test('sizes that are none', () => {
    expect(() => createModel('resnet18', init, { classes: 0 })).toThrow(/classes 0, inChannels 3/);
    expect(() => createModel('resnet18', init, { classes: 2, dropout: 1 })).toThrow(/dropout 1; give/);
  });
  test('images that do not fit', () => {
    const image = (size: number) =>
      tensor(init.device, new Float32Array(3 * size * size), [1, 3, size, size]);
    const vit = createModel('vit_small', init, { classes: 2 });
    expect(() => vit.forward(image(16))).toThrow(/input is \[1, 3, 16, 16\] .* for images of 32 by 32/);
    expect(() => createModel('vit_small', init, { classes: 2, imageSize: 30 })).toThrow(
      /images of 30 pixels are not made of patches of 4/,
    );
    const unet = createModel('unet', init, { classes: 1 });
    expect(() => unet.forward(image(24))).toThrow(/H and W multiples of 16/);
  });
});
