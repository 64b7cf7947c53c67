// Rules and whole networks against numbers of zennit and of independent formulas, in f64 and on the GPU.
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, readAll, tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { type Composite, composite, composites, epsilonComposite } from '../lrp/composite.ts';
import { relevance, relevanceAt } from '../lrp/relevance.ts';
import type { Rule } from '../lrp/rule.ts';
import { alphaBeta, epsilon, flat, gamma, gammaGeneralized, wSquare, zB, zPlus } from '../lrp/rules.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { Module, Sequential } from '../nn/module.ts';
import { goldenJson } from './golden-files.ts';
import { withGpu } from './gpu.ts';
import { initOn } from './small-nets.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const kinds = ['cpu', 'gpu'] as const;
const deviceOf = (kind: 'cpu' | 'gpu'): Device => (kind === 'cpu' ? new CpuDevice() : gpu);
const bounds = { cpu: 1e-9, gpu: 1e-4 };

type Nested = number | Nested[];
const flatten = (nested: Nested): number[] =>
  typeof nested === 'number' ? [nested] : nested.flatMap(flatten);
const shapeOf = (nested: Nested): number[] =>
  typeof nested === 'number' ? [] : [nested.length, ...shapeOf(nested[0])];
const load = (device: Device, nested: Nested): Tensor => tensor(device, flatten(nested), shapeOf(nested));

/** Largest difference, relative to the largest expected number (or to 1e-6, where all are 0). */
function relativeError(actual: ArrayLike<number>, expected: Nested): number {
  const values = flatten(expected);
  const scale = Math.max(...values.map(Math.abs), 1e-6);
  return Math.max(...values.map((value, i) => Math.abs(actual[i] - value))) / scale;
}

/** The variants of lrp_rules.json. */
const rules: Record<string, { rule: Rule; bias?: 'zero' }> = {
  'epsilon_1e-6': { rule: epsilon(1e-6) },
  'epsilon_0.01': { rule: epsilon(0.01) },
  'epsilon_0.25': { rule: epsilon(0.25) },
  zplus: { rule: zPlus() },
  alpha2beta1: { rule: alphaBeta(2, 1) },
  alpha1beta0: { rule: alphaBeta(1, 0) },
  'gamma_generalised_0.25': { rule: gammaGeneralized(0.25) },
  'gamma_original_0.25': { rule: gamma(0.25) },
  wsquare_biasInDenominator: { rule: wSquare() },
  wsquare_noBias: { rule: wSquare(), bias: 'zero' },
  flat: { rule: flat() },
  'zbox_-1_1': { rule: zB({ low: -1, high: 1, eps: 1e-6, form: 'textbook' }) },
  'zbox_isnet_0_1_eps0.01': { rule: zB({ eps: 0.01 }) },
};

interface RuleCase {
  readonly name: string;
  readonly x: Nested;
  readonly W: Nested;
  readonly b: Nested;
  readonly stride: number;
  readonly padding: number;
  readonly c: Nested;
  readonly rules: Record<string, Record<'R' | 'dL_dx' | 'dL_dW' | 'dL_db' | 'dL_dRout', Nested>>;
}

function layerFor(device: Device, { W, b, stride, padding }: RuleCase): Linear | Conv2d {
  const [O, I, K] = shapeOf(W);
  const init = initOn(device as CpuDevice);
  const layer = K === undefined ? new Linear(init, I, O) : new Conv2d(init, I, O, K, { stride, padding });
  assign(layer.weight, load(device, W));
  assign(layer.bias as Tensor, load(device, b));
  return layer;
}

const ruleCases = goldenJson('lrp_rules').flatMap(({ value }) =>
  (value as { cases: RuleCase[] }).cases.flatMap((golden) =>
    Object.keys(golden.rules).flatMap((rule) =>
      kinds.map((kind) => ({ layer: golden.name, rule, kind, golden })),
    ),
  ),
);

describe('a rule and its gradients have the expected numbers', () => {
  test.each(ruleCases)('$rule, $layer, on the $kind', async ({ rule, kind, golden }) => {
    const device = deviceOf(kind);
    const layer = layerFor(device, golden);
    const x = load(device, golden.x);
    const z = layer.forward(x);
    const chosen = rules[rule];
    expect(chosen, `no rule for ${rule}`).toBeDefined();
    const [zValues] = await readAll([z]);
    // R_out = z, but as a number of its own: its gradient is asked for.
    const seed = tensor(device, zValues, z.shape);
    const only = composite('golden', [{ rule: chosen.rule }], { bias: chosen.bias });
    const R = relevance({ output: z, seed, input: x, composite: only });
    const loss = sum(mul(R, load(device, golden.c)));
    const free = [x, layer.weight, layer.bias as Tensor, seed];
    const gradients = adjoint(loss, free, tensor(device, [1], []));
    const [actual, dx, dW, db, dR] = await readAll([R, ...gradients]);
    const expected = golden.rules[rule];
    expect(relativeError(actual, expected.R), 'R').toBeLessThan(bounds[kind]);
    expect(relativeError(dx, expected.dL_dx), 'dL/dx').toBeLessThan(bounds[kind]);
    expect(relativeError(dW, expected.dL_dW), 'dL/dW').toBeLessThan(bounds[kind]);
    expect(relativeError(db, expected.dL_db), 'dL/db').toBeLessThan(bounds[kind]);
    expect(relativeError(dR, expected.dL_dRout), 'dL/dR_out').toBeLessThan(bounds[kind]);
  });
});

/** seq(n, a, b, s)[i] = s sin(a i + b), as the files define it. */
const seq = (n: number, a: number, b: number, s = 1): number[] =>
  Array.from({ length: n }, (_, i) => s * Math.sin(a * i + b));

// zennit folds BatchNorm into the convolution but leaves its eps behind: what remains divides by sqrt(1 + eps).
const REMAINDER = 1 / Math.sqrt(1 + 1e-5);

class FoldedNormRemainder extends Module {
  forward(x: Tensor): Tensor {
    return mul(x, REMAINDER);
  }
}

/** The net as zennit propagated through it: `bn` with folded parameters and the remainder. */
function goldenNet(device: Device, name: string): Module {
  const init = initOn(device as CpuDevice);
  const norm = name === 'bn' ? [new FoldedNormRemainder()] : [];
  const net = new Sequential(
    new Conv2d(init, 1, 2, 3, { padding: 1 }),
    ...norm,
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(init, 2, 3, 3, { padding: 1 }),
    new ReLU(),
    new AvgPool2d(2),
    new Flatten(),
    new Linear(init, 12, 3),
  ).eval();
  const values = [seq(18, 0.91, 0.3, 0.7), seq(2, 1.9, 0.4, 0.2)];
  if (name === 'bn') {
    const scale = [1.5 / Math.sqrt(0.5 + 1e-5), 0.7 / Math.sqrt(2 + 1e-5)];
    values[0] = values[0].map((w, i) => w * scale[Math.floor(i / 9)]);
    values[1] = values[1].map((b, i) => (b - [0.3, -0.2][i]) * scale[i] + [0.2, -0.1][i]);
  }
  values.push(seq(54, 0.57, 0.2, 0.5), seq(3, 2.3, 0.6, 0.1), seq(36, 0.83, 0.5, 0.6), seq(3, 1.1, 0.2, 0.3));
  [...net.stateDict().values()].forEach((t, i) => {
    assign(t, tensor(device, values[i], t.shape));
  });
  return net;
}

/** The composites of lrp_nets.json. */
const presets: Record<string, Composite> = {
  EpsilonPlus: composites.epsilonPlus(),
  EpsilonPlusFlat: composites.epsilonPlusFlat(),
  EpsilonAlpha2Beta1: composites.epsilonAlpha2Beta1(),
  EpsilonAlpha2Beta1Flat: composites.epsilonAlpha2Beta1Flat(),
  'EpsilonGammaBox(-1,1)': composites.epsilonGammaBox({ low: -1, high: 1 }),
  EpsilonPlus_zeroBias: composites.epsilonPlus({ bias: 'zero' }),
  ExcitationBackprop: composites.excitationBackprop(),
};

interface NetCase {
  readonly target: number;
  readonly logits: Nested;
  readonly composites: Record<string, { R: Nested; sum_in: number; sum_at_output_of_each_module: number[] }>;
}

interface MlpCase {
  readonly logits: Nested;
  readonly R: Nested;
  readonly L: number;
  readonly dW1: Nested;
  readonly db1: Nested;
  readonly dW2: Nested;
  readonly db2: Nested;
  readonly dX: Nested;
}

interface NetsFile {
  readonly input: Nested;
  readonly nets: Record<string, NetCase>;
  readonly mlp: Record<string, MlpCase | string>;
}

const netFiles = goldenJson('lrp_nets').map(({ value }) => value as NetsFile);
const netCases = netFiles.flatMap(({ input, nets }) =>
  Object.entries(nets).flatMap(([net, golden]) =>
    Object.keys(golden.composites).flatMap((preset) =>
      kinds.map((kind) => ({ net, preset, kind, golden, input })),
    ),
  ),
);

describe("a composite on a network has zennit's numbers", () => {
  test.each(netCases)('$preset, $net net, on the $kind', async ({ net, preset, kind, golden, input }) => {
    const device = deviceOf(kind);
    const model = goldenNet(device, net);
    const x = load(device, input);
    const logits = model.forward(x);
    const row = tensor(
      device,
      [0, 1, 2].map((c) => (c === golden.target ? 1 : 0)),
      [1, 3],
    );
    const chosen = presets[preset];
    expect(chosen, `no composite ${preset}`).toBeDefined();
    // ExcitationBackprop has no rule for BatchNorm in zennit: the remainder scales relevance as a gradient.
    const start = net === 'bn' && preset === 'ExcitationBackprop' ? mul(logits, REMAINDER) : logits;
    const R = relevance({ output: logits, seed: mul(row, start), input: x, composite: chosen, model });
    const [z, actual] = await readAll([logits, R]);
    const expected = golden.composites[preset];
    // The logits in the file are those before folding.
    if (net !== 'bn') expect(relativeError(z, golden.logits)).toBeLessThan(bounds[kind]);
    expect(relativeError(actual, expected.R)).toBeLessThan(bounds[kind]);
    expect(Math.abs(Array.from(actual).reduce((a, b) => a + b, 0) / expected.sum_in - 1)).toBeLessThan(
      bounds[kind],
    );
  });
});

test.each(Object.keys(presets))(
  'BatchNorm itself, folded without a remainder, is as close as eps allows: %s',
  async (preset) => {
    const device = new CpuDevice();
    const [{ input, nets }] = netFiles;
    const init = initOn(device);
    const folded = goldenNet(device, 'bn') as Sequential;
    const [conv, , ...rest] = folded.children().map(([, layer]) => layer);
    const bn = new BatchNorm2d(init, 2);
    const raw = goldenNet(device, 'plain').children()[0][1];
    const fill = (t: Tensor, values: number[]) => assign(t, tensor(device, values, t.shape));
    fill(bn.weight, [1.5, 0.7]);
    fill(bn.bias, [0.2, -0.1]);
    fill(bn.runningMean, [0.3, -0.2]);
    fill(bn.runningVar, [0.5, 2]);
    expect(conv).toBeInstanceOf(Conv2d);
    const model = new Sequential(raw, bn, ...rest).eval();
    const x = load(device, input);
    const logits = model.forward(x);
    const seed = mul(tensor(device, [0, 1, 0], [1, 3]), logits);
    const R = relevance({ output: logits, seed, input: x, composite: presets[preset], model });
    const [z, actual] = await readAll([logits, R]);
    expect(relativeError(z, nets.bn.logits)).toBeLessThan(1e-9);
    expect(relativeError(actual, nets.bn.composites[preset].R)).toBeLessThan(2e-5);
  },
);

const mlpCases = netFiles.flatMap(({ mlp }) =>
  Object.entries(mlp).flatMap(([name, golden]) =>
    typeof golden === 'string' ? [] : kinds.map((kind) => ({ name, kind, golden })),
  ),
);

describe('relevance of a perceptron and its gradients have the expected numbers', () => {
  test.each(mlpCases)('$name on the $kind', async ({ name, kind, golden }) => {
    const device = deviceOf(kind);
    const [, eps, start] = /^eps([\d.]+)_init_(\w+)$/.exec(name) ?? [];
    const init = initOn(device as CpuDevice);
    const net = new Sequential(new Linear(init, 4, 6), new ReLU(), new Linear(init, 6, 3));
    const values = [
      seq(24, 0.71, 0.2, 0.8),
      seq(6, 1.3, 0.1, 0.2),
      seq(18, 0.47, 0.4, 0.7),
      seq(3, 0.9, 0.7, 0.1),
    ];
    net.parameters().forEach((t, i) => {
      assign(t, tensor(device, values[i], t.shape));
    });
    const fill = (shape: Shape, a: number, b: number) => tensor(device, seq(sizeOf(shape), a, b), shape);
    const x = fill([2, 4], 1.1, 0.3);
    const logits = net.forward(x);
    const rows = tensor(device, [1, 0, 0, 0, 0, 1], [2, 3]);
    const seed = start === 'logit' ? mul(rows, logits) : rows;
    const chosen = epsilonComposite({ eps: Number(eps), bias: 'keep' });
    const R = relevance({ output: logits, seed, input: x, composite: chosen });
    const loss = sum(mul(R, fill([2, 4], 0.6, 0.2)));
    const gradients = adjoint(loss, [...net.parameters(), x], tensor(device, [1], []));
    const [z, actual, L, dW1, db1, dW2, db2, dX] = await readAll([logits, R, loss, ...gradients]);
    const pairs: [string, ArrayLike<number>, Nested][] = [
      ['logits', z, golden.logits],
      ['R', actual, golden.R],
      ['L', L, golden.L],
      ['dW1', dW1, golden.dW1],
      ['db1', db1, golden.db1],
      ['dW2', dW2, golden.dW2],
      ['db2', db2, golden.db2],
      ['dX', dX, golden.dX],
    ];
    for (const [what, got, expected] of pairs)
      expect(relativeError(got, expected), what).toBeLessThan(bounds[kind]);
  });
});

test('relevance at hidden tensors is had in the same walk', async () => {
  const device = new CpuDevice();
  const model = goldenNet(device, 'plain') as Sequential;
  const [{ input, nets }] = netFiles;
  let t = load(device, input);
  const x = t;
  const outputs = model.children().map(([, layer]) => {
    t = layer.forward(t);
    return t;
  });
  const row = tensor(device, [0, 1, 0], [1, 3]);
  const all = relevanceAt(
    { output: t, seed: mul(row, t), input: x, composite: composites.epsilonPlus() },
    outputs.slice(0, -1),
  );
  const sums = (await readAll(all)).map((values) => Array.from(values).reduce((a, b) => a + b, 0));
  const { sum_at_output_of_each_module: expected } = nets.plain.composites.EpsilonPlus;
  sums.forEach((value, i) => {
    expect(Math.abs(value / expected[i] - 1), `output of module ${i}`).toBeLessThan(1e-9);
  });
});
