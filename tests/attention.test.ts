// Attention: its numbers by loops, its names, and where relevance is conserved on the way through it, and where not.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { readAll, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { concat } from '../engine/ops/layout.ts';
import { softmax } from '../engine/ops/softmax.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { composites, epsilonComposite } from '../lrp/composite.ts';
import { relevance, relevanceAt } from '../lrp/relevance.ts';
import { compositeTable } from '../lrp/table.ts';
import { MultiheadAttention } from '../nn/attention.ts';
import { AttentionNet, attentionNet } from './attention-net.ts';
import { expectClose } from './close.ts';
import { withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';
import { fillNet, initOn } from './small-nets.ts';

const device = new CpuDevice();
const [N, T, E, H] = [2, 3, 4, 2];
const tokens = randomValues('tokens', N * T * E, [-1, 1]);
const tokensOn = (on: Device): Tensor => tensor(on, tokens, [N, T, E]);

const sumOf = (t: Tensor): number => dataOf(t).reduce((a, b) => a + b, 0);

/** The last tensor on the way to t that this op made. */
function madeBy(opName: string, t: Tensor): Tensor {
  const queue = [t];
  for (let next = queue.shift(); next; next = queue.shift()) {
    if (next.origin?.op.name === opName) return next;
    queue.push(...(next.origin?.inputs ?? []));
  }
  throw new Error(`no ${opName} on the way`);
}

test('attention is what the loops say, and has the names of PyTorch', () => {
  const layer = new MultiheadAttention(initOn(device), E, H);
  fillNet(layer, { withBias: true });
  const state = new Map([...layer.stateDict()].map(([name, t]) => [name, dataOf(t)]));
  expect([...state.keys()].toSorted()).toEqual([
    'in_proj_bias',
    'in_proj_weight',
    'out_proj.bias',
    'out_proj.weight',
  ]);
  const get = (name: string) => state.get(name) as Float64Array;
  const project = (x: number[], W: ArrayLike<number>, b: ArrayLike<number>, first: number): number[] =>
    Array.from({ length: E }, (_, o) =>
      x.reduce((sum, value, i) => sum + value * W[(first + o) * E + i], b[first + o]),
    );
  const d = E / H;
  const expected: number[] = [];
  for (let n = 0; n < N; n++) {
    const rows = Array.from({ length: T }, (_, t) => tokens.slice((n * T + t) * E, (n * T + t + 1) * E));
    const [q, k, v] = [0, E, 2 * E].map((first) =>
      rows.map((x) => project(x, get('in_proj_weight'), get('in_proj_bias'), first)),
    );
    for (let t = 0; t < T; t++) {
      const mixed = new Array<number>(E).fill(0);
      for (let h = 0; h < H; h++) {
        const part = (row: number[]) => row.slice(h * d, (h + 1) * d);
        const scores = k.map((row) =>
          Math.exp(part(row).reduce((s, value, i) => s + value * part(q[t])[i], 0) / Math.sqrt(d)),
        );
        const whole = scores.reduce((a, b) => a + b, 0);
        v.forEach((row, u) => {
          part(row).forEach((value, i) => {
            mixed[h * d + i] += (scores[u] / whole) * value;
          });
        });
      }
      expected.push(...project(mixed, get('out_proj.weight'), get('out_proj.bias'), 0));
    }
  }
  expectClose(dataOf(layer.forward(tokensOn(device))), expected, 12);
});

test('softmax shares by its Taylor expansion', () => {
  const x = tensor(device, [0.5, -1, 2, 0.1, 0.2, 0.3], [2, 3]);
  const y = softmax(x);
  const R = [0.3, -0.2, 0.7, 1, 2, -1];
  const s = dataOf(y);
  const expected = [...dataOf(x)].map((value, i) => {
    const line = i < 3 ? 0 : 3;
    const whole = R[line] + R[line + 1] + R[line + 2];
    return value * (R[i] - s[i] * whole);
  });
  const seed = tensor(device, R, [2, 3]);
  const composite = epsilonComposite();
  expectClose(dataOf(relevance({ output: y, seed, input: x, composite })), expected, 12);
});

describe('a transformer block', () => {
  const net = attentionNet(device);
  fillNet(net, { withBias: false });
  const x = tokensOn(device);
  const logits = net.forward(x);
  const seed = mul(logits, tensor(device, [1, 0, 0, 0, 0, 1], [2, 3]));
  const sums = (values: ArrayLike<number>) =>
    [0, 1].map((n) =>
      Array.from(values)
        .slice(n * T * E, (n + 1) * T * E)
        .reduce((a, b) => a + b, 0),
    );
  const expectConserved = (values: ArrayLike<number>, start: ArrayLike<number>, bound: number) => {
    const wanted = [start[0], start[5]];
    sums(values).forEach((sum, n) => {
      expect(Math.abs(sum / wanted[n] - 1), `sample ${n}`).toBeLessThan(bound);
    });
  };

  test('conserves relevance when attention weights count as constants', () => {
    const composite = epsilonComposite({ eps: 1e-10, softmax: 'constant' });
    const R = relevance({ output: logits, seed, input: x, composite });
    expectConserved(dataOf(R), dataOf(seed), 1e-6);
  });

  test('loses relevance at softmax and nowhere else under AttnLRP', () => {
    const weights = madeBy('softmax', logits);
    const scores = weights.origin?.inputs[0] as Tensor;
    const composite = epsilonComposite({ eps: 1e-10 });
    const options = { output: logits, seed, input: x, composite };
    const [R, R_weights, R_scores] = relevanceAt(options, [x, weights, scores]);
    const lost = sumOf(seed) - sumOf(R);
    expect(Math.abs(lost / sumOf(seed))).toBeGreaterThan(1e-4);
    expect(lost).toBeCloseTo(sumOf(R_weights) - sumOf(R_scores), 7);
  });

  test('has a rule for each step, and its projection is known to composites as a layer', () => {
    const table = compositeTable({
      output: logits,
      input: x,
      composite: composites.epsilonPlus(),
      model: net,
    });
    const named = table.filter(({ name }) => name).map(({ name, kind, rule }) => `${name} ${kind} ${rule}`);
    expect(named).toContain('attention.in_proj Linear epsilon');
    expect(named).toContain('norm1 LayerNorm epsilon');
    expect(named).toContain('head Linear epsilon');
  });

  test('is not entered as an image behind a normalisation', () => {
    const table = compositeTable({ output: logits, input: x, composite: composites.isnet(), model: net });
    expect(table.map(({ rule }) => rule)).not.toContain('zB');
  });

  test('explains several classes in one pass as in single ones', () => {
    const composite = epsilonComposite({ eps: 0.01 });
    const seeds = [0, 1, 2].map((k) => tensor(device, randomValues(`class ${k}`, 6, [-1, 1]), [2, 3]));
    const single = seeds.flatMap((own) => [
      ...dataOf(relevance({ output: logits, seed: own, input: x, composite })),
    ]);
    const both = relevance({ output: logits, seed: concat(seeds, 0), input: x, composite });
    expectClose(dataOf(both), single, 11);
  });

  describe('on the GPU', () => {
    let gpu: Device;
    withGpu((device) => {
      gpu = device;
    });

    test.each(['constant', 'taylor'] as const)('has the relevance of f64, softmax %s', async (rule) => {
      const other = new AttentionNet(initOn(gpu));
      fillNet(other, { withBias: false });
      const own = tokensOn(gpu);
      const output = other.forward(own);
      const start = mul(output, tensor(gpu, [1, 0, 0, 0, 0, 1], [2, 3]));
      const composite = epsilonComposite({ eps: 1e-6, softmax: rule });
      const [R, begin] = await readAll([relevance({ output, seed: start, input: own, composite }), start]);
      const expected = dataOf(relevance({ output: logits, seed, input: x, composite }));
      const scale = Math.max(...expected.map(Math.abs));
      const error = Math.max(...expected.map((value, i) => Math.abs(value - R[i]))) / scale;
      expect(error).toBeLessThan(1e-4);
      if (rule === 'constant') expectConserved(R, begin, 1e-4);
    });
  });
});
