// Numbers from the ISNet authors' public code: the loss, ranked pooling, and LRP-Flex with its gradients.
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read, readAll } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { mean } from '../engine/ops/arithmetic.ts';
import { permute } from '../engine/ops/layout.ts';
import type { Device } from '../engine/tensor.ts';
import { gwrp } from '../isnet/gwrp.ts';
import { heatmapLoss } from '../isnet/heatmap-loss.ts';
import { isnetMaps } from '../isnet/maps.ts';
import type { Variant } from '../isnet/seeds.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { goldenTensors } from './golden-files.ts';
import { expected, expectFlex, load, lossOptions, relativeError } from './golden-flex.ts';
import { goldenNet } from './golden-nets.ts';
import { withGpu } from './gpu.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

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

describe("LRP-Flex and the gradient of the whole ISNet loss are the authors'", () => {
  test.each(cases('flex_cnn'))('$name', async ({ golden, kind }) => {
    const device = deviceOf(kind);
    await expectFlex(device, golden, goldenNet(device, golden));
  });
});

describe("maps of all classes in one walk are the authors'", () => {
  // In evaluation, where batch statistics are constants to them too.
  const modes: Readonly<Record<string, Variant>> = { original: 'original', selective: 'selective' };
  const files = cases('flex_cnn').filter(({ golden }) => /_(original|selective)_eval$/.test(golden.name));
  test.each(files)('$name', async ({ golden, kind }) => {
    const device = deviceOf(kind);
    const { mode, eps, selectiveEps } = golden.metadata;
    const net = goldenNet(device, golden).eval();
    const input = load(device, golden, 'input');
    const maps = isnetMaps(net, input, net.forward(input), {
      variant: modes[mode],
      propagation: 'flex',
      selectiveEps: Number(selectiveEps),
      composite: isnetComposite({ eps: Number(eps) }),
    });
    const actual = await read(permute(maps, [1, 0, 2, 3, 4]));
    expect(relativeError(actual, expected(golden, 'heatmap'))).toBeLessThan(1e-4);
  });
});
