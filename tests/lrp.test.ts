// Relevance on networks: conservation on every structure, several maps in one pass, LRP-Flex, named errors.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { detach, readAll, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { exp } from '../engine/ops/pointwise.ts';
import { logSoftmax } from '../engine/ops/softmax.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { inputTimesGradient } from '../lrp/attributions/gradient.ts';
import { epsilonComposite, isnetComposite } from '../lrp/composite.ts';
import { explain } from '../lrp/explain.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { relevance } from '../lrp/relevance.ts';
import { epsilon } from '../lrp/rules.ts';
import { Linear, ReLU } from '../nn/layers.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';
import { fillNet, initOn, normNet, residualNet, smallImages, smallNets } from './small-nets.ts';

/** Relative loss between seed and image on a net without biases, eps -> 0. */
async function lossOn(device: Device, make: (device: Device) => Module): Promise<number> {
  const net = make(device).eval();
  fillNet(net, { withBias: false });
  const x = tensor(device, smallImages(), [2, 1, 8, 8]);
  const logits = net.forward(x);
  const seed = mul(tensor(device, [1, 0, 0, 0, 0, 1], [2, 3]), logits);
  const composite = epsilonComposite({ eps: 1e-9 });
  const R = relevance({ output: logits, seed, input: x, composite, model: net });
  const [start, end] = (await readAll([sum(seed), sum(R)])).map(([value]) => value);
  return Math.abs(end / start - 1);
}

describe('relevance is conserved without biases and with a small stabiliser', () => {
  let gpu: Device;
  withGpu((device) => {
    gpu = device;
  });
  test.each(Object.entries(smallNets))('%s net, in f64', async (_, make) => {
    expect(await lossOn(new CpuDevice(), make)).toBeLessThan(1e-6);
  });
  test.each(Object.entries(smallNets))('%s net, in f32 on WebGPU', async (_, make) => {
    expect(await lossOn(gpu, make)).toBeLessThan(1e-4);
  });
});

describe('maps', () => {
  const device = new CpuDevice();
  const net = residualNet(device).eval();
  fillNet(net, { withBias: true });
  const x = tensor(device, smallImages(), [2, 1, 8, 8]);

  test('of several classes in one pass are the maps of single passes', () => {
    const logits = net.forward(x);
    const composite = isnetComposite();
    const seeds = [0, 1, 2].map((k) => tensor(device, randomValues(`seed ${k}`, 6, [-1, 1]), [2, 3]));
    const together = relevance({ output: logits, seed: concat(seeds, 0), input: x, composite });
    const single = seeds.map((seed) => dataOf(relevance({ output: logits, seed, input: x, composite })));
    const expected = single.flatMap((values) => [...values]);
    expectClose(dataOf(together), expected, 12);
  });

  test('of a batch are the maps of its images', () => {
    const { relevance: both } = explain(net, x, { target: [0, 2] });
    const pixels = smallImages();
    const second = tensor(device, pixels.slice(64), [1, 1, 8, 8]);
    const { relevance: alone } = explain(net, second, { target: 2 });
    expectClose(dataOf(both).subarray(64), dataOf(alone), 12);
  });

  test('leave parameters, statistics and mode as they were', () => {
    const before = [...net.stateDict()].map(([name, t]) => [name, [...dataOf(t)]]);
    explain(net, x);
    expect([...net.stateDict()].map(([name, t]) => [name, [...dataOf(t)]])).toEqual(before);
    expect(net.isTraining).toBe(false);
  });

  test('change nothing in a model that is training either', () => {
    const training = normNet(device).train();
    fillNet(training, { withBias: true });
    const before = [...training.stateDict()].map(([name, t]) => [name, [...dataOf(t)]]);
    explain(training, x);
    expect([...training.stateDict()].map(([name, t]) => [name, [...dataOf(t)]])).toEqual(before);
    expect(training.namedModules().every(([, module]) => module.isTraining)).toBe(true);
  });

  test('give black pixels relevance under zB, and none under epsilon', () => {
    const black = tensor(
      device,
      smallImages().map((v, i) => (i % 2 === 0 ? 0 : v)),
      [2, 1, 8, 8],
    );
    const onBlack = (values: ArrayLike<number>) =>
      Array.from(values).reduce((sum, v, i) => sum + (i % 2 === 0 ? Math.abs(v) : 0), 0);
    expect(onBlack(dataOf(explain(net, black).relevance))).toBeGreaterThan(1e-3);
    expect(onBlack(dataOf(explain(net, black, { composite: epsilonComposite() }).relevance))).toBe(0);
  });
});

// P4 and P14: the rule made of ops gives what autograd gives by another way.
test.each(['plain', 'residual sum', 'concat'])(
  'without biases and stabiliser LRP is input times gradient: %s net',
  (name) => {
    const device = new CpuDevice();
    const net = smallNets[name](device).eval();
    fillNet(net, { withBias: false });
    const x = tensor(device, smallImages(), [2, 1, 8, 8]);
    const composite = epsilonComposite({ eps: 1e-13 });
    const R = explain(net, x, { composite, target: [0, 2] }).relevance;
    expectClose(dataOf(R), dataOf(inputTimesGradient(net, x, { target: [0, 2] })), 7);
  },
);

test('LRP-Flex is epsilon-LRP when the last layer has no stabiliser', () => {
  const device = new CpuDevice();
  const init = initOn(device);
  const net = new Sequential(
    new Linear(init, 6, 5),
    new ReLU(),
    new Linear(init, 5, 4),
    new ReLU(),
    new Linear(init, 4, 3),
  );
  fillNet(net, { withBias: true });
  const x = tensor(device, randomValues('flex x', 12, [0, 1]), [2, 6]);
  const logits = net.forward(x);
  const rows = tensor(device, [1, 0, 0, 0, 1, 0], [2, 3]);
  const composite = epsilonComposite({ eps: 0.01 });
  const last = { ...composite, ruleFor: ({ name }: { name: string }) => epsilon(name === '4' ? 0 : 0.01) };
  const block = relevance({ output: logits, seed: mul(rows, logits), input: x, composite: last, model: net });
  // Without a rule at the first layer Flex ends in gradient times input.
  const flex = flexRelevance({
    output: logits,
    seed: rows,
    input: x,
    composite: { ...composite, ruleFor: () => null },
  });
  expectClose(dataOf(flex), dataOf(block), 12);
});

describe('where relevance has no meaning the error names', () => {
  const device = new CpuDevice();
  const x = () => tensor(device, [0.2, 0.4], [1, 2]);
  const explained = (act: (x: Tensor) => Tensor) => {
    const input = x();
    const output = act(input);
    return relevance({ output, seed: output, input, composite: isnetComposite() });
  };
  test('the op without a rule', () => {
    expect(() => explained(exp)).toThrow(/lrp: no rule for op 'exp' \(output \[1, 2\]\); explain a tensor/);
    expect(() => explained((t) => logSoftmax(t))).toThrow(
      /no rule for op 'logSoftmax' \(output \[1, 2\]\); explain the logits before it/,
    );
  });
  test('an output that was not computed from the input', () => {
    expect(() => explained((t) => detach(t))).toThrow(/does not depend on the input/);
  });
  test('a seed of another size', () => {
    const input = x();
    const output = new Linear(initOn(device), 2, 3).forward(input);
    const seed = tensor(device, [1, 2, 3, 4], [1, 4]);
    expect(() => relevance({ output, seed, input, composite: isnetComposite() })).toThrow(
      /relevance \[1, 4\] does not belong to an activation \[1, 3\]/,
    );
  });
  test('a class that does not exist', () => {
    const net = new Sequential(new Linear(initOn(device), 2, 3));
    expect(() => explain(net, x(), { target: 3 })).toThrow(
      /target \[3\] does not fit logits \[1, 3\]; give a class 0 to 2/,
    );
  });
});
