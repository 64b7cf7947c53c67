// Training in captured steps: weights, statistics and losses have the bits of steps that are not captured.
import { expect, test } from 'vitest';
import { capture } from '../engine/capture.ts';
import { readAll, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { backward } from '../engine/grad.ts';
import { scope } from '../engine/scope.ts';
import type { Shape } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { isnetLosses, isnetObjective } from '../isnet/objective.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { Conv2d, Dropout, Flatten, Linear, ReLU } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { Adam, AdamW, type Optimizer, SGD } from '../nn/optim.ts';
import { randomTensor } from './captured.ts';
import { withGpu } from './gpu.ts';
import { initOn, stripedDataset } from './small-nets.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const rates = [0.1, 0.1, 0.03, 0.003, 0.02];
// 15 + 1 + 7 elements: no multiple of 4.
const shapes: Record<string, Shape> = { a: [3, 5], b: [], c: [7] };

test.each<[string, (p: ReadonlyMap<string, Tensor>) => Optimizer]>([
  ['SGD', (p) => new SGD(p)],
  ['SGD with momentum', (p) => new SGD(p, { momentum: 0.9, nesterov: true, weightDecay: 0.01 })],
  ['Adam', (p) => new Adam(p, { weightDecay: 0.01 })],
  ['AdamW', (p) => new AdamW(p)],
])('%s moves captured as it moves uncaptured, whatever the learning rate', async (_, make) => {
  const results: unknown[] = [];
  for (const isCaptured of [false, true]) {
    const parameters = new Map(
      Object.entries(shapes).map(([name, shape]) => [name, randomTensor(gpu, shape, name)]),
    );
    const optimizer = make(parameters);
    const options = { clipNorm: 2 };
    const apply = capture(gpu, ({ scalars, ...gradients }: Record<string, Tensor>) => {
      optimizer.apply(Object.values(gradients), scalars, options);
      return {};
    });
    rates.forEach((rate, i) => {
      const gradients = Object.entries(shapes).map(([name, shape]) =>
        randomTensor(gpu, shape, `${i}${name}`),
      );
      if (isCaptured) {
        const scalars = optimizer.nextScalars(rate);
        scope(gpu, () => {
          const numbers = tensor(gpu, scalars, [scalars.length]);
          apply({ ...Object.fromEntries(gradients.entries()), scalars: numbers });
        });
      } else optimizer.step(gradients, rate, options);
      for (const g of gradients) release(g);
    });
    const state = optimizer.state();
    results.push(await readAll([...parameters.values(), ...state.values()]));
    apply.dispose();
    optimizer.dispose();
  }
  expect(results[1]).toEqual(results[0]);
});

const data = stripedDataset('captured training', 8, [0, 1, 2, 0, 1, 2], ['a', 'b', 'c']);

function newNet() {
  const init = initOn(gpu);
  const dropout = new Dropout(init, 0.3);
  const net = new Sequential(
    new Conv2d(init, 1, 3, 3, { padding: 1, bias: false }),
    new BatchNorm2d(init, 3),
    new ReLU(),
    new Conv2d(init, 3, 4, 3, { stride: 2 }),
    new ReLU(),
    new Flatten(),
    dropout,
    new Linear(init, 36, 3, { gain: 1 }),
  );
  return { net, dropout, optimizer: new AdamW(net.namedParameters()) };
}

// Two batches of one size and one of another, so that a second recording works on the same weights.
const batches = [
  [0, 1],
  [2, 3],
  [4, 5, 0],
  [1, 2],
  [3, 4, 5],
];

// Compiles the kernels of a training step of an ISNet twice, fused and not: twenty seconds of a core, shared with others.
const compiles = { timeout: 120_000 };
test(
  'a net with BatchNorm and Dropout trains as without capturing, with evaluations in between',
  compiles,
  async () => {
    const isnet = { variant: 'stochastic', C1: 1, C2: 25 } as const;
    const results: unknown[] = [];
    for (const isCaptured of [false, true]) {
      const { net, dropout, optimizer } = newNet();
      const steps = new TrainStep(gpu, net, optimizer, {
        losses: isnetObjective(isnet),
        clipNorm: 1,
        seed: 5,
      });
      const uncaptured = (indices: number[], P: number, counter: number, rate: number): Tensor =>
        scope(gpu, () => {
          const numbers = { P: tensor(gpu, [P], []), key: tensor(gpu, [5, counter], [2]) };
          const { total } = isnetLosses(net, uploadBatch(gpu, data, indices), isnet, numbers);
          optimizer.step(backward(total, net.parameters()), rate, { clipNorm: 1 });
          return total;
        });
      const seen: unknown[] = [];
      if (isCaptured) await steps.prepare(() => uploadBatch(gpu, data, batches[0]));
      for (const [i, indices] of batches.entries()) {
        dropout.atStep(i);
        const P = 0.2 + 0.1 * i;
        const losses = isCaptured
          ? steps.train(() => uploadBatch(gpu, data, indices), { P, counter: i }, rates[i])
          : uncaptured(indices, P, i, rates[i]);
        seen.push((await readAll([losses]))[0][0]);
        net.eval();
        const validation = steps.evaluate(() => uploadBatch(gpu, data, [0, 1, 2, 3, 4, 5]), {
          P,
          counter: i,
        });
        seen.push([...(await readAll([validation]))[0]]);
        net.train();
        for (const t of [losses, validation]) release(t);
      }
      results.push([seen, await readAll([...net.stateDict().values(), ...optimizer.state().values()])]);
      expect(optimizer.stepCount).toBe(batches.length);
      steps.dispose();
      optimizer.dispose();
      net.dispose();
    }
    expect(results[1]).toEqual(results[0]);
  },
);
