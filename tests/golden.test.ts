// Numbers from the ISNet authors' public code: the loss, ranked pooling, and LRP-Flex with its gradients.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read, readAll, tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { openDevice } from '../engine/node-device.ts';
import { add, mean, mul } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { oneHot } from '../engine/ops/indexing.ts';
import { permute } from '../engine/ops/layout.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { gwrp } from '../isnet/gwrp.ts';
import { type HeatmapLossOptions, heatmapLoss } from '../isnet/heatmap-loss.ts';
import { originalGradient, selectiveGradient } from '../isnet/seeds.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { crossEntropy } from '../nn/loss.ts';
import { type GoldenTensors, goldenTensors } from './golden-files.ts';
import { goldenNet } from './golden-nets.ts';
import { goldenUniform } from './golden-random.ts';

/** Largest difference, relative to the largest expected number. */
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let scale = 0;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i]));
    const error = Math.abs(actual[i] - expected[i]);
    difference = Math.max(difference, Number.isNaN(error) ? Infinity : error);
  }
  return difference / scale;
}

function load(device: Device, golden: GoldenTensors, name: string): Tensor {
  const stored = golden.tensors.get(name);
  if (!stored) throw new Error(`${golden.name} has no tensor ${name}`);
  return tensor(device, stored.data, stored.shape);
}

const expected = (golden: GoldenTensors, name: string): ArrayLike<number> =>
  golden.tensors.get(name)?.data ?? [];

/** The authors' parameter names in ours. */
function lossOptions(json: string): HeatmapLossOptions {
  const { A, B, cut, cut2, d, E, norm, alternativeForeground } = JSON.parse(json);
  return { w1: A, w2: B, C1: cut, C2: cut2, d, E, norm, foreground: alternativeForeground };
}

/** The published code's maps: LRP-Flex, z^B on [0, 1], eps 1e-2, gradients through biases and statistics kept. */
function flexMaps(device: Device, golden: GoldenTensors, net: ReturnType<typeof goldenNet>) {
  const input = load(device, golden, 'input');
  const logits = net.forward(input);
  const { mode, selectiveEps } = golden.metadata;
  const labels = load(device, golden, 'labels');
  const seed =
    mode === 'original'
      ? originalGradient(logits)
      : mode === 'selective'
        ? selectiveGradient(logits, Number(selectiveEps))
        : oneHot(labels, logits.shape[1]);
  const composite = isnetComposite({ eps: Number(golden.metadata.eps) });
  const maps = flexRelevance({ output: logits, seed, input, composite, model: net });
  const [N, C, H, W] = input.shape;
  return { logits, labels, maps: reshape(maps, [-1, N, C, H, W]) };
}

let gpu: Device;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu?.close());

// f32 sums of a hundred terms on the GPU; the files themselves hold f32, so f64 cannot do much better.
const cases = (prefix: string) =>
  goldenTensors(prefix).flatMap((golden) =>
    (['cpu', 'gpu'] as const).map((kind) => ({ name: `${golden.name} on the ${kind}`, golden, kind })),
  );
const deviceOf = (kind: 'cpu' | 'gpu'): Device => (kind === 'cpu' ? new CpuDevice() : gpu);

describe("ranked pooling is the authors' GWRP", () => {
  test.each(cases('gwrp'))('$name', async ({ golden, kind }) => {
    const x = load(deviceOf(kind), golden, 'x');
    for (const name of golden.tensors.keys()) {
      if (!name.startsWith('d')) continue;
      const actual = await read(gwrp(x, Number(name.slice(1))));
      expect(relativeError(actual, expected(golden, name)), name).toBeLessThan(1e-5);
    }
  });
});

describe("heatmap loss and its gradient are the authors'", () => {
  test.each(cases('loss_'))('$name', async ({ golden, kind }) => {
    const device = deviceOf(kind);
    const stored = load(device, golden, 'heatmap');
    const maps = permute(stored, [1, 0, 2, 3, 4]);
    const { perSample } = heatmapLoss(
      maps,
      load(device, golden, 'mask'),
      lossOptions(golden.metadata.config),
    );
    const [gradient] = backward(mean(perSample), [stored], { retain: [perSample] });
    const [loss, slope] = await readAll([perSample, gradient]);
    expect(relativeError(loss, expected(golden, 'loss'))).toBeLessThan(1e-4);
    expect(relativeError(slope, expected(golden, 'heatmap_grad'))).toBeLessThan(1e-4);
  });
});

describe("LRP-Flex gives the authors' heatmaps", () => {
  test.each(cases('flex_cnn'))('$name', async ({ golden, kind }) => {
    const device = deviceOf(kind);
    const { logits, maps } = flexMaps(device, golden, goldenNet(device, golden));
    const [z, R] = await readAll([logits, permute(maps, [1, 0, 2, 3, 4])]);
    expect(relativeError(z, expected(golden, 'logits'))).toBeLessThan(1e-5);
    expect(relativeError(R, expected(golden, 'heatmap'))).toBeLessThan(1e-4);
  });
});

describe("the gradient of the whole ISNet loss is the authors'", () => {
  const withGradients = cases('flex_cnn').filter(({ golden }) => golden.metadata.gradients === 'true');
  test.each(withGradients)('$name', async ({ golden, kind }) => {
    const device = deviceOf(kind);
    const net = goldenNet(device, golden);
    const { logits, labels, maps } = flexMaps(device, golden, net);
    const { P } = JSON.parse(golden.metadata.loss);
    const { perSample } = heatmapLoss(maps, load(device, golden, 'mask'), lossOptions(golden.metadata.loss));
    const heat = mean(perSample);
    const classification = crossEntropy(logits, oneHot(labels, logits.shape[1]));
    const total = add(mul(classification, 1 - P), mul(heat, P));
    const parameters = net.namedParameters();
    const gradients = backward(total, [...parameters.values()], { retain: [heat, classification] });
    const [a, b, c, ...slopes] = await readAll([classification, heat, total, ...gradients]);
    expect(relativeError(a, expected(golden, 'classification_loss'))).toBeLessThan(1e-5);
    expect(relativeError(b, expected(golden, 'heatmap_loss'))).toBeLessThan(1e-4);
    expect(relativeError(c, expected(golden, 'total_loss'))).toBeLessThan(1e-4);
    expect([...parameters.keys()]).toEqual(JSON.parse(golden.metadata.grad_names));
    const seed = Number(golden.metadata.seed);
    [...parameters.keys()].forEach((name, i) => {
      const norm = Math.hypot(...slopes[i]);
      const probe = goldenUniform(-1, 1, `probe.${name}`, seed, slopes[i].length);
      const dot = probe.reduce((total, value, k) => total + value * slopes[i][k], 0);
      // Relative to the norm: a dot product may be small by chance.
      expect(Math.abs(norm / expected(golden, 'grad_norms')[i] - 1), name).toBeLessThan(2e-3);
      expect(Math.abs(dot - expected(golden, 'grad_dots')[i]) / norm, name).toBeLessThan(2e-3);
    });
  });
});
