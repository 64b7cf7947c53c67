// Training steps of every ISNet on the GPU: captured as uncaptured, and both as the CPU reference in f64.
import { describe, expect, test } from 'vitest';
import { capture } from '../engine/capture.ts';
import { CpuDevice } from '../engine/cpu-device.ts';
import { readAll, tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import {
  type Batch,
  type IsnetOptions,
  isnetLosses,
  isnetObjective,
  type StepNumbers,
} from '../isnet/objective.ts';
import { RunningRange } from '../isnet/running-range.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { SGD } from '../nn/optim.ts';
import { relativeError } from './golden-flex.ts';
import { withGpu } from './gpu.ts';
import { fillNet, smallDataset, smallImages, smallMasks, smallNets } from './small-nets.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const dataset = smallDataset();

type Inputs = Required<Pick<Batch, keyof Batch>> & Pick<StepNumbers, keyof StepNumbers>;

interface Steps {
  /** Losses before the first step, uncaptured, and those of the steps. */
  readonly before: number[];
  readonly losses: number[][];
  readonly weights: number[];
}

/** Three steps of a small net; the estimate of the range runs along where it is asked for. */
async function takeSteps(
  device: Device,
  name: string,
  options: IsnetOptions,
  groups: number,
): Promise<Steps> {
  const net = smallNets[name](device).train();
  fillNet(net, { withBias: true });
  const optimizer = new SGD(net.namedParameters(), { momentum: 0.9 });
  const runningRange = groups > 0 ? new RunningRange(device, groups) : undefined;
  const isnet = { C1: 0.5, C2: 1.5, ...options, runningRange };
  const steps = new TrainStep(device, net, optimizer, {
    losses: isnetObjective(isnet),
    clipNorm: 1,
    seed: 3,
  });
  const upload = () => uploadBatch(device, dataset, Uint32Array.of(0, 1));
  const read = async (t: Parameters<typeof release>[0]) => {
    const [values] = await readAll([t]);
    release(t);
    return [...values];
  };
  const plan = (counter: number) => ({ P: 0.6, counter });
  // Eager kernels are compiled one by one, so on the small net alone; and a running range would move twice.
  const before = runningRange || name !== 'plain' ? [] : await read(steps.evaluate(upload, plan(0)));
  const losses: number[][] = [];
  for (let i = 0; i < 3; i++) losses.push(await read(steps.train(upload, plan(i), 0.02)));
  const weights = (await readAll(net.parameters())).flatMap((values) => [...values]);
  const estimate = runningRange ? await runningRange.save() : [];
  for (const owner of [steps, optimizer, net, runningRange]) owner?.dispose();
  return { before, losses, weights: [...weights, ...estimate] };
}

// Every propagation and the estimate once: each case compiles kernels of its own, which takes seconds on software adapters.
// That the others' gradients are right is checked on the reference, in isnet-variants.test.ts.
const cases: Record<string, { options: IsnetOptions; net?: string; groups?: number }> = {
  'original by LRP-Flex': { options: { variant: 'original', propagation: 'flex' } },
  'softmax by gradient times input': {
    options: { variant: 'softmax', propagation: 'gradient-input', C1: 0.01, C2: 0.2 },
    net: 'plain',
  },
  'dual by rules, deeply supervised, with a running range': {
    options: { variant: 'dual', deepSupervision: ['3'], foreground: 'hybrid' },
    net: 'plain',
    groups: 4,
  },
};

// Kernels of a step are many, and a busy machine with a software adapter takes a second for some of them.
const COMPILING_MS = 120_000;

describe('a captured step of an ISNet is the uncaptured one, and the CPU reference', () => {
  test.each(Object.entries(cases))(
    '%s',
    async (_, { options, net = 'BatchNorm', groups = 0 }) => {
      const found = await takeSteps(gpu, net, options, groups);
      const expected = await takeSteps(new CpuDevice(), net, options, groups);
      // f32 sums of some hundred terms, through three steps.
      if (found.before.length > 0) expect(relativeError(found.losses[0], found.before)).toBeLessThan(1e-5);
      for (const [i, losses] of found.losses.entries()) {
        expect(relativeError(losses, expected.losses[i]), `step ${i}`).toBeLessThan(1e-3);
      }
      expect(relativeError(found.weights, expected.weights)).toBeLessThan(1e-3);
      expect(expected.losses.flat().every((loss) => loss > 1e-3)).toBe(true);
    },
    COMPILING_MS,
  );
});

test('a captured loss follows masks, their absence and unknown labels from batch to batch', async () => {
  const classMasks = [0, 1, 2, 3, 4, 5].map((i) =>
    smallMasks().map((m, k) => (i % 3 === 2 ? 0 : k % 7 === i ? 1 : m)),
  );
  const masks = classMasks.flatMap((mask) => mask.slice(0, 64));
  const flags = [
    { hasMask: [1, 1], known: [1, 1, 1, 1, 1, 1], targets: [1, 0, 1, 0, 0, 1] },
    { hasMask: [0, 1], known: [1, 0, 1, 1, 1, 0], targets: [0, 1, 1, 1, 0, 0] },
    { hasMask: [0, 0], known: [0, 0, 0, 0, 0, 0], targets: [0, 0, 0, 0, 0, 0] },
  ];
  const lossesOn = async (device: Device) => {
    const net = smallNets.plain(device).train();
    fillNet(net, { withBias: true });
    const options: IsnetOptions = { variant: 'original', isMultiLabel: true, C1: 0.5, C2: 1.5 };
    const step = capture(device, (inputs: Inputs) => {
      const { total, classification, heatmap } = isnetLosses(net, inputs, options, inputs);
      const [gradient] = backward(total, [net.parameters()[0]], {
        retain: [classification, heatmap as Tensor],
      });
      return { total, classification, heatmap: heatmap as Tensor, gradient };
    });
    const found: number[][] = [];
    for (const { hasMask, known, targets } of flags) {
      const outputs = scope(device, () =>
        step({
          images: tensor(device, smallImages(), [2, 1, 8, 8]),
          masks: tensor(device, masks, [2, 3, 8, 8]),
          targets: tensor(device, targets, [2, 3]),
          hasMask: tensor(device, hasMask, [2]),
          known: tensor(device, known, [2, 3]),
          P: tensor(device, [0.6], []),
          key: tensor(device, [1, 2], [2]),
        }),
      );
      const values = await readAll(Object.values(outputs));
      found.push(values.flatMap((list) => [...list]));
      for (const t of Object.values(outputs)) release(t);
    }
    step.dispose();
    net.dispose();
    return found;
  };
  const [found, expected] = [await lossesOn(gpu), await lossesOn(new CpuDevice())];
  for (const i of [0, 1]) expect(relativeError(found[i], expected[i]), `batch ${i}`).toBeLessThan(1e-4);
  // Nothing is known of the last: no loss and no gradient, and no NaN.
  expect(found[2].every((value) => value === 0)).toBe(true);
  expect(expected[0]).not.toEqual(expected[1]);
});
