// Every rule on every kind of layer: against its twin, by finite differences of both orders, and by its properties.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { BiasPolicy } from '../lrp/affine.ts';
import { composite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import { type Rule, withBias } from '../lrp/rule.ts';
import { ruleCatalogue } from '../lrp/rule-catalogue.ts';
import { alphaBeta, epsilon, flat, gamma, gammaGeneralized, lrp0, wSquare, zB, zPlus } from '../lrp/rules.ts';
import { stabilized } from '../lrp/stabilizer.ts';
import { type AffineLayer, Conv2d, Linear } from '../nn/layers.ts';
import { expectClose } from './close.ts';
import { gradientError, probe, randomValues } from './gradcheck.ts';
import { applied } from './rule-call.ts';
import {
  alphaBetaTwin,
  epsilonTwin,
  flatTwin,
  gammaGeneralizedTwin,
  gammaTwin,
  matrixOf,
  type Twin,
  wSquareTwin,
  zBTwin,
} from './rule-twins.ts';
import { fillNet, initOn } from './small-nets.ts';

interface LayerCase {
  readonly make: (device: CpuDevice) => AffineLayer;
  readonly shape: Shape;
}

/** Stabiliser of the rules in tests that need no other: large enough to be seen. */
const EPS = 0.01;

const layers: Record<string, LayerCase> = {
  dense: { make: (device) => new Linear(initOn(device), 7, 4), shape: [1, 7] },
  'conv stride 1': {
    make: (device) => new Conv2d(initOn(device), 2, 2, 3, { padding: 1 }),
    shape: [1, 2, 3, 4],
  },
  'conv stride 2': {
    make: (device) => new Conv2d(initOn(device), 2, 3, 3, { padding: 1, stride: 2 }),
    shape: [1, 2, 5, 3],
  },
  'conv grouped': {
    make: (device) => new Conv2d(initOn(device), 4, 4, 2, { groups: 2 }),
    shape: [1, 4, 3, 3],
  },
  'conv dilated': {
    make: (device) => new Conv2d(initOn(device), 1, 2, 2, { dilation: 2 }),
    shape: [1, 1, 4, 4],
  },
};

/** Twins by the catalogue's names; flat has none, because its twin needs the layer's connections (`twinOf`). */
const twins: Record<string, Twin> = {
  lrp0: epsilonTwin(0),
  epsilon: epsilonTwin(EPS),
  gamma: gammaTwin(0.25, EPS),
  gammaGeneralized: gammaGeneralizedTwin(0.25, EPS),
  zPlus: alphaBetaTwin(1, 0, EPS),
  alphaBeta: alphaBetaTwin(2, 1, EPS),
  wSquare: wSquareTwin(EPS),
  'zB textbook': zBTwin(-1, 2, 'textbook', EPS),
  'zB isnet': zBTwin(0, 1, 'isnet', EPS),
};

const rules = Object.fromEntries(
  ruleCatalogue.map(({ name, make, ...promises }) => [name, { rule: make(EPS), make, ...promises }]),
);

const cases = Object.keys(rules).flatMap((rule) => Object.keys(layers).map((layer) => ({ rule, layer })));

/** A filled layer with input, output size and relevance, all plain numbers. */
function problem(layer: string, withBias = true, range: readonly [number, number] = [-1, 1]) {
  const { make, shape } = layers[layer];
  const sample = make(new CpuDevice());
  fillNet(sample, { withBias });
  const x = { shape, values: randomValues(`x ${layer}`, sizeOf(shape), range) };
  const { device } = sample.weight;
  const zShape = sample.forward(tensor(device, x.values, shape)).shape;
  const R = { shape: zShape, values: randomValues(`R ${layer}`, sizeOf(zShape), [-1, 1]) };
  const free = (t: Tensor) => ({ shape: t.shape, values: [...dataOf(t)] });
  return { make, x, R, weight: free(sample.weight), bias: free(sample.bias as Tensor) };
}

type Problem = ReturnType<typeof problem>;

function runRule({ make, x, R, weight, bias }: Problem, rule: Rule, policy: BiasPolicy = 'keep'): number[] {
  const device = new CpuDevice();
  const inputs = [x, weight, bias, R].map(({ values, shape }) => tensor(device, values, shape));
  return [...dataOf(applied(make(device), rule, inputs, policy))];
}

/** The layer as a matrix. */
function unrolled({ make, x, weight, bias }: Problem) {
  const device = new CpuDevice();
  const layer = make(device);
  const params = {
    weight: tensor(device, weight.values, weight.shape),
    bias: tensor(device, bias.values, bias.shape),
  };
  const apply = (values: number[]) => [...dataOf(layer.apply(tensor(device, values, x.shape), params))];
  return matrixOf(apply, x.values.length);
}

function twinOf(rule: string, given: Problem): Twin {
  const twin = twins[rule];
  if (twin) return twin;
  const ones = { ...given, weight: { ...given.weight, values: given.weight.values.map(() => 1) } };
  const { W } = unrolled(ones);
  return flatTwin((i, o) => W[o][i] !== 0, EPS);
}

const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

describe('P13: a rule on a layer is its twin on the unrolled matrix', () => {
  test.each(cases)('$rule, $layer', ({ rule, layer }) => {
    const given = problem(layer);
    const expected = twinOf(rule, given)(given.x.values, unrolled(given), given.R.values);
    expectClose(runRule(given, rules[rule].rule), expected, 9);
  });
});

// Denominators near 0 make finite differences useless, so epsilon is large here where a rule's denominator can vanish.
const smooth: Record<string, Rule> = {
  epsilon: epsilon(0.5),
  zPlus: zPlus(0.1),
  'alphaBeta 2 1': alphaBeta(2, 1, 0.1),
  gamma: gamma(0.25, 0.5),
  gammaGeneralized: gammaGeneralized(0.25, 0.5),
  wSquare: wSquare(0.1),
  flat: flat(),
  'zB isnet': zB({ eps: 0.1 }),
  'zB textbook': zB({ low: -1, high: 2, eps: 0.1, form: 'textbook' }),
  'epsilon, clipped': epsilon({ kind: 'clip', eps: 0.3 }),
  'epsilon, norm-scaled': epsilon({ kind: 'normScaled', eps: 0.5, normGradient: true }),
};

const smoothCases = Object.keys(smooth).flatMap((rule) =>
  Object.keys(layers).map((layer) => ({ rule, layer })),
);

describe('P8: slopes in x, weight, bias and R are finite differences', () => {
  test.each(smoothCases)('of first order: $rule, $layer', ({ rule, layer }) => {
    const { make, x, R, weight, bias } = problem(layer);
    const loss = (inputs: Tensor[]) =>
      probe(applied(make(inputs[0].device as CpuDevice), smooth[rule], inputs), rule);
    const error = gradientError({ inputs: [x, weight, bias, R], loss, step: 1e-6, samplesPerInput: 8 });
    expect(error).toBeLessThan(1e-6);
  });
  test.each(smoothCases)('of second order: $rule, $layer', ({ rule, layer }) => {
    const { make, x, R, weight, bias } = problem(layer);
    const loss = (inputs: Tensor[]) => {
      const result = applied(make(inputs[0].device as CpuDevice), smooth[rule], inputs);
      const seed = tensor(result.device, randomValues('second', sizeOf(result.shape), [-1, 1]), result.shape);
      const gradients = adjoint(result, inputs, seed);
      return gradients.map((g, i) => probe(g, `${rule} ${i}`)).reduce((a, b) => add(a, b));
    };
    const error = gradientError({ inputs: [x, weight, bias, R], loss, step: 1e-5, samplesPerInput: 3 });
    expect(error).toBeLessThan(1e-4);
  });
});

describe('properties', () => {
  const conserving = cases.filter(({ rule }) => rules[rule].conserves);
  test.each(conserving)(
    'P2: without biases and stabiliser relevance is conserved: $rule, $layer',
    ({ rule, layer }) => {
      const given = problem(layer, false, [0.1, 0.9]);
      const R_in = runRule(given, rules[rule].make(1e-12), 'zero');
      expect(Math.abs(total(R_in) - total(given.R.values))).toBeLessThan(1e-8);
    },
  );

  test.each(cases)('P3: relevance is linear in R: $rule, $layer', ({ rule, layer }) => {
    const given = problem(layer);
    const other = randomValues('other R', given.R.values.length, [-1, 1]);
    const withR = (values: number[]) => runRule({ ...given, R: { ...given.R, values } }, rules[rule].rule);
    const mixed = withR(given.R.values.map((r, i) => 2 * r - 3 * other[i]));
    const [first, second] = [withR([...given.R.values]), withR(other)];
    const expected = first.map((r, i) => 2 * r - 3 * second[i]);
    const scale = Math.max(1, ...expected.map(Math.abs));
    expectClose(
      mixed.map((r) => r / scale),
      expected.map((r) => r / scale),
      9,
    );
  });

  test.each(Object.keys(layers))('P4: rules meet where theory says so: %s', (layer) => {
    const given = problem(layer);
    expectClose(runRule(given, zPlus()), runRule(given, alphaBeta(1, 0)), 12);
    expectClose(runRule(given, gamma(0, 0.05)), runRule(given, epsilon(0.05)), 12);
    expectClose(runRule(given, gammaGeneralized(0, 0.05)), runRule(given, epsilon(0.05)), 9);
    expectClose(runRule(given, lrp0()), runRule(given, epsilon(0)), 12);
  });

  test.each(Object.keys(layers))('P4: a huge gamma is z+ where z > 0 and x >= 0: %s', (layer) => {
    const given = problem(layer, false, [0.1, 0.9]);
    const { W, b } = unrolled(given);
    const z = W.map((row, o) => row.reduce((sum, w, i) => sum + w * given.x.values[i], b[o]));
    const R = { ...given.R, values: given.R.values.map((r, o) => (z[o] > 0 ? r : 0)) };
    expectClose(runRule({ ...given, R }, gammaGeneralized(1e9)), runRule({ ...given, R }, zPlus(1e-12)), 6);
  });

  const keeping = cases.filter(({ rule }) => rules[rule].keepsSign);
  test.each(keeping)('P5: positive relevance stays positive: $rule, $layer', ({ rule, layer }) => {
    const given = problem(layer, true, [0, 1]);
    const R = { ...given.R, values: given.R.values.map(Math.abs) };
    for (const r of runRule({ ...given, R }, rules[rule].rule)) expect(r).toBeGreaterThanOrEqual(-1e-12);
  });

  test.each(Object.keys(layers))(
    'P6: without bias and stabiliser the scale of x does not matter: %s',
    (layer) => {
      const given = problem(layer);
      const scaled = { ...given, x: { ...given.x, values: given.x.values.map((v) => 7 * v) } };
      expectClose(runRule(scaled, lrp0(), 'zero'), runRule(given, lrp0(), 'zero'), 7);
    },
  );

  // Wide padding round a small image: rules that ignore x would hand relevance to pixels that are not there.
  test.each(['wSquare', 'flat', 'zB textbook', 'zB isnet'])(
    'P7: zero padding takes no relevance: %s',
    (rule) => {
      const device = new CpuDevice();
      const layer = new Conv2d(initOn(device), 1, 2, 3, { padding: 2, bias: false });
      fillNet(layer, { withBias: false });
      const x = tensor(device, randomValues('padded', 6, [0, 1]), [1, 1, 2, 3]);
      const { weight } = layer;
      const z = layer.apply(x, { weight });
      z.call = { layer, input: x, params: { weight } };
      const R = randomValues('padded R', sizeOf(z.shape), [-1, 1]);
      const only = composite('padded', [{ rule: rules[rule].make(1e-12) }]);
      const R_in = dataOf(
        relevance({ output: z, seed: tensor(device, R, z.shape), input: x, composite: only }),
      );
      expect(total([...R_in])).toBeCloseTo(total(R), 7);
    },
  );

  test.each(cases)('P9: a batch is its samples: $rule, $layer', ({ rule, layer }) => {
    const given = problem(layer);
    const device = new CpuDevice();
    const [x, R] = [given.x, given.R].map(({ values, shape }) => {
      const second = values.map((v) => 0.7 * v + 0.1);
      return tensor(device, [...values, ...second], [2, ...shape.slice(1)]);
    });
    const params = [given.weight, given.bias].map(({ values, shape }) => tensor(device, values, shape));
    const both = dataOf(applied(given.make(device), rules[rule].rule, [x, ...params, R]));
    expectClose(both.subarray(0, given.x.values.length), runRule(given, rules[rule].rule), 9);
  });

  const finite = cases.filter(({ rule }) => rule !== 'lrp0');
  test.each(finite)(
    'P11: zeros, dead layers and extreme weights give finite numbers: $rule, $layer',
    ({ rule, layer }) => {
      const given = problem(layer);
      const variations: Problem[] = [
        { ...given, x: { ...given.x, values: given.x.values.map(() => 0) } },
        {
          ...given,
          weight: { ...given.weight, values: given.weight.values.map(() => 0) },
          bias: { ...given.bias, values: given.bias.values.map(() => 0) },
        },
        { ...given, weight: { ...given.weight, values: given.weight.values.map((w) => w * 1e9) } },
        { ...given, weight: { ...given.weight, values: given.weight.values.map((w) => w * 1e-9) } },
      ];
      for (const variation of variations) {
        for (const r of runRule(variation, rules[rule].rule)) expect(Number.isFinite(r)).toBe(true);
      }
    },
  );
});

describe('bias policies', () => {
  const given = problem('conv stride 2');
  test('keep and detach give the same numbers, zero those of a layer without bias', () => {
    expectClose(runRule(given, epsilon(), 'detach'), runRule(given, epsilon(), 'keep'), 12);
    const without = { ...given, bias: { ...given.bias, values: given.bias.values.map(() => 0) } };
    expectClose(runRule(given, epsilon(), 'zero'), runRule(without, epsilon(), 'keep'), 12);
  });
  test('of a rule weigh more than that of its composite', () => {
    const kept = runRule(given, withBias(epsilon(), 'keep'), 'zero');
    expectClose(kept, runRule(given, epsilon(), 'keep'), 12);
    expect(kept).not.toEqual(runRule(given, epsilon(), 'zero'));
  });
  test('detach gives the bias no gradient, keep does', () => {
    const slope = (policy: BiasPolicy) => {
      const device = new CpuDevice();
      const parts = [given.x, given.weight, given.bias, given.R];
      const inputs = parts.map(({ values, shape }) => tensor(device, values, shape));
      const result = applied(given.make(device), epsilon(), inputs, policy);
      const [g] = adjoint(probe(result, 'bias'), [inputs[2]], tensor(device, [1], []));
      return Math.max(...dataOf(g).map(Math.abs));
    };
    expect(slope('detach')).toBe(0);
    expect(slope('keep')).toBeGreaterThan(1e-3);
  });
});

test('stabilisers have the published values, with sign(0) = +1', () => {
  const device = new CpuDevice();
  const z = tensor(device, [0, -0, 1, -1], [1, 4]);
  const at = (kind: 'shift' | 'clip' | 'normScaled', values = z) => [
    ...dataOf(stabilized(values, { kind, eps: 0.01 })),
  ];
  expectClose(at('shift'), [0.01, 0.01, 1.01, -1.01], 12);
  expectClose(at('clip'), [0.01, 0.01, 1, -1], 12);
  const wide = tensor(device, [0, -0, 2, -2], [1, 4]);
  expectClose(at('normScaled', wide), [0.0141421, 0.0141421, 2.0141421, -2.0141421], 6);
});

test('bounds per channel: z^B of a normalised image is z^B of the image', () => {
  const device = new CpuDevice();
  const layer = new Conv2d(initOn(device), 2, 3, 3, { bias: false });
  fillNet(layer, { withBias: true });
  const [mean, deviation] = [
    [0.4, 0.5],
    [0.2, 0.25],
  ];
  const raw = randomValues('raw', 2 * 16, [0, 1]);
  const normalized = raw.map((v, i) => (v - mean[Math.floor(i / 16)]) / deviation[Math.floor(i / 16)]);
  const bounds = (v: number) => mean.map((m, c) => (v - m) / deviation[c]);
  // The same function of the raw image: weights divided by the deviation (the constant has no share in the textbook form).
  const rescaled = dataOf(layer.weight).map((w, i) => w / deviation[Math.floor(i / 9) % 2]);
  const run = (values: number[], weight: Tensor, rule: Rule) => {
    const x = tensor(device, values, [1, 2, 4, 4]);
    const z = layer.apply(x, { weight });
    z.call = { layer, input: x, params: { weight } };
    const seed = tensor(device, randomValues('seed', 12, [-1, 1]), z.shape);
    return [...dataOf(relevance({ output: z, seed, input: x, composite: composite('zB', [{ rule }]) }))];
  };
  const onNormalized = run(
    normalized,
    layer.weight,
    zB({ low: bounds(0), high: bounds(1), form: 'textbook', eps: 1e-9 }),
  );
  const weight = tensor(device, rescaled, layer.weight.shape);
  const onRaw = run(raw, weight, zB({ low: 0, high: 1, form: 'textbook', eps: 1e-9 }));
  expectClose(onNormalized, onRaw, 8);
});

test('rules refuse options that cannot work', () => {
  expect(() => alphaBeta(2, 2)).toThrow(/alpha = 2, beta = 2; both must be >= 0 with alpha - beta = 1/);
  expect(() => zB({ low: [0, 0], high: [1, 1] })).toThrow(/bounds per channel need form 'textbook'/);
});
