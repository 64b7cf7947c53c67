// The networks of the rivals and the layers they brought: gates, log-sum-exp pools, and their relevance.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { MetaDevice } from '../engine/meta-device.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { methodNamed, methods } from '../isnet/rivals/index.ts';
import { parameterCounts } from '../isnet/rivals/method.ts';
import { publishedNetworks, smallNetworks } from '../isnet/rivals/networks.ts';
import { lrp } from '../lrp/attributions/relevance.ts';
import { epsilonComposite, isnetComposite } from '../lrp/composite.ts';
import { leakReport } from '../lrp/leak.ts';
import { relevance } from '../lrp/relevance.ts';
import { AttentionGate } from '../nn/attention-gate.ts';
import { Gate } from '../nn/gate.ts';
import { LogSumExpPool } from '../nn/log-sum-exp-pool.ts';
import { AgSononet } from '../nn/models/ag-sononet.ts';
import { HamNet } from '../nn/models/ham-net.ts';
import { UNet } from '../nn/models/unet.ts';
import { Module } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { batchOn, input, networkOf, planOf, rowsOf, softmaxOf, sumOf } from './rivals.ts';
import { fillNet, initOn } from './small-nets.ts';

const composite = epsilonComposite({ eps: 1e-9 });

describe('a gate', () => {
  /** Gated by a function of the input itself, which is what a gate usually is. */
  class Gated extends Module {
    readonly gate = new Gate();
    forward(x: Tensor): Tensor {
      return this.gate.through(x, x);
    }
  }

  test('multiplies, and repeats coefficients that broadcast', () => {
    const device = new CpuDevice();
    const x = tensor(device, [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 2, 2]);
    const y = new Gate().through(x, tensor(device, [0, 1, 2, 3], [1, 1, 2, 2]));
    expect([...dataOf(y)]).toEqual([0, 2, 6, 12, 0, 6, 14, 24]);
  });

  test('passes all relevance to its features, for every map', () => {
    const device = new CpuDevice();
    const net = new Gated();
    const x = tensor(device, [1, 2, 3, 4], [2, 2]);
    const seed = tensor(device, [5, 6, 7, 8, 1, 1, 1, 1], [4, 2]);
    const R = relevance({ output: net.forward(x), seed, input: x, composite, model: net });
    expect([...dataOf(R)]).toEqual([5, 6, 7, 8, 1, 1, 1, 1]);
  });

  test('says what to do where there are no coefficients', () => {
    const x = tensor(new CpuDevice(), [1], [1]);
    expect(() => new Gate().forward(x)).toThrow(UsageError);
  });
});

describe('a log-sum-exp pool', () => {
  const values = randomValues('lse', 24, [-1, 2]);
  const planes = rowsOf(values, 6);
  const poolOf = (r: number) => {
    const device = new CpuDevice();
    const x = tensor(device, values, [2, 2, 2, 3]);
    return { pool: new LogSumExpPool(r), x };
  };

  test('is the logarithm of the mean of exponentials', () => {
    const { pool, x } = poolOf(6);
    const expected = planes.map((plane) => Math.log(sumOf(plane.map((v) => Math.exp(6 * v))) / 6) / 6);
    const y = pool.forward(x);
    expect(y.shape).toEqual([2, 2]);
    expectClose(dataOf(y), expected, 12);
  });

  test('lies between mean and maximum, and stays finite where exponentials do not', () => {
    const { pool, x } = poolOf(5000);
    expectClose(
      dataOf(pool.forward(x)),
      planes.map((plane) => Math.max(...plane)),
      2,
    );
    const mild = poolOf(1e-6);
    expectClose(
      dataOf(mild.pool.forward(mild.x)),
      planes.map((plane) => sumOf(plane) / 6),
      5,
    );
  });

  test('hands relevance on by softmax, for every map', () => {
    const { pool, x } = poolOf(2);
    const seed = tensor(x.device, [1, 2, 3, 4, -1, 0, 1, 10], [4, 2]);
    const R = relevance({ output: pool.forward(x), seed, input: x, composite, model: pool });
    const shares = planes.map((plane) => softmaxOf(plane.map((v) => 2 * v)));
    const expected = [1, 2, 3, 4, -1, 0, 1, 10].flatMap((total, k) => shares[k % 4].map((s) => s * total));
    expect(R.shape).toEqual([4, 2, 2, 3]);
    expectClose(dataOf(R), expected, 12);
  });
});

test('an attention gate is its formula', () => {
  const device = new CpuDevice();
  const gate = new AttentionGate(initOn(device), { channels: 2, gatingChannels: 3, innerChannels: 2 });
  fillNet(gate, { withBias: true });
  const values = (name: string) => [...dataOf(gate.stateDict().get(name) as Tensor)];
  const [theta, phi, bias, psi] = ['theta.weight', 'phi.weight', 'phi.bias', 'psi.weight'].map(values);
  const x = randomValues('gate x', 8, [-1, 1]);
  const g = randomValues('gate g', 3, [-1, 1]);
  const a = gate.coefficients(tensor(device, x, [1, 2, 2, 2]), tensor(device, g, [1, 3, 1, 1]));
  // One cell of gating signal is the same everywhere, however it is enlarged.
  const q = [0, 1, 2, 3].map((i) =>
    sumOf(
      [0, 1].map((o) => {
        const own = theta[2 * o] * x[i] + theta[2 * o + 1] * x[4 + i];
        const gating = sumOf(g.map((v, c) => phi[3 * o + c] * v)) + bias[o];
        return psi[o] * Math.max(0, own + gating);
      }),
    ),
  );
  const above = q.map((v) => v - Math.min(...q));
  expect(Math.max(...above)).toBeGreaterThan(0.01);
  expectClose(
    dataOf(a),
    above.map((v) => v / (sumOf(above) + 1e-6)),
    12,
  );
});

test('a U-Net is its way up behind its way down', () => {
  const device = new CpuDevice();
  const net = new UNet(initOn(device), { inChannels: 1, classes: 1, width: 2, depth: 3 });
  const { images } = batchOn(device);
  const levels = net.eval().encode(images);
  expect(levels.map(({ shape }) => shape)).toEqual([
    [2, 2, 8, 8],
    [2, 4, 4, 4],
    [2, net.bottleneckChannels, 2, 2],
  ]);
  expectClose(dataOf(net.decode(levels)), dataOf(net.forward(images)), 14);
});

describe('what runs at test time', () => {
  const networkMethods = methods.filter(({ name }) => name === 'classifier' || !/^isnet|oracle/.test(name));

  test.each(networkMethods)('can be explained by relevance: $name', async ({ name }) => {
    const device = new CpuDevice();
    const plan = planOf(name, device);
    fillNet(plan.classifier, { withBias: true });
    plan.classifier.eval();
    const { images } = batchOn(device);
    const output = plan.classifier.forward(images);
    const R = lrp(plan.classifier, images, { logits: output, target: [0, 2] });
    expect(R.shape).toEqual(images.shape);
    expect(dataOf(R).every(Number.isFinite)).toBe(true);
    expect(Math.max(...dataOf(R).map(Math.abs))).toBeGreaterThan(1e-6);
    const { rows } = await leakReport({
      ...{ output, seed: output, input: images, model: plan.classifier },
      composite: isnetComposite(),
    });
    for (const { atOutput, unexplained } of rows) {
      unexplained.forEach((rest, n) => {
        expect(Math.abs(rest)).toBeLessThan(1e-9 * (1 + Math.abs(atOutput[n])));
      });
    }
  });

  test('has as many parameters as logits depend on', () => {
    const countsOf = (name: string) => {
      const plan = planOf(name, new CpuDevice());
      return { plan, counts: parameterCounts(plan, input) };
    };
    const countOf = (module: Module) => sumOf(module.parameters().map(({ shape }) => sizeOf(shape)));
    const plain = countsOf('classifier');
    expect(plain.counts).toEqual({ training: 485, runTime: 485 });
    expect(countsOf('isnet-original').counts).toEqual(plain.counts);
    const pipeline = countsOf('segment-then-classify');
    const [unet, classifier] = pipeline.plan.phases.map(({ model }) => countOf(model));
    expect(pipeline.counts).toEqual({ training: unet + classifier, runTime: unet + classifier });
    const multiTask = countsOf('multi-task');
    const decoder = [...multiTask.plan.classifier.namedParameters()]
      .filter(([name]) => /^unet\.(up|head)/.test(name))
      .reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0);
    expect(multiTask.counts.runTime).toBe(multiTask.counts.training - decoder);
    expect(decoder).toBeGreaterThan(50);
    const ham = countsOf('ham');
    const { any } = ham.plan.classifier as HamNet;
    expect(ham.counts.runTime).toBe(ham.counts.training - countOf(any));
  });
});

describe('the published networks', () => {
  const large = { channels: 3, height: 224, width: 224, classNames: ['a', 'b', 'c'] };
  const countsOf = (name: string) => {
    // Shapes alone: a vision transformer of this size would take a minute to draw.
    const init = { ...initOn(new MetaDevice()) };
    return parameterCounts(
      methodNamed(name).plan({ init, input: large, networks: publishedNetworks() }),
      large,
    );
  };
  // torchvision's DenseNet-121 and ViT-B/16 have 6,956,931 and 85,800,963 parameters with a head of 3 classes.
  const densenet = 6_956_931;

  test.each(['classifier', 'gain', 'right-reasons', 'isnet-dual', 'isnet-deep-supervision'])(
    '%s deploys a DenseNet-121',
    (name) => {
      expect(countsOf(name)).toEqual({ training: densenet, runTime: densenet });
    },
  );

  test('a pipeline deploys a U-Net of 31 million parameters too', () => {
    const { training, runTime } = countsOf('segment-then-classify');
    expect(runTime).toBe(training);
    // Biases and the second output of the published one make the difference to its 31,042,434.
    expect(Math.abs(runTime - densenet - 31_042_434)).toBeLessThan(10_000);
  });

  test('a vision transformer is ViT-B/16', () => {
    expect(countsOf('vision-transformer').runTime).toBe(85_800_963);
  });

  test('the others can be built, too', () => {
    // Behind 7 x 7 cells of 1024 channels: two hidden layers of 4096.
    const head = 1024 * 49 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 3 + 3;
    const { training, runTime } = countsOf('multi-task');
    expect(runTime - head).toBeGreaterThan(18_000_000);
    expect(runTime - head).toBeLessThan(19_000_000);
    expect(training).toBeGreaterThan(runTime + 12_000_000);
    expect(countsOf('attention-gated').runTime).toBeLessThan(1_000_000);
    expect(countsOf('ham').runTime).toBeGreaterThan(densenet);
  });
});

describe('refuses', () => {
  const device = new CpuDevice();
  const networks = smallNetworks({ blocks: [{ channels: 2, kernel: 3 }] });
  const make = (kind: 'unet' | 'transformer', height: number, width: number) => () =>
    networks[kind](initOn(device), { ...input, height, width });

  test('a U-Net on odd images', () => {
    expect(make('unet', 27, 28)).toThrow('networks: a U-Net halves images of 27 by 28, and they are odd');
  });
  test('a transformer on oblong images', () => {
    expect(make('transformer', 28, 32)).toThrow(/takes square images and these are 28 by 32/);
  });
  test('an AG-Sononet without stages to gate', () => {
    const options = { classes: 3, inChannels: 1, channels: [2, 2], counts: [1, 1] };
    expect(() => new AgSononet(initOn(device), options)).toThrow(/channels \[2,2\] and counts \[1,1\]/);
  });
  test('HAM on features that are no maps', () => {
    const features = { network: networkOf('classifier', device), channels: 3 };
    const net = new HamNet(initOn(device), { classes: 3, inChannels: 1, features, width: 4 });
    expect(() => net.forward(batchOn(device).images)).toThrow(/the features are \[2, 3\]/);
  });
});
