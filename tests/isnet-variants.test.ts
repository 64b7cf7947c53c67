// Every way to train an ISNet: its maps against independent computations, and the gradient of its loss in every parameter.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { adjoint } from '../engine/grad.ts';
import { max } from '../engine/ops/argmax.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { scope } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { isnetMaps, type Propagation, relevanceMaps } from '../isnet/maps.ts';
import { type Batch, type IsnetOptions, isnetLosses } from '../isnet/objective.ts';
import { softmaxGradient, type Variant } from '../isnet/seeds.ts';
import { gradCam } from '../lrp/attributions/grad-cam.ts';
import { inputTimesGradient } from '../lrp/attributions/gradient.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { flexRelevanceAt } from '../lrp/flex.ts';
import { Linear, ReLU } from '../nn/layers.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { fillNet, initOn, smallImages, smallMasks, smallNets } from './small-nets.ts';

/** Where deep supervision looks in each small net, besides the image. */
const depthsOf: Readonly<Record<string, readonly string[]>> = {
  plain: ['3', '5'],
  'residual sum': ['conv2', 'conv3'],
  concat: ['conv1', 'conv2'],
  BatchNorm: ['4', '7'],
};

function filledNet(name: string, device: Device, isTraining: boolean): Module {
  const net = smallNets[name](device).train(isTraining);
  fillNet(net, { withBias: true });
  return net;
}

const imagesOn = (device: Device): Tensor => tensor(device, smallImages(), [2, 1, 8, 8]);

/** Two images of classes 0 and 2 with masks. */
const batchOn = (device: Device): Batch => ({
  images: imagesOn(device),
  targets: tensor(device, [1, 0, 0, 0, 0, 1], [2, 3]),
  masks: tensor(device, smallMasks(), [2, 1, 8, 8]),
});

interface Case {
  readonly name: string;
  readonly variant: Variant;
  readonly propagation: Propagation;
  readonly isDeep: boolean;
  readonly isTraining: boolean;
}

const nets = Object.keys(smallNets);
const variantsBy: Readonly<Record<Propagation, readonly Variant[]>> = {
  lrp: ['original', 'selective', 'stochastic', 'softmax', 'dual'],
  flex: ['original', 'selective', 'stochastic', 'softmax'],
  'gradient-input': ['original', 'selective', 'stochastic', 'softmax'],
  'grad-cam': ['selective', 'stochastic', 'softmax'],
};
const combinations = (Object.keys(variantsBy) as Propagation[]).flatMap((propagation) =>
  variantsBy[propagation].map((variant) => ({ propagation, variant })),
);
// Each combination on each net; deep supervision and training statistics in turns, so that each meets every one of both.
const cases: Case[] = combinations.flatMap((combination, c) =>
  nets.map((name, n) => ({
    ...combination,
    name,
    isDeep: (c + n) % 2 === 0 && combination.propagation !== 'grad-cam',
    isTraining: (c >> 1) % 2 === n % 2,
  })),
);

/** Policies without a stop-gradient: a finite difference sees all ways. In evaluation statistics are constants anyway. */
function optionsOf({ name, variant, propagation, isDeep, isTraining }: Case): IsnetOptions {
  const composite = isnetComposite({
    eps: 0.1,
    bias: 'keep',
    statisticsGradient: isTraining ? 'keep' : 'detach',
  });
  const deepSupervision = isDeep ? depthsOf[name] : [];
  return { variant, propagation, composite, deepSupervision, dLoss: 0.8, C1: 0.5, C2: 1.5, w2: 0.5 };
}

function totalLoss(device: Device, net: Module, options: IsnetOptions, batch = batchOn(device)): Tensor {
  const numbers = { P: tensor(device, [0.6], []), key: tensor(device, [5, 3], [2]) };
  return isnetLosses(net, batch, options, numbers).total;
}

describe('the gradient of the whole loss is its finite difference, for every parameter', () => {
  test.each(cases)('$variant by $propagation, $name net, deep: $isDeep, training: $isTraining', (each) => {
    const options = optionsOf(each);
    const device = new CpuDevice();
    const net = filledNet(each.name, device, each.isTraining);
    const parameters = [...net.namedParameters()];
    const loss = totalLoss(device, net, options);
    const gradients = adjoint(
      loss,
      parameters.map(([, t]) => t),
      tensor(device, [1], []),
    );
    parameters.forEach(([name, { shape }], i) => {
      const exact = dataOf(gradients[i]);
      const direction = randomValues(`direction ${name}`, exact.length, [-1, 1]);
      const moved = (h: number): number => {
        const other = new CpuDevice();
        return scope(other, () => {
          const copy = filledNet(each.name, other, each.isTraining);
          const t = copy.namedParameters().get(name) as Tensor;
          const values = dataOf(t).map((v, k) => v + h * direction[k]);
          assign(t, tensor(other, values, shape));
          return dataOf(totalLoss(other, copy, options))[0];
        });
      };
      const slope = direction.reduce((total, d, k) => total + d * exact[k], 0);
      const h = 1e-6;
      const numeric = (moved(h) - moved(-h)) / (2 * h);
      // Central differences of a loss of size 1 with h = 1e-6 are good to about 1e-8 in f64.
      expect(Math.abs(numeric - slope), name).toBeLessThan(1e-6 * Math.max(1, Math.abs(slope)));
    });
  });
});

describe('maps of all classes in one batch', () => {
  test.each(nets)('by LRP-Flex are those of one walk per class, hidden ones too: %s net', (name) => {
    const device = new CpuDevice();
    const net = filledNet(name, device, false);
    const x = imagesOn(device);
    const logits = net.forward(x);
    const options = { variant: 'original', deepSupervision: depthsOf[name], propagation: 'flex' } as const;
    const composites = (['detach', 'keep'] as const).map((statisticsGradient) =>
      isnetComposite({ eps: 0.05, statisticsGradient }),
    );
    const [folded, apart] = composites.map((composite) =>
      relevanceMaps(net, x, logits, { ...options, composite }).depths.map((t) => dataOf(t)),
    );
    expect(folded.length).toBe(3);
    folded.forEach((maps, depth) => {
      expectClose(maps, apart[depth], 12);
      expect(Math.max(...maps.map(Math.abs))).toBeGreaterThan(1e-3);
    });
  });

  test.each(nets)('by gradient-input are input times gradient: %s net', (name) => {
    const device = new CpuDevice();
    const net = filledNet(name, device, false);
    const x = imagesOn(device);
    const logits = net.forward(x);
    const maps = isnetMaps(net, x, logits, { variant: 'original', propagation: 'gradient-input' });
    const expected = [0, 1, 2].flatMap((target) => [...dataOf(inputTimesGradient(net, x, { target }))]);
    expectClose(dataOf(maps), expected, 12);
  });

  test.each(nets)('by grad-cam is the map of the explained logit: %s net', (name) => {
    const device = new CpuDevice();
    const net = filledNet(name, device, false);
    const x = imagesOn(device);
    const logits = net.forward(x);
    const key = tensor(device, [5, 3], [2]);
    const { depths, gradient } = relevanceMaps(
      net,
      x,
      logits,
      { variant: 'stochastic', propagation: 'grad-cam' },
      key,
    );
    const rows = dataOf(gradient);
    const target = [0, 1].map((n) => [0, 1, 2].findIndex((c) => rows[3 * n + c] === 1));
    expect(depths.map(({ shape }) => shape)).toEqual([[1, 2, 1, 8, 8]]);
    expectClose(dataOf(depths[0]), dataOf(gradCam(net, x, { target })), 12);
  });

  test.each([
    [{ variant: 'original' }, /variant original wants one for each class; use variant stochastic/],
    [{ variant: 'stochastic', deepSupervision: ['3'] }, /there is deep supervision; use/],
    [{ variant: 'dual' }, /variant dual is made of two rules/],
  ] as const)('by grad-cam are refused for %j', (options, message) => {
    const device = new CpuDevice();
    const net = filledNet('plain', device, false);
    const x = imagesOn(device);
    const make = () => relevanceMaps(net, x, net.forward(x), { ...options, propagation: 'grad-cam' });
    expect(make).toThrow(message);
  });

  test('by LRP-Flex with constant statistics are those of the rules in training mode', () => {
    const device = new CpuDevice();
    const net = filledNet('BatchNorm', device, true);
    const x = imagesOn(device);
    const logits = net.forward(x);
    const none = 1e-13;
    const rules = isnetComposite({ eps: none });
    const options = { variant: 'original', composite: rules, deepSupervision: depthsOf.BatchNorm } as const;
    const mapsBy = (propagation: Propagation) =>
      relevanceMaps(net, x, logits, { ...options, propagation }).depths.map((t) => dataOf(t));
    const [byRules, byFlex] = [mapsBy('lrp'), mapsBy('flex')];
    expect(byFlex.length).toBe(3);
    // Hidden maps too: a tensor times the gradient there is its relevance.
    for (const [depth, maps] of byFlex.entries()) expectClose(maps, byRules[depth], 9);
    // And not those of gradients that go through the statistics, which would show if both ways were one.
    const seed = tensor(device, [1, 0, 0, 1, 0, 0], [2, 3]);
    const walk = { output: logits, seed, input: x, composite: rules, model: net };
    const through = dataOf(flexRelevanceAt({ ...walk, statistics: 'differentiate' }, [x])[0]);
    expect(Math.max(...through.map((R, i) => Math.abs(R - byRules[0][i])))).toBeGreaterThan(1e-3);
  });
});

test('the softmax seed is the slope of the largest probability', () => {
  const device = new CpuDevice();
  const logits = tensor(device, [0.3, -1, 0.7, 2, 1.9, -4], [2, 3]);
  const [slope] = adjoint(sum(max(softmax(logits), [1])), [logits], tensor(device, [1], []));
  expectClose(dataOf(softmaxGradient(logits)), dataOf(slope), 12);
});

test('dual maps are all logits at once by z+ and by epsilon, on explicit matrices', () => {
  const device = new CpuDevice();
  const init = initOn(device);
  const net = new Sequential(new Linear(init, 3, 4), new ReLU(), new Linear(init, 4, 2));
  // Mostly positive, so that hidden units are alive and have positive weights to both logits.
  for (const [name, t] of net.namedParameters()) {
    const size = t.shape.reduce((a, b) => a * b, 1);
    assign(t, tensor(device, randomValues(`dual ${name}`, size, [-0.5, 1]), t.shape));
  }
  const values = (name: string) => [...dataOf(net.stateDict().get(name) as Tensor)];
  const [w1, b1, w2, b2] = ['0.weight', '0.bias', '2.weight', '2.bias'].map(values);
  const x = [0.9, 0.2, 0.6];
  const eps = 0.05;
  const stable = (z: number) => (z >= 0 ? z + eps : z - eps);
  const p = (v: number) => Math.max(v, 0);
  const n = (v: number) => Math.min(v, 0);
  const hidden = b1.map((b, o) => p(b + x.reduce((z, v, i) => z + v * w1[o * 3 + i], 0)));
  const z = b2.map((b, o) => b + hidden.reduce((total, a, i) => total + a * w2[o * 4 + i], 0));
  const maps = [p, (v: number) => v].map((part) => {
    const divisors = b2.map((b, o) =>
      stable(hidden.reduce((total, a, i) => total + a * part(w2[o * 4 + i]), part(b))),
    );
    const R1 = hidden.map((a, i) =>
      z.reduce((total, R, o) => total + (a * part(w2[o * 4 + i]) * R) / divisors[o], 0),
    );
    const boxes = b1.map((b, o) =>
      stable(x.reduce((total, v, i) => total + v * w1[o * 3 + i] - n(w1[o * 3 + i]), b - n(b))),
    );
    return x.map((v, i) =>
      R1.reduce((total, R, o) => total + ((v * w1[o * 3 + i] - n(w1[o * 3 + i])) * R) / boxes[o], 0),
    );
  });
  const input = tensor(device, x, [1, 3]);
  const logits = net.forward(input);
  const composite = isnetComposite({ eps });
  const found = isnetMaps(net, input, logits, { variant: 'dual', composite });
  expect(found.shape).toEqual([2, 1, 3]);
  expectClose(dataOf(found), maps.flat(), 12);
  for (const map of maps) expect(Math.min(...map.map(Math.abs))).toBeGreaterThan(1e-2);
});

describe('refuses', () => {
  const device = new CpuDevice();
  const net = filledNet('plain', device, false);
  const refusal = (options: IsnetOptions) => () => totalLoss(device, net, options);

  test('dual without rules', () => {
    expect(refusal({ variant: 'dual', propagation: 'flex' })).toThrow(
      "isnetMaps: variant dual is made of two rules, and propagation 'flex' has none; use propagation lrp",
    );
  });
  test('softmax odds where several classes may be shown', () => {
    expect(refusal({ variant: 'selective', isMultiLabel: true })).toThrow(UsageError);
    expect(refusal({ variant: 'softmax', isMultiLabel: true })).toThrow(
      /use variant stochastic, original or dual/,
    );
  });
  test('bounds that are not one per depth and rule', () => {
    const C1 = [1, 2, 3];
    expect(refusal({ variant: 'dual', C1, C2: 25 })).toThrow(
      'isnet: C1 has 3 numbers for 1 depths and 2 rules; give one, or 2',
    );
  });
  test('masks of another number of classes', () => {
    const masks = tensor(device, new Array(2 * 2 * 64).fill(1), [2, 2, 8, 8]);
    const batch = { ...batchOn(device), masks };
    expect(() => totalLoss(device, net, { variant: 'original' }, batch)).toThrow(
      /\[2, 2, 8, 8\] and there are 3 classes/,
    );
  });
});

test('bounds of each depth and rule are its own', () => {
  const device = new CpuDevice();
  const net = filledNet('plain', device, false);
  const options: IsnetOptions = { variant: 'dual', deepSupervision: ['3'], w1: 0 };
  const lossOf = (C1: readonly number[]) =>
    dataOf(totalLoss(device, net, { ...options, C1, C2: [50, 60, 70, 80] }))[0];
  const base = [2, 3, 4, 5];
  const before = lossOf(base);
  for (const [i, C1] of base.entries()) {
    expect(lossOf(base.with(i, C1 * 2)), `group ${i}`).not.toBeCloseTo(before, 6);
  }
});
