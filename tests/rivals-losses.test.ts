// The losses of the rivals: against their formulas in plain f64, their gradients against finite differences, and what each
// promises to see or not to see.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { scope } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { MapOptions } from '../isnet/maps.ts';
import {
  type Batch,
  type ClassificationOptions,
  classifierLosses,
  isnetLosses,
  type Losses,
} from '../isnet/objective.ts';
import { gainLosses, gainMap } from '../isnet/rivals/gain.ts';
import { hamLosses } from '../isnet/rivals/ham.ts';
import type { IsnetMethodName } from '../isnet/rivals/isnets.ts';
import { maskLoss } from '../isnet/rivals/masks.ts';
import { multiTaskLosses } from '../isnet/rivals/multi-task.ts';
import { logProbabilityGradient, rightReasonsLosses } from '../isnet/rivals/right-reasons.ts';
import { gradCam } from '../lrp/attributions/grad-cam.ts';
import { Flatten, Linear } from '../nn/layers.ts';
import type { HamNet } from '../nn/models/ham-net.ts';
import type { MultiTaskUNet } from '../nn/models/multi-task-unet.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import {
  batchOn,
  crossEntropyOf,
  meanOf,
  networkOf,
  parameterOf,
  planOf,
  rowsOf,
  softmaxOf,
  sumOf,
} from './rivals.ts';
import { fillNet, initOn, smallImages, smallMasks } from './small-nets.ts';

const scalar = (t: Tensor): number => dataOf(t)[0];
const sigmoidOf = (z: number): number => 1 / (1 + Math.exp(-z));
const bceOf = (z: number, t: number): number => Math.log1p(Math.exp(z)) - t * z;
const images = rowsOf(smallImages(), 64);
const masks = rowsOf(smallMasks(), 64);

/** Logits that are linear in the pixels; weights outside of the masks are 0 if asked. */
function linearNet(device: Device, isMasked = false): Module {
  const net = new Sequential(new Flatten(), new Linear(initOn(device), 64, 3));
  fillNet(net, { withBias: true });
  const weight = parameterOf(net, '1.weight');
  const inside = dataOf(weight).map((w, i) => (isMasked ? w * masks[0][i % 64] : w));
  assign(weight, tensor(device, inside, [3, 64]));
  return net;
}

describe('the loss over masks', () => {
  test('is the mean binary cross-entropy of pixels', () => {
    const device = new CpuDevice();
    const z = randomValues('mask logits', 128, [-2, 2]);
    const loss = maskLoss(tensor(device, z, [2, 1, 8, 8]), batchOn(device));
    expect(scalar(loss)).toBeCloseTo(meanOf(z.map((v, i) => bceOf(v, smallMasks()[i]))), 12);
  });

  test('leaves out images without one, and takes what masks of classes cover together', () => {
    const device = new CpuDevice();
    const z = randomValues('mask logits', 128, [-2, 2]);
    const perClass = [
      ...masks[0].map((_, i) => Number(i < 8)),
      ...masks[0].map((_, i) => Number(i % 8 === 0)),
    ];
    const batch = {
      ...batchOn(device),
      masks: tensor(device, [...perClass, ...perClass], [2, 2, 8, 8]),
      hasMask: tensor(device, [0, 1], [2]),
    };
    const union = masks[0].map((_, i) => Number(i < 8 || i % 8 === 0));
    const expected = meanOf(z.slice(64).map((v, i) => bceOf(v, union[i])));
    expect(scalar(maskLoss(tensor(device, z, [2, 1, 8, 8]), batch))).toBeCloseTo(expected, 12);
  });
});

describe('right for the right reasons', () => {
  test('is the closed form for linear logits', () => {
    const device = new CpuDevice();
    const net = linearNet(device);
    const batch = batchOn(device);
    const weight = rowsOf(dataOf(parameterOf(net, '1.weight')), 64);
    const { total, logits, heatmap } = rightReasonsLosses(net, batch, { lambda: 0.3 });
    // d/dx sum_k log p_k = sum_k w_k - K sum_j p_j w_j
    const penalties = rowsOf(dataOf(logits), 3).map((z, n) => {
      const p = softmaxOf(z);
      const slope = images[n].map((_, i) => sumOf(weight.map((w, k) => (1 - 3 * p[k]) * w[i])));
      return sumOf(slope.map((s, i) => ((1 - masks[n][i]) * s) ** 2));
    });
    expect(scalar(heatmap as Tensor)).toBeCloseTo(meanOf(penalties), 12);
    expect(scalar(total)).toBeCloseTo(crossEntropyOf(dataOf(logits)) + 0.3 * meanOf(penalties), 12);
  });

  test('costs nothing where the slope lies inside the mask', () => {
    const device = new CpuDevice();
    const net = linearNet(device, true);
    const { total, classification, heatmap, logits } = rightReasonsLosses(net, batchOn(device));
    expect(scalar(heatmap as Tensor)).toBe(0);
    expect(scalar(total)).toBe(scalar(classification));
    const slope = logProbabilityGradient(batchOn(device).images, logits);
    expect(dataOf(slope).every((s) => s === 0)).toBe(true);
  });

  test('does not depend on the size of the batch', () => {
    const device = new CpuDevice();
    const net = linearNet(device);
    const { heatmap } = rightReasonsLosses(net, batchOn(device));
    const twice: Batch = {
      images: tensor(device, [...smallImages(), ...smallImages()], [4, 1, 8, 8]),
      targets: tensor(device, [1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1], [4, 3]),
      masks: tensor(device, [...smallMasks(), ...smallMasks()], [4, 1, 8, 8]),
    };
    expect(scalar(rightReasonsLosses(net, twice).heatmap as Tensor)).toBeCloseTo(
      scalar(heatmap as Tensor),
      12,
    );
  });

  test('takes logistics where several classes may be shown', () => {
    const device = new CpuDevice();
    const net = linearNet(device);
    const { images: x } = batchOn(device);
    const logits = net.forward(x);
    const weight = rowsOf(dataOf(parameterOf(net, '1.weight')), 64);
    const slope = logProbabilityGradient(x, logits, true);
    const expected = rowsOf(dataOf(logits), 3).flatMap((z) =>
      weight[0].map((_, i) => sumOf(weight.map((w, k) => (1 - sigmoidOf(z[k])) * w[i]))),
    );
    expectClose(dataOf(slope), expected, 12);
  });
});

describe('GAIN', () => {
  test('looks at the Grad-CAM of the shown class', () => {
    const device = new CpuDevice();
    const net = networkOf('gain', device).eval();
    const batch = batchOn(device);
    const map = dataOf(gainMap(net, batch, net.forward(batch.images)));
    expectClose(map, dataOf(gradCam(net, batch.images, { target: [0, 2] })), 12);
    expect(Math.max(...map)).toBeGreaterThan(0.01);
  });

  test('is the sum of its three parts', () => {
    const device = new CpuDevice();
    const net = networkOf('gain', device);
    const batch = batchOn(device);
    const settings = { alpha: 0.7, omegaMasks: 3, steepness: 8, threshold: 0.2 };
    const { total, logits } = gainLosses(net, batch, settings);
    const map = rowsOf(dataOf(gradCam(net, batch.images, { target: [0, 2] })), 64);
    const left = images.flatMap((x, n) => x.map((v, i) => v - v * sigmoidOf(8 * (map[n][i] - 0.2))));
    const rest = rowsOf(dataOf(net.forward(tensor(device, left, [2, 1, 8, 8]))), 3).map(softmaxOf);
    const error = meanOf(map.flatMap((row, n) => row.map((a, i) => (a - masks[n][i]) ** 2)));
    const expected = crossEntropyOf(dataOf(logits)) + (0.7 * (rest[0][0] + rest[1][2])) / 2 + 3 * error;
    expect(scalar(total)).toBeCloseTo(expected, 10);
  });
});

test('a multi-task U-Net adds the losses of classes and pixels', () => {
  const device = new CpuDevice();
  const net = networkOf('multi-task', device) as MultiTaskUNet;
  net.eval();
  const batch = batchOn(device);
  const { logits, mask } = net.run(batch.images);
  expectClose(dataOf(net.forward(batch.images)), dataOf(logits), 12);
  const pixels = meanOf([...dataOf(mask)].map((z, i) => bceOf(z, smallMasks()[i])));
  const { total } = multiTaskLosses(net, batch, { maskWeight: 0.4 });
  expect(scalar(total)).toBeCloseTo(crossEntropyOf(dataOf(logits)) + 0.4 * pixels, 10);
});

describe('HAM', () => {
  /** PyTorch's bilinear interpolation to twice the size, of a map 4x4. */
  const enlarged = (map: readonly number[]): number[] =>
    Array.from({ length: 64 }, (_, i) => {
      const at = (place: number): [number, number, number] => {
        const p = Math.min(3, Math.max(0, (place + 0.5) / 2 - 0.5));
        return [Math.floor(p), Math.min(3, Math.floor(p) + 1), p - Math.floor(p)];
      };
      const [[y0, y1, v], [x0, x1, u]] = [at(Math.floor(i / 8)), at(i % 8)];
      const row = (y: number) => (1 - u) * map[y * 4 + x0] + u * map[y * 4 + x1];
      return (1 - v) * row(y0) + v * row(y1);
    });
  const cut = (values: readonly number[], at: number) => values.map((v) => sigmoidOf(100 * (v - at)));
  const refinedOf = (map: readonly number[]): number[] => {
    const large = enlarged(map);
    const [low, high] = [Math.min(...large), Math.max(...large)];
    return cut(
      large.map((v) => (v - low) / (high - low)),
      0.4,
    );
  };
  const outside = (A: readonly number[], B: readonly number[]): number =>
    1 - sumOf(cut(A, 0.75).map((s, i) => s * Math.min(A[i], B[i]))) / sumOf(A);

  test('is the sum of its five parts', () => {
    const device = new CpuDevice();
    const net = networkOf('ham', device).eval() as HamNet;
    // Positive weights of features from 0 up: no map is empty, and each has places on both sides of the threshold.
    for (const { weight } of [net.classes, net.any]) {
      const values = randomValues(`ham ${weight.shape}`, dataOf(weight).length, [0, 0.3]);
      assign(weight, tensor(device, values, weight.shape));
    }
    const batch = batchOn(device);
    const { logits, classMaps, foreground, foregroundMap } = net.run(batch.images);
    const C = rowsOf(dataOf(classMaps), 16);
    // Class 0 is shown by image 0 alone, class 2 by image 1 alone.
    const shown = [C[0], C[5]];
    const F = rowsOf(dataOf(foregroundMap), 16);
    for (const map of [...shown, ...F]) {
      expect(Math.max(...map)).toBeGreaterThan(0.75);
      expect(Math.min(...map)).toBeLessThan(0.75);
    }
    const any = meanOf([...dataOf(foreground)].map((z) => bceOf(z, 1)));
    const errors = shown.map((map, n) => {
      const A = refinedOf(map);
      return sumOf(A.map((a, i) => (a - masks[n][i]) ** 2)) / sumOf(A.map((a, i) => a + masks[n][i]));
    });
    const mask = meanOf(errors);
    const bound = meanOf(shown.map((map, n) => outside(map, F[n])));
    const union = meanOf(F.map((map, n) => outside(map, shown[n])));
    const { total, heatmap } = hamLosses(net, batch, { any: 0.2, masks: 0.3, bound: 0.4, union: 0.6 });
    const attention = 0.2 * any + 0.3 * mask + 0.4 * bound + 0.6 * union;
    expect(scalar(heatmap as Tensor)).toBeCloseTo(attention, 8);
    expect(scalar(total)).toBeCloseTo(crossEntropyOf(dataOf(logits)) + attention, 8);

    const someMasked = { ...batch, hasMask: tensor(device, [0, 1], [2]) };
    const masksAlone = hamLosses(net, someMasked, { any: 0, masks: 1, bound: 0, union: 0 });
    expect(scalar(masksAlone.heatmap as Tensor)).toBeCloseTo(errors[1], 8);
  });

  test('sends no gradient to the weights of its maps but as weights of logits', () => {
    const device = new CpuDevice();
    const net = networkOf('ham', device) as HamNet;
    const weights = [net.classes.weight, net.any.weight];
    const slopes = (options: Parameters<typeof hamLosses>[2]) =>
      adjoint(hamLosses(net.eval(), batchOn(device), options).total, weights, tensor(device, [1], []));
    const [all, withoutMaps] = [slopes({}), slopes({ masks: 0, bound: 0, union: 0 })];
    weights.forEach((_, i) => {
      expectClose(dataOf(all[i]), dataOf(withoutMaps[i]), 14);
    });
    expect(Math.max(...dataOf(all[1]).map(Math.abs))).toBeGreaterThan(1e-4);
  });
});

describe('an ISNet method minimises the loss of its variant', () => {
  const kinds: Readonly<Record<IsnetMethodName, MapOptions>> = {
    'isnet-original': { variant: 'original' },
    'isnet-selective': { variant: 'selective' },
    'isnet-stochastic': { variant: 'stochastic' },
    'isnet-dual': { variant: 'dual' },
    'isnet-flex': { variant: 'stochastic', propagation: 'flex' },
    'isnet-deep-supervision': { variant: 'stochastic', deepSupervision: ['features.2', 'classifier'] },
    'isnet-gradient-input': { variant: 'original', propagation: 'gradient-input' },
    'isnet-softmax-gradient-input': { variant: 'softmax', propagation: 'gradient-input' },
    'isnet-grad-cam': { variant: 'stochastic', propagation: 'grad-cam' },
  };

  test.each(Object.entries(kinds))('%s', (name, maps) => {
    const device = new CpuDevice();
    const { phases } = planOf(name, device);
    const { model, objective } = phases[0];
    fillNet(model.eval(), { withBias: true });
    const batch = batchOn(device);
    // A range that has seen nothing is the published default.
    const expected = isnetLosses(model, batch, { ...maps, C1: 1, C2: 25 }, batch);
    expect(scalar(objective(model, batch).total)).toBeCloseTo(scalar(expected.total), 10);
  });

  test('and no two of them are the same', () => {
    const totals = Object.keys(kinds).map((name) => {
      const device = new CpuDevice();
      const { model, objective } = planOf(name, device).phases[0];
      fillNet(model.eval(), { withBias: true });
      return scalar(objective(model, batchOn(device)).total).toFixed(9);
    });
    expect(new Set(totals).size).toBe(totals.length);
  });
});

describe('the gradient is the finite difference, for every parameter', () => {
  type LossOf = (net: Module, batch: Batch, options: ClassificationOptions) => Losses;
  const steep = { alpha: 0.8, omegaMasks: 2, steepness: 3, threshold: 0.3 };
  const cases: [string, LossOf][] = [
    ['attention-gated', (net, batch, options) => classifierLosses(net, batch, options)],
    ['right-reasons', (net, batch, options) => rightReasonsLosses(net, batch, { lambda: 0.5 }, options)],
    ['gain', (net, batch, options) => gainLosses(net, batch, steep, options)],
    ['multi-task', (net, batch, options) => multiTaskLosses(net as MultiTaskUNet, batch, {}, options)],
    ['ham', (net, batch, options) => hamLosses(net as HamNet, batch, { bound: 0.3, union: 0.3 }, options)],
  ];
  const kinds = cases.flatMap(([name, lossOf]) =>
    [false, true].map((isMultiLabel) => ({ name, lossOf, isMultiLabel, isTraining: isMultiLabel })),
  );

  test.each(kinds)('$name, several labels: $isMultiLabel, training: $isTraining', (kind) => {
    const { name, lossOf, isMultiLabel, isTraining } = kind;
    const lossOn = (net: Module, device: Device) => lossOf(net, batchOn(device), { isMultiLabel }).total;
    const device = new CpuDevice();
    const net = networkOf(name, device).train(isTraining);
    // Their slope in maps is cut on purpose, see above.
    const parameters = [...net.namedParameters()].filter(([key]) => !/^(classes|any)\./.test(key));
    const gradients = adjoint(
      lossOn(net, device),
      parameters.map(([, t]) => t),
      tensor(device, [1], []),
    );
    for (const [i, [key, { shape }]] of parameters.entries()) {
      const exact = dataOf(gradients[i]);
      const direction = randomValues(`direction ${key}`, exact.length, [-1, 1]);
      const moved = (h: number): number => {
        const other = new CpuDevice();
        return scope(other, () => {
          const copy = networkOf(name, other).train(isTraining);
          const t = parameterOf(copy, key);
          const values = dataOf(t).map((v, k) => v + h * direction[k]);
          assign(t, tensor(other, values, shape));
          return scalar(lossOn(copy, other));
        });
      };
      const slope = sumOf(direction.map((d, k) => d * exact[k]));
      const h = 1e-6;
      const numeric = (moved(h) - moved(-h)) / (2 * h);
      // As for the ISNets' losses: good to about 1e-8 in f64; the steep thresholds of HAM cost two digits.
      expect(Math.abs(numeric - slope), key).toBeLessThan(1e-6 * Math.max(1, Math.abs(slope)));
    }
  });
});
