// Relevance where networks are odd: hidden tensors, shared layers, BatchNorm first, broadcasts, batches that are cut.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { add, div, mul } from '../engine/ops/arithmetic.ts';
import { concat, permute, slice } from '../engine/ops/layout.ts';
import { relu } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { selectiveGradient } from '../isnet/seeds.ts';
import { epsilonComposite, isnetComposite } from '../lrp/composite.ts';
import { explain } from '../lrp/explain.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { relevance } from '../lrp/relevance.ts';
import { epsilon, zB } from '../lrp/rules.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { Conv2d, Flatten, Linear, ReLU } from '../nn/layers.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { fillNet, initOn, plainNet, smallImages } from './small-nets.ts';

const device = new CpuDevice();
const init = initOn(device);
const smallBatch = (): Tensor => tensor(device, smallImages(), [2, 1, 8, 8]);
const sumOf = (t: Tensor): number => dataOf(t).reduce((a, b) => a + b, 0);

function filled<T extends Module>(net: T, withBias: boolean): T {
  fillNet(net, { withBias });
  return net;
}

test('a hidden tensor gets the relevance that passes through it: no image rule there', () => {
  const net = filled(plainNet(device), true);
  const layers = net.children().map(([, layer]) => layer);
  const x = smallBatch();
  const hidden = layers.slice(0, 2).reduce((t, layer) => layer.forward(t), x);
  const output = layers.slice(2).reduce((t, layer) => layer.forward(t), hidden);
  const composite = isnetComposite();
  const R = relevance({ output, seed: output, input: hidden, composite });
  const all = relevance({ output, seed: output, input: hidden, composite: epsilonComposite() });
  expectClose(dataOf(R), dataOf(all), 12);
  // And on from there to the image it is what the whole way gives.
  const through = relevance({ output: hidden, seed: R, input: x, composite });
  expectClose(dataOf(through), dataOf(relevance({ output, seed: output, input: x, composite })), 12);
});

describe('relevance is conserved', () => {
  const composite = epsilonComposite({ eps: 1e-9 });
  const expectConserved = (output: Tensor, input: Tensor) => {
    const R = relevance({ output, seed: output, input, composite });
    expect(sumOf(R) / sumOf(output)).toBeCloseTo(1, 6);
  };

  test('with BatchNorm on the input and after a join', () => {
    const first = filled(new BatchNorm2d(init, 1), false).eval();
    const conv = filled(new Conv2d(init, 1, 2, 3), false);
    const last = filled(new BatchNorm2d(init, 4), false).eval();
    const x = smallBatch();
    const y = conv.forward(first.forward(x));
    expectConserved(last.forward(concat([y, relu(y)], 1)), x);
  });

  test('when one layer is used twice and one tensor added to itself', () => {
    const layer = filled(new Linear(init, 4, 4), false);
    const x = tensor(device, [0.3, 0.9, 0.2, 0.5, 0.7, 0.1, 0.8, 0.4], [2, 4]);
    const y = relu(layer.forward(x));
    expectConserved(layer.forward(add(y, y)), x);
  });
});

test('a layer used twice is two layers with the same weights', () => {
  const once = filled(new Linear(init, 3, 3), true);
  const twin = new Linear(init, 3, 3);
  for (const [name, t] of twin.stateDict()) assign(t, once.stateDict().get(name) as Tensor);
  const x = tensor(device, [0.3, 0.9, 0.2], [1, 3]);
  const act = new ReLU();
  const shared = explain(new Sequential(once, act, once), x).relevance;
  const apart = explain(new Sequential(once, act, twin), x).relevance;
  expectClose(dataOf(shared), dataOf(apart), 12);
});

describe('one class', () => {
  const net = filled(new Sequential(new Flatten(), new Linear(init, 64, 1)), true);
  test('is explained, one image at a time too', () => {
    const x = tensor(device, smallImages().slice(0, 64), [1, 1, 8, 8]);
    const { relevance: R } = explain(net, x);
    expect(R.shape).toEqual([1, 1, 8, 8]);
    expect(dataOf(R).every(Number.isFinite)).toBe(true);
  });
  test('has no odds for the selective seed', () => {
    expect(() => selectiveGradient(net.forward(smallBatch()))).toThrow(
      /logits have 1 class and its odds need/,
    );
  });
});

describe('a batch', () => {
  const net = filled(plainNet(device), true);
  const composite = isnetComposite();
  test('that is cut afterwards leaves the other images without relevance', () => {
    const x = smallBatch();
    const logits = net.forward(x);
    const output = slice(logits, [1, 0], [1, 3]);
    const R = dataOf(relevance({ output, seed: output, input: x, composite }));
    const seed = mul(logits, tensor(device, [0, 1], [2, 1]));
    expectClose(R, dataOf(relevance({ output: logits, seed, input: x, composite })), 12);
  });
  test('may be cut and moved also when several maps pass at once', () => {
    const x = smallBatch();
    const logits = net.forward(x);
    const outputs = [slice(logits, [1, 0], [1, 3]), permute(slice(logits, [0, 0], [2, 2]), [1, 0])];
    for (const output of outputs) {
      const explained = (seed: Tensor) => dataOf(relevance({ output, seed, input: x, composite }));
      const twice = mul(output, -2);
      const both = explained(concat([output, twice], 0));
      expectClose(both, [...explained(output), ...explained(twice)], 12);
    }
  });
});

describe('refused is', () => {
  const x = tensor(device, [0.2, 0.4], [2, 1]);
  const explained = (output: Tensor) =>
    relevance({ output, seed: output, input: x, composite: isnetComposite() });
  test('a product that repeats the activation', () => {
    const row = tensor(device, [1, 2, 3], [3]);
    expect(() => explained(mul(x, row))).toThrow(
      /op 'mul' broadcasts \[2, 1\] to \[2, 3\]; expand the term first/,
    );
  });
  test('a quotient by an activation', () => {
    expect(() => explained(div(1, x))).toThrow(/no rule for op 'div' by an activation/);
  });
  test('LRP-Flex on a first layer that leads past its ReLU', () => {
    const layer = filled(new Linear(init, 1, 3), true);
    const z = layer.forward(x);
    const output = add(relu(z), z);
    const flex = () => flexRelevance({ output, seed: output, input: x, composite: isnetComposite() });
    expect(flex).toThrow(/output of the first layer 'Linear' does not go into a ReLU alone; use relevance/);
  });
  test('a rule with impossible options', () => {
    expect(() => epsilon(-1)).toThrow(/rule: eps is -1; use a number from 0 up/);
    expect(() => zB({ eps: Number.NaN })).toThrow(/rule: eps is NaN/);
    expect(() => zB({ low: 1, high: 0 })).toThrow(/low is 1 and high 0; give the least and the largest/);
  });
});
