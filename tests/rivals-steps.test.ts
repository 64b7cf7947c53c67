// Every method learns; and on the device it learns captured what it learns uncaptured.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { readAll, tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { openDevice } from '../engine/node-device.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { methods } from '../isnet/rivals/index.ts';
import type { Phase } from '../isnet/rivals/method.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { Adam } from '../nn/optim.ts';
import { meanOf, planOf } from './rivals.ts';
import { smallImages, smallMasks } from './small-nets.ts';
import { isThorough } from './thorough.ts';

let gpu: Device;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu?.close());

const dataset: Dataset = {
  images: Float32Array.from(smallImages()),
  masks: Float32Array.from(smallMasks()),
  labels: Uint8Array.of(0, 2),
  count: 2,
  channels: 1,
  height: 8,
  width: 8,
  classNames: ['a', 'b', 'c'],
};
const RATE = 0.02;
const P = 0.5;

async function numbersOf(losses: Tensor): Promise<number[]> {
  const [values] = await readAll([losses]);
  release(losses);
  return [...values];
}

/** Losses [total, ...] of each step, and the weights behind the last one. */
async function captured(device: Device, { model, objective }: Phase, count: number) {
  const upload = () => uploadBatch(device, dataset, [0, 1]);
  const optimizer = new Adam(model.namedParameters());
  const steps = new TrainStep(device, model, optimizer, { losses: objective, clipNorm: 1, seed: 3 });
  const losses: number[] = [];
  model.train();
  for (let i = 0; i < count; i++) {
    losses.push((await numbersOf(steps.train(upload, { P, counter: i }, RATE)))[0]);
  }
  const weights = await readAll(model.parameters());
  for (const owner of [steps, optimizer]) owner.dispose();
  model.eval();
  return { losses, weights };
}

async function uncaptured(device: Device, { model, objective }: Phase, count: number) {
  const optimizer = new Adam(model.namedParameters());
  const losses: number[] = [];
  model.train();
  for (let i = 0; i < count; i++) {
    const total = scope(device, () => {
      const numbers = { P: tensor(device, [P], []), key: tensor(device, [3, i], [2]) };
      const { total } = objective(model, { ...uploadBatch(device, dataset, [0, 1]), ...numbers });
      optimizer.step(backward(total, model.parameters()), RATE, { clipNorm: 1 });
      return total;
    });
    losses.push((await numbersOf(total))[0]);
  }
  const weights = await readAll(model.parameters());
  optimizer.dispose();
  model.eval();
  return { losses, weights };
}

// Those that are made of the ISNets' losses are on the device in isnet-steps.test.ts: their kernels take minutes to compile.
const own = ['segment-then-classify', 'multi-task', 'attention-gated', 'gain', 'ham', 'right-reasons'];
const all = methods.map(({ name }) => name);
const places = [
  ...all.map((name) => ({ name, place: 'CPU' })),
  ...(isThorough ? all : own).map((name) => ({ name, place: 'GPU' })),
];

// On the GPU kernels are compiled for each network anew, second derivatives included: up to four seconds each.
test.each(places)('the loss of $name falls in 20 steps on the $place', async ({ name, place }) => {
  const device = place === 'CPU' ? new CpuDevice() : gpu;
  const plan = planOf(name, device);
  for (const phase of plan.phases) {
    const { losses } = await captured(device, phase, 20);
    expect(meanOf(losses.slice(-3)), phase.title).toBeLessThan(0.95 * meanOf(losses.slice(0, 3)));
  }
  plan.dispose();
});

test.each(own)('%s learns captured what it learns uncaptured', async (name) => {
  const [one, other] = [planOf(name, gpu), planOf(name, gpu)];
  for (const [i, phase] of one.phases.entries()) {
    expect(await captured(gpu, phase, 3)).toEqual(await uncaptured(gpu, other.phases[i], 3));
  }
  for (const plan of [one, other]) plan.dispose();
});
