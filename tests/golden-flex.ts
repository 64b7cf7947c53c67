// LRP-Flex and the ISNet loss as the golden files have them, and what they are compared by. See golden/README.md.
import { expect } from 'vitest';
import { readAll, tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { add, mean, mul } from '../engine/ops/arithmetic.ts';
import { reshape, sum } from '../engine/ops/broadcast.ts';
import { oneHot } from '../engine/ops/indexing.ts';
import { permute } from '../engine/ops/layout.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { type HeatmapLossOptions, heatmapLoss } from '../isnet/heatmap-loss.ts';
import { originalGradient, selectiveGradient } from '../isnet/seeds.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { crossEntropy } from '../nn/loss.ts';
import type { Module } from '../nn/module.ts';
import { readTensors } from '../nn/state-dict.ts';
import type { GoldenTensors } from './golden-files.ts';
import { goldenUniform } from './golden-random.ts';

/** Largest difference, relative to the largest expected number. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let scale = 0;
  let difference = actual.length === expected.length ? 0 : Infinity;
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i]));
    const error = Math.abs(actual[i] - expected[i]);
    difference = Math.max(difference, Number.isNaN(error) ? Infinity : error);
  }
  return difference / scale;
}

/** A tensor of the file on a device. */
export function load(device: Device, golden: GoldenTensors, name: string): Tensor {
  const stored = golden.tensors.get(name);
  if (!stored) throw new Error(`${golden.name} has no tensor ${name}`);
  return tensor(device, stored.data, stored.shape);
}

export const expected = (golden: GoldenTensors, name: string): ArrayLike<number> =>
  golden.tensors.get(name)?.data ?? [];

/** The authors' parameter names in ours. */
export function lossOptions(json: string): HeatmapLossOptions {
  const { A, B, cut, cut2, d, E, norm, alternativeForeground } = JSON.parse(json);
  return { w1: A, w2: B, C1: cut, C2: cut2, d, E, norm, foreground: alternativeForeground };
}

/** What a file has expected numbers for, computed. */
interface FlexResult {
  readonly logits: Tensor;
  /** [N, K, C, H, W] */
  readonly maps: Tensor;
  /** Null where the file has no loss. */
  readonly losses: {
    readonly classification: Tensor;
    readonly heatmap: Tensor;
    readonly total: Tensor;
  } | null;
  /** Gradients of the total loss by parameter; empty where the file has none. */
  readonly gradients: Map<string, Tensor>;
}

/** The published code's maps [K, N, C, H, W]: LRP-Flex, z^B on [0, 1], eps 1e-2, gradients through biases and statistics. */
function flexMaps(golden: GoldenTensors, net: Module, input: Tensor, logits: Tensor, labels: Tensor): Tensor {
  const { mode, selectiveEps, eps } = golden.metadata;
  const seed =
    mode === 'original'
      ? originalGradient(logits)
      : mode === 'selective'
        ? selectiveGradient(logits, Number(selectiveEps))
        : oneHot(labels, logits.shape[1]);
  const composite = isnetComposite({ eps: Number(eps) });
  const maps = flexRelevance({ output: logits, seed, input, composite, model: net });
  return reshape(maps, [-1, ...input.shape]);
}

/** One step as the file's: forward, maps, losses and gradients. Everything else it made is released. */
function flexStep(device: Device, golden: GoldenTensors, net: Module): FlexResult {
  return scope(device, () => {
    const [input, labels] = ['input', 'labels'].map((name) => load(device, golden, name));
    const logits = net.forward(input);
    const maps = flexMaps(golden, net, input, logits, labels);
    const result = { logits, maps: permute(maps, [1, 0, 2, 3, 4]), losses: null, gradients: new Map() };
    if (golden.metadata.gradients !== 'true') return result;
    const { P } = JSON.parse(golden.metadata.loss);
    const mask = load(device, golden, 'mask');
    const heatmap = mean(heatmapLoss(maps, mask, lossOptions(golden.metadata.loss)).perSample);
    const classification = crossEntropy(logits, oneHot(labels, logits.shape[1]));
    const total = add(mul(classification, 1 - P), mul(heatmap, P));
    const losses = { classification, heatmap, total };
    if (expected(golden, 'grad_norms').length === 0) return { ...result, losses };
    const parameters = net.namedParameters();
    const retain = [logits, result.maps, classification, heatmap];
    const gradients = backward(total, [...parameters.values()], { retain });
    return {
      ...result,
      losses,
      gradients: new Map([...parameters.keys()].map((name, i) => [name, gradients[i]])),
    };
  });
}

/** Logits, heatmaps, losses and gradients are the file's. Large networks' heatmaps are summed over channels there. */
export async function expectFlex(device: Device, golden: GoldenTensors, net: Module): Promise<void> {
  const { logits, maps, losses, gradients } = flexStep(device, golden, net);
  const isSummed = golden.tensors.get('heatmap')?.shape.length === 4;
  const [z, R] = await readAll([logits, isSummed ? sum(maps, [2]) : maps]);
  expect(relativeError(z, expected(golden, 'logits')), 'logits').toBeLessThan(1e-5);
  expect(relativeError(R, expected(golden, 'heatmap')), 'heatmap').toBeLessThan(1e-4);
  if (losses) await expectLosses(golden, losses);
  if (gradients.size > 0) await expectGradients(golden, gradients);
  for (const t of gradients.values()) release(t);
}

async function expectLosses(golden: GoldenTensors, losses: NonNullable<FlexResult['losses']>): Promise<void> {
  const { classification, heatmap, total } = losses;
  const [a, b, c] = await readAll([classification, heatmap, total]);
  expect(relativeError(a, expected(golden, 'classification_loss')), 'classification').toBeLessThan(1e-5);
  expect(relativeError(b, expected(golden, 'heatmap_loss')), 'heatmap loss').toBeLessThan(1e-4);
  expect(relativeError(c, expected(golden, 'total_loss')), 'total loss').toBeLessThan(1e-4);
}

/** Every parameter's gradient has the file's norm, and the file's dot product with a probe. */
async function expectGradients(golden: GoldenTensors, gradients: Map<string, Tensor>): Promise<void> {
  const slopes = await readTensors(gradients);
  expect(slopes.map(([name]) => name)).toEqual(JSON.parse(golden.metadata.grad_names));
  const seed = Number(golden.metadata.seed);
  slopes.forEach(([name, { data }], i) => {
    const probe = goldenUniform(-1, 1, `probe.${name}`, seed, data.length);
    let squares = 0;
    let dot = 0;
    for (let k = 0; k < data.length; k++) {
      squares += data[k] ** 2;
      dot += probe[k] * data[k];
    }
    const norm = Math.sqrt(squares);
    // Relative to the norm: a dot product may be small by chance.
    expect(Math.abs(norm / expected(golden, 'grad_norms')[i] - 1), name).toBeLessThan(2e-3);
    expect(Math.abs(dot - expected(golden, 'grad_dots')[i]) / norm, name).toBeLessThan(2e-3);
  });
}
