// What every metric promises: scores of an image alone, an untouched model, no memory kept, the same on WebGPU.
import { afterAll, describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, readAll, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { scope } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Attribution } from '../lrp/attributions/attribution.ts';
import { gradient, inputTimesGradient } from '../lrp/attributions/gradient.ts';
import { completenessError, explainedScore } from '../lrp/metrics/completeness.ts';
import { entropy, sparseness } from '../lrp/metrics/complexity.ts';
import { faithfulnessCorrelation, pixelFlipping, regionPerturbation } from '../lrp/metrics/faithfulness.ts';
import {
  pointingGame,
  relevanceMassAccuracy,
  relevanceRankAccuracy,
  topKIntersection,
} from '../lrp/metrics/localisation.ts';
import { layersTopDown, parameterRandomisation } from '../lrp/metrics/randomisation.ts';
import { sensitivity } from '../lrp/metrics/robustness.ts';
import type { Module } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { openGpu } from './gpu.ts';
import { fillNet, normNet, plainNet, residualNet, smallImages, smallMasks } from './small-nets.ts';

const device = new CpuDevice();

/** A filled net with its images and the map of each, on one device. */
function example(on: Device, make: (device: Device) => Module = residualNet) {
  const net = make(on).eval();
  fillNet(net, { withBias: true });
  const x = tensor(on, smallImages(), [2, 1, 8, 8]);
  return { net, x, a: inputTimesGradient(net, x, { target: [1, 2] }) };
}

/** Everything that runs the model: all scores [N] or [L, N] of one batch. */
function allScores(net: Module, x: Tensor, a: Tensor, target: number[]): Tensor[] {
  const options = { target };
  const { maximum, average } = sensitivity(net, x, gradient, options);
  const regions = regionPerturbation(net, x, a, { ...options, regionSize: 3 });
  return [
    pixelFlipping(net, x, a, options).area,
    regions.aopc,
    regions.abpc,
    faithfulnessCorrelation(net, x, a, options),
    maximum,
    average,
    completenessError(a, explainedScore(net, x, options)),
    parameterRandomisation(net, x, inputTimesGradient, { ...options, layers: ['fc'] }).correlation,
  ];
}

const numbers = (tensors: Tensor[]) => tensors.map((t) => [...dataOf(t)]);

describe('a score', () => {
  test('does not depend on who else is in the batch', () => {
    const { net, x, a } = example(device);
    const both = numbers(allScores(net, x, a, [1, 2]));
    const second = tensor(device, dataOf(x).subarray(64), [1, 1, 8, 8]);
    const alone = numbers(allScores(net, second, tensor(device, dataOf(a).subarray(64), [1, 1, 8, 8]), [2]));
    alone.forEach(([score], i) => {
      expect(score, `score ${i}`).toBeCloseTo(both[i][1], 10);
      expect(both[i][0], `score ${i}`).not.toBeCloseTo(both[i][1], 6);
    });
  });
  test('does not depend on how the copies are cut', () => {
    const { net, x, a } = example(device);
    const scores = (budgetBytes: number) =>
      numbers([
        pixelFlipping(net, x, a, { budgetBytes }).curve,
        faithfulnessCorrelation(net, x, a, { budgetBytes }),
        sensitivity(net, x, gradient, { budgetBytes }).average,
      ]);
    const [whole, cut] = [scores(1e9), scores(1e5)];
    cut.forEach((values, i) => {
      expectClose(values, whole[i], 12);
    });
  });
  test('takes no memory but its own', () => {
    const on = new CpuDevice();
    const { net, x, a } = example(on);
    const used = () => on.memory().usedBytes;
    // Once for the constants that a device keeps.
    scope(on, () => allScores(net, x, a, [1, 2]).length);
    const before = used();
    scope(on, () => allScores(net, x, a, [1, 2]).length);
    expect(used()).toBe(before);
  });
  test('is that of the model in evaluation mode, whose state it leaves', () => {
    const { net, x } = example(device, normNet);
    const a = mul(x, 1);
    const scores = () => numbers([pixelFlipping(net, x, a).area, sensitivity(net, x, gradient).average]);
    const state = () => numbers([...net.stateDict().values()]);
    const before = { scores: scores(), state: state() };
    net.train();
    expect({ scores: scores(), state: state() }).toEqual(before);
    expect(net.isTraining).toBe(true);
  });
});

test('a measurement leaves no history behind', () => {
  const { net, x, a } = example(device);
  const origins = scope(device, () => allScores(net, x, a, [1, 2]).map((t) => t.origin?.op.name));
  // Completeness is arithmetic on given tensors, and recorded like any.
  expect(origins.filter((name) => name !== undefined)).toEqual(['div']);
});

describe('parameter randomisation', () => {
  test('goes from the last executed layer to the first', () => {
    const { net, x } = example(device);
    expect(layersTopDown(net, x)).toEqual(['fc', 'bn3', 'conv3', 'bn2', 'conv2', 'conv1']);
  });
  test('sees the original only where nothing of the model is left in the map', () => {
    const { net, x } = example(device);
    const image: Attribution = (_, t) => mul(t, 1);
    const { layers, correlation } = parameterRandomisation(net, x, image);
    expect(correlation.shape).toEqual([6, 2]);
    expect(layers.length).toBe(6);
    expectClose(dataOf(correlation), new Array<number>(12).fill(1), 12);
    const found = dataOf(parameterRandomisation(net, x, gradient).correlation);
    for (const value of found) expect(Math.abs(value)).toBeLessThan(0.9);
  });
  test('compares magnitudes, of the class that was explained at first', () => {
    const { net, x } = example(device);
    const classes: number[][] = [];
    const flips: Attribution = (_, t, options) => {
      classes.push([...dataOf(options?.target as Tensor)]);
      return mul(t, classes.length % 2 === 0 ? 1 : -1);
    };
    const { correlation } = parameterRandomisation(net, x, flips, { layers: ['fc', 'conv1'] });
    expectClose(dataOf(correlation), [1, 1, 1, 1], 12);
    const logits = dataOf(net.forward(x));
    const rowOf = (z: Float64Array) => [...z].map((v) => (v === Math.max(...z) ? 1 : 0));
    const predicted = [...rowOf(logits.subarray(0, 3)), ...rowOf(logits.subarray(3))];
    expect(classes).toEqual([predicted, predicted, predicted]);
  });
  test('randomises in a cascade: a layer, and all that came before it', () => {
    const { net, x } = example(device, plainNet);
    const original = numbers(net.parameters());
    const changed: string[][] = [];
    const watch: Attribution = (model, t) => {
      const now = [...model.namedParameters()];
      changed.push(now.filter(([, p], i) => dataOf(p)[0] !== original[i][0]).map(([name]) => name));
      return mul(t, 1);
    };
    parameterRandomisation(net, x, watch, { layers: ['7', '3'] });
    expect(changed).toEqual([[], ['7.weight', '7.bias'], ['3.weight', '3.bias', '7.weight', '7.bias']]);
  });
  test('puts parameters back bit by bit, also when the attribution throws', () => {
    const { net, x } = example(device, normNet);
    const [first] = net.parameters();
    assign(first, tensor(device, [...dataOf(first)].with(0, -0).with(1, Number.NaN), first.shape));
    const bits = () =>
      [...net.stateDict().values()].map((t) => [...new BigInt64Array(dataOf(t).slice().buffer)]);
    const before = bits();
    let calls = 0;
    const breaks: Attribution = (model, t) => {
      if (++calls === 3) throw new Error('broken');
      return gradient(model, t);
    };
    expect(() => parameterRandomisation(net, x, breaks)).toThrow('broken');
    expect(bits()).toEqual(before);
  });
  test('names the layers there are', () => {
    const { net, x } = example(device);
    expect(() => parameterRandomisation(net, x, gradient, { layers: ['head'] })).toThrow(
      /'head' is no module with parameters; use one of conv1, conv2, bn2/,
    );
  });
});

const gpu = await openGpu();
afterAll(() => gpu?.close());

test.skipIf(!gpu)('scores on WebGPU are those in f64', async () => {
  const scoresOn = (on: Device): Tensor[] =>
    scope(on, () => {
      const { net, x, a } = example(on);
      const mask = tensor(on, smallMasks(), [2, 1, 8, 8]);
      return [
        ...allScores(net, x, a, [1, 2]),
        relevanceMassAccuracy(a, mask),
        relevanceRankAccuracy(a, mask),
        topKIntersection(a, mask, { k: 10 }),
        pointingGame(a, mask),
        sparseness(a),
        entropy(a),
      ];
    });
  const expected = numbers(scoresOn(new CpuDevice()));
  const found = await readAll(scoresOn(gpu as Device));
  expected.forEach((values, i) => {
    // f32 maps; ranks of nearly equal pixels may change places.
    expectClose(found[i], values, 3);
  });
});
