// Every method learns; and on the device it learns captured what it learns uncaptured.
import { expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, readAll, tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { methods } from '../isnet/rivals/index.ts';
import type { Phase } from '../isnet/rivals/method.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { Adam } from '../nn/optim.ts';
import { withGpu } from './gpu.ts';
import { meanOf, planOf } from './rivals.ts';
import { smallDataset } from './small-nets.ts';
import { isThorough } from './thorough.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const dataset = smallDataset();
const RATE = 0.02;
const P = 0.5;

async function numbersOf(losses: Tensor): Promise<number[]> {
  const [values] = await readAll([losses]);
  release(losses);
  return [...values];
}

/** The total loss of each step. */
async function captured(device: Device, { model, objective }: Phase, count: number): Promise<number[]> {
  const upload = () => uploadBatch(device, dataset, [0, 1]);
  const optimizer = new Adam(model.namedParameters());
  const steps = new TrainStep(device, model, optimizer, { losses: objective, clipNorm: 1, seed: 3 });
  const losses: number[] = [];
  model.train();
  await steps.prepare(upload);
  for (let i = 0; i < count; i++) {
    losses.push((await numbersOf(steps.train(upload, { P, counter: i }, RATE)))[0]);
  }
  for (const owner of [steps, optimizer]) owner.dispose();
  model.eval();
  return losses;
}

async function uncaptured(device: Device, { model, objective }: Phase, count: number): Promise<number[]> {
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
  optimizer.dispose();
  model.eval();
  return losses;
}

function expectFall(losses: readonly number[], title: string): void {
  expect(meanOf(losses.slice(-3)), title).toBeLessThan(0.95 * meanOf(losses.slice(0, 3)));
}

const all = methods.map(({ name }) => name);

test.each(all)('the loss of %s falls in 20 steps', async (name) => {
  const device = new CpuDevice();
  const plan = planOf(name, device);
  for (const phase of plan.phases) expectFall(await captured(device, phase, 20), phase.title);
});

// The ISNets' losses are in isnet-steps.test.ts. Kernels, those of second derivatives above all, are compiled for each
// network anew: seconds each, so the networks that add no kind of op are left to thorough runs.
const own = ['gain', 'ham', 'right-reasons'];

test.each(isThorough ? all : own)(
  'the loss of %s falls on the GPU, captured as uncaptured',
  async (name) => {
    const [one, other] = [planOf(name, gpu), planOf(name, gpu)];
    for (const [i, phase] of one.phases.entries()) {
      const losses = await captured(gpu, phase, 20);
      expectFall(losses, phase.title);
      // The weights of three steps are in the fourth loss.
      const twin = other.phases[i];
      expect(await uncaptured(gpu, twin, 4), phase.title).toEqual(losses.slice(0, 4));
      // What comes next stands on the same.
      const trained = phase.model.stateDict();
      for (const [key, t] of twin.model.stateDict()) assign(t, trained.get(key) as Tensor);
    }
    for (const plan of [one, other]) plan.dispose();
  },
  60_000,
);
