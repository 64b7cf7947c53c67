// What every attribution promises: an untouched model, a map per image, slopes, bounded memory, the same on WebGPU.
import { afterAll, describe, expect, test } from 'vitest';
import { dataOf } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { scope } from '../engine/scope.ts';
import type { Device } from '../engine/tensor.ts';
import type { Attribution } from '../lrp/attributions/attribution.ts';
import { gradCam } from '../lrp/attributions/grad-cam.ts';
import { gradient, inputTimesGradient } from '../lrp/attributions/gradient.ts';
import { integratedGradients } from '../lrp/attributions/integrated-gradients.ts';
import { occlusion } from '../lrp/attributions/occlusion.ts';
import { guidedBackprop } from '../lrp/attributions/relu-rules.ts';
import { smoothGrad } from '../lrp/attributions/smooth-grad.ts';
import { attributions } from '../lrp/attributions/table.ts';
import { expectClose } from './close.ts';
import { example, fill, imagesOn } from './filled-nets.ts';
import { openGpu } from './gpu.ts';
import { probe } from './gradcheck.ts';
import { fillNet, normNet, plainNet, smallImages, smallNets } from './small-nets.ts';

const all = Object.entries<Attribution>(attributions);

describe.each(all)('%s', (_, attribution) => {
  test('leaves parameters, buffers and the mode of every module as they were', () => {
    const { net, x } = example(normNet);
    net.train();
    net.children()[1][1].eval();
    const bits = () =>
      [...net.stateDict().values()].map((t) => [...new BigInt64Array(dataOf(t).slice().buffer)]);
    const modes = () => net.namedModules().map(([, module]) => module.isTraining);
    const before = { bits: bits(), modes: modes() };
    attribution(net, x);
    expect({ bits: bits(), modes: modes() }).toEqual(before);
  });
  test('gives an image the map that it has alone', () => {
    const { device, net, x } = example();
    const both = dataOf(attribution(net, x, { target: [0, 2] }));
    const second = tensor(device, smallImages().slice(64), [1, 1, 8, 8]);
    expectClose(dataOf(attribution(net, second, { target: 2 })), both.subarray(64), 10);
    expect(both.some((v) => v !== 0)).toBe(true);
  });
});

describe('the slope of an attribution in every parameter is its finite difference:', () => {
  const checked: Record<string, Attribution> = {
    gradient,
    inputTimesGradient,
    integratedGradients: (net, x, o) => integratedGradients(net, x, { ...o, steps: 3 }),
    smoothGrad: (net, x, o) => smoothGrad(net, x, { ...o, samples: 3 }),
    guidedBackprop,
    occlusion: (net, x, o) => occlusion(net, x, { ...o, patch: 4 }),
    gradCam,
  };
  const cases = Object.entries(checked).flatMap(([name, attribution]) =>
    ['plain', 'residual sum'].map((net) => ({ name, net, attribution })),
  );
  test.each(cases)('$name, $net net', ({ attribution, net: netName }) => {
    const { device, net, x } = example(smallNets[netName]);
    const f = () => probe(attribution(net, x, { target: 1 }), 'attribution');
    const parameters = net.parameters();
    const slopes = adjoint(f(), parameters, tensor(device, [1], [])).map((g) => [...dataOf(g)]);
    expect(slopes[0].some((g) => Math.abs(g) > 1e-6)).toBe(true);
    const h = 1e-6;
    parameters.forEach((t, i) => {
      const values = [...dataOf(t)];
      const moved = (k: number, delta: number) => {
        fill(t, values.with(k, values[k] + delta));
        return scope(device, () => dataOf(f())[0]);
      };
      for (let k = 0; k < values.length; k += Math.max(1, Math.ceil(values.length / 3))) {
        const numeric = (moved(k, h) - moved(k, -h)) / (2 * h);
        expect(Math.abs(numeric - slopes[i][k]), `parameter ${i}[${k}]`).toBeLessThan(
          1e-6 * Math.max(1, Math.abs(slopes[i][k])),
        );
      }
      fill(t, values);
    });
  });
});

describe('many copies', () => {
  const withCopies = { integratedGradients, smoothGrad, occlusion };
  test.each(Object.entries(withCopies))('%s does not depend on how they are cut', (_, attribution) => {
    const { net, x } = example();
    const whole = dataOf(attribution(net, x));
    expectClose(dataOf(attribution(net, x, { budgetBytes: 1 })), whole, 12);
    expectClose(dataOf(attribution(net, x, { budgetBytes: 2e5, isDetached: true })), whole, 12);
  });
  test('leave memory as they go if no history is wanted', () => {
    const peakOf = (isDetached: boolean) => {
      const { device, net, x } = example();
      scope(device, () => integratedGradients(net, x, { budgetBytes: 1, isDetached }));
      return device.memory().peakBytes;
    };
    expect(peakOf(true)).toBeLessThan(peakOf(false) / 5);
  });
});

describe('errors name', () => {
  const { device, net, x } = example();
  test('a layer that does not exist', () =>
    expect(() => gradCam(net, x, { layer: 'conv9' })).toThrow(/no layer 'conv9'; use one of conv1, conv2/));
  test('a layer without maps', () =>
    expect(() => gradCam(net, x, { layer: 'fc' })).toThrow(/no feature maps \[N, K, h, w\] of layer 'fc'/));
  test('logits of another tensor', () => {
    const logits = net.forward(imagesOn(device));
    expect(() => gradient(net, x, { logits })).toThrow(/output does not depend on the input/);
  });
  test('rows that do not fit', () => {
    const target = tensor(device, [1, 0], [1, 2]);
    expect(() => gradient(net, x, { target })).toThrow(/rows \[1, 2\] do not fit logits \[2, 3\]/);
  });
  test('a number of steps', () =>
    expect(() => integratedGradients(net, x, { steps: 0 })).toThrow(/steps is 0; pass a whole number/));
  test('a seed', () => expect(() => smoothGrad(net, x, { seed: -1 })).toThrow(/seed is -1; pass/));
  test('a baseline', () => {
    const baseline = tensor(device, [1, 2, 3], [3]);
    expect(() => occlusion(net, x, { baseline })).toThrow(
      /baseline is \[3\] and the images are \[2, 1, 8, 8\]/,
    );
  });
});

const gpu = await openGpu();
afterAll(() => gpu?.close());

describe.skipIf(!gpu)('on WebGPU', () => {
  test.each(all)('%s is what it is in f64', async (_, attribution) => {
    const { net, x } = example(plainNet);
    const expected = dataOf(attribution(net, x, { target: 1 }));
    const device = gpu as Device;
    const onGpu = plainNet(device).eval();
    fillNet(onGpu, { withBias: true });
    const found = await read(scope(device, () => attribution(onGpu, imagesOn(device), { target: 1 })));
    const scale = Math.max(...expected.map(Math.abs));
    const error = Math.max(...expected.map((v, i) => Math.abs(found[i] - v))) / scale;
    // f32 sums of some hundred terms; a NaN fails too.
    expect(error).toBeLessThan(1e-4);
  });
});
