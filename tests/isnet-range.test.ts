// C1 and C2: per depth and rule, measured on a classifier or estimated along the way. And the depths themselves.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { ShapeError, UsageError } from '../engine/errors.ts';
import type { Tensor } from '../engine/tensor.ts';
import { inputsOfModules, masksAt, overDepths, stageNames } from '../isnet/deep-supervision.ts';
import { isnetMaps, relevanceMaps } from '../isnet/maps.ts';
import { describeRange, naturalRange, rangeOf } from '../isnet/range.ts';
import { RunningRange } from '../isnet/running-range.ts';
import { isnetComposite } from '../lrp/composite.ts';
import type { Classifier } from '../nn/models/classifier.ts';
import { DenseNet } from '../nn/models/densenet.ts';
import { ResNet, resnetSizes } from '../nn/models/resnet.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { Vgg, vggFeatures, vggSizes } from '../nn/models/vgg.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { fillNet, initOn, smallDataset, smallImages, smallNets } from './small-nets.ts';

const device = new CpuDevice();

/** Maps [1, N, 1, 1, 1] whose sums |R| are these numbers, one tensor per depth. */
const mapsOf = (...totals: (readonly number[])[]): Tensor[] =>
  totals.map((values) => tensor(device, values, [1, values.length, 1, 1, 1]));

describe('a running range', () => {
  test('is the published default before the first step', async () => {
    const { C1, C2 } = await new RunningRange(device, 2).read();
    expectClose(C1, [1, 1], 12);
    expectClose(C2, [25, 25], 12);
  });

  test('after equal weights of steps is that of all their images', async () => {
    const totals = randomValues('totals', 12, [3, 9]);
    const running = new RunningRange(device, 1);
    for (const i of [0, 1, 2]) running.update(mapsOf(totals.slice(4 * i, 4 * i + 4)), 1);
    const mu = totals.reduce((a, b) => a + b, 0) / 12;
    const sigma = Math.sqrt(totals.reduce((a, b) => a + (b - mu) ** 2, 0) / 12);
    expectClose(await running.save(), [mu, sigma ** 2, 3], 12);
    const { C1, C2 } = await running.read();
    expectClose([...C1, ...C2], [Math.max(mu / 5, mu - 3 * sigma), Math.min(25 * C1[0], mu + 3 * sigma)], 12);
  });

  test('forgets what is longer ago than its horizon', async () => {
    const running = new RunningRange(device, 1, { horizon: 4 });
    running.update(mapsOf([1000, 1000]), 1);
    for (let i = 0; i < 60; i++) running.update(mapsOf([2, 4]), 1);
    const [mu, variance] = await running.save();
    expect(mu).toBeCloseTo(3, 3);
    expect(variance).toBeCloseTo(1, 1);
  });

  test('has rows for depths and rules, and goes on from what was saved', async () => {
    const two = tensor(device, [1, 3, 10, 30], [2, 2, 1, 1, 1]);
    const depths = [two, two];
    const running = new RunningRange(device, 4);
    running.update(depths, 2);
    expectClose(await running.save(), [2, 1, 1, 20, 100, 1, 2, 1, 1, 20, 100, 1], 12);
    const { C1 } = running.bounds(1, 2);
    expect(C1.shape).toEqual([2]);
    const other = new RunningRange(device, 4);
    other.restore(await running.save());
    for (const each of [running, other]) each.update(depths, 2);
    expect(await other.save()).toEqual(await running.save());
    expect(() => new RunningRange(device, 3).update(depths, 2)).toThrow(
      /made for 3 groups of maps, and there are 4/,
    );
  });

  test('of maps that are all 0 leaves no division by 0', async () => {
    const running = new RunningRange(device, 1);
    running.update(mapsOf([0, 0]), 1);
    const { C1, C2 } = await running.read();
    expect(C1[0]).toBeGreaterThan(0);
    expect(C2[0]).toBeGreaterThan(C1[0]);
  });
});

describe('the natural range', () => {
  const dataset = smallDataset();
  const net = smallNets.plain(device).train();
  fillNet(net, { withBias: true });

  test('of several depths and rules is a list, in batches of any size', async () => {
    const options = {
      variant: 'dual',
      deepSupervision: ['3'],
      composite: isnetComposite({ eps: 0.1 }),
    } as const;
    const range = await naturalRange(device, net, dataset, options, { batchSize: 1 });
    expect(net.isTraining).toBe(true);
    const x = tensor(device, dataset.images, [2, 1, 8, 8]);
    net.eval();
    const { depths } = relevanceMaps(net, x, net.forward(x), options);
    const expected = depths.flatMap((maps) => {
      const values = [...dataOf(maps)].map(Math.abs);
      const size = values.length / 4;
      const totals = [0, 1, 2, 3].map((i) =>
        values.slice(i * size, (i + 1) * size).reduce((a, b) => a + b, 0),
      );
      return [rangeOf(totals.slice(0, 2)), rangeOf(totals.slice(2))];
    });
    expectClose(
      range.C1 as number[],
      expected.map(({ C1 }) => C1),
      5,
    );
    expectClose(
      range.C2 as number[],
      expected.map(({ C2 }) => C2),
      5,
    );
    net.train();
  });

  test('reads as it is', () => {
    expect(describeRange({ C1: 0.5, C2: 12.5 })).toBe('C1 = 0.5000, C2 = 12.50');
    expect(describeRange({ C1: [1, 2], C2: [3, 4] })).toBe('C1 = [1.000, 2.000], C2 = [3.000, 4.000]');
  });
});

describe('deep supervision', () => {
  test('takes a cell for foreground if any of its pixels is', () => {
    const mask = tensor(device, [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0], [1, 1, 4, 4]);
    expect([...dataOf(masksAt(mask, [2, 2]))]).toEqual([0, 1, 1, 0]);
    expect(masksAt(mask, [4, 4])).toBe(mask);
  });

  test('pools depths by rank', () => {
    const losses = [1, 4, 2].map((value) => tensor(device, [value], []));
    const pooled = (d: number) => dataOf(overDepths(losses, d))[0];
    expect([pooled(1), pooled(0)]).toEqual([7 / 3, 4]);
    expect(pooled(0.5)).toBeCloseTo((4 + 2 * 0.5 + 0.25) / 1.75, 12);
  });

  const init = { ...initOn(device), isBlank: true };
  const small = new SmallCnn(initOn(device), {
    inChannels: 1,
    imageSize: [8, 8],
    classCount: 3,
    blocks: [
      { channels: 2, kernel: 3, pool: 2 },
      { channels: 3, kernel: 3, stride: 2 },
    ],
  });
  const dense = () =>
    new DenseNet(initOn(device), { classes: 3, inChannels: 1, stem: 4, growth: 4, counts: [1, 1, 1, 1] });
  const residual = () =>
    new ResNet(init, { ...resnetSizes.resnet18, counts: [1, 1, 1, 1], classes: 3, inChannels: 1 });

  test('knows the stages of our networks', () => {
    expect(stageNames(small)).toEqual(['features.3', 'classifier']);
    expect(stageNames(residual())).toEqual(['layer2', 'layer3', 'layer4', 'avgpool']);
    const transitions = [1, 2, 3].map((i) => `features.transition${i}.conv`);
    expect(stageNames(dense())).toEqual([...transitions, 'avgpool']);
    // The dense layers of a whole VGG fill a gigabyte and play no part here.
    const features = vggFeatures(init, { ...vggSizes.vgg11, inChannels: 1 });
    const vgg: Vgg = Object.assign(Object.create(Vgg.prototype), { features });
    expect(stageNames(vgg)).toEqual(['features.3', 'features.6', 'features.11', 'features.16', 'avgpool']);
    expect(() => stageNames(smallNets.plain(device))).toThrow(
      /no stages are known for a Sequential; name the modules/,
    );
  });

  const stagesOf: Record<string, { make: () => Classifier; size: number; sizes: number[] }> = {
    'small CNN': { make: () => small, size: 8, sizes: [4, 2] },
    DenseNet: { make: dense, size: 32, sizes: [8, 4, 2, 1] },
  };
  test.each(Object.entries(stagesOf))('has maps at all stages of a %s', async (_, { make, size, sizes }) => {
    const net = make().eval();
    const x = tensor(device, randomValues('stages', size * size, [0, 1]), [1, 1, size, size]);
    const logits = net.forward(x);
    const deepSupervision = stageNames(net);
    for (const propagation of ['lrp', 'flex'] as const) {
      const options = { variant: 'original', propagation, deepSupervision } as const;
      const { depths } = relevanceMaps(net, x, logits, options);
      expect(depths.map(({ shape }) => shape.at(-1))).toEqual([size, ...sizes]);
      expectClose(await read(depths[0]), await read(isnetMaps(net, x, logits, options)), 12);
      for (const maps of depths) expect(Math.hypot(...dataOf(maps))).toBeGreaterThan(0);
    }
  });

  test('refuses modules that did not run, and inputs that are no maps', () => {
    const x = tensor(device, smallImages().slice(0, 64), [1, 1, 8, 8]);
    const logits = small.forward(x);
    expect(() => inputsOfModules(small, ['features.9'], logits)).toThrow(UsageError);
    expect(() => inputsOfModules(small, ['features.9'], logits)).toThrow(
      /no module 'features.9'; use one of features, features\.0, /,
    );
    expect(() => inputsOfModules(small, ['classifier.1'], logits)).toThrow(ShapeError);
    expect(() => inputsOfModules(small, ['classifier.1'], logits)).toThrow(
      /the input of 'classifier\.1' is \[1, 12\]/,
    );
  });
});
