// Every structural rule is a function of x, parameters and R_out with exact first and second derivatives.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { gelu, leakyRelu, silu, tanh } from '../engine/ops/activations.ts';
import { max } from '../engine/ops/argmax.ts';
import { add, mean, mul, sub } from '../engine/ops/arithmetic.ts';
import { avgPool2d } from '../engine/ops/avg-pool.ts';
import { expand, reshape } from '../engine/ops/broadcast.ts';
import { conv2d } from '../engine/ops/conv.ts';
import { where } from '../engine/ops/indexing.ts';
import { concat, pad, permute, slice } from '../engine/ops/layout.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { maxPool2d } from '../engine/ops/max-pool.ts';
import { maximum, relu, sigmoid, softplus, step } from '../engine/ops/pointwise.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { sort } from '../engine/ops/sort.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import type { StructureOptions } from '../lrp/structure/op-call.ts';
import { GroupNorm, LayerNorm, type SampleNorm } from '../nn/layer-norm.ts';
import type { Layer, Params } from '../nn/module.ts';
import { Upsample } from '../nn/upsample.ts';
import { attentionNet } from './attention-net.ts';
import { gradientError, probe, randomValues } from './gradcheck.ts';
import { fillNet, initOn } from './small-nets.ts';

interface Case {
  readonly x: Shape;
  /** Shape of the free parameter. */
  readonly w: Shape;
  readonly run: (x: Tensor, w: Tensor) => Tensor;
  readonly options?: Partial<StructureOptions>;
}

/** A layer call with w for its parameters, as forward would record it. */
function called(layer: Layer, x: Tensor, params: Params): Tensor {
  const y = layer.apply(x, params);
  y.call = { layer, input: x, params };
  return y;
}

const normalized = (make: (device: CpuDevice) => SampleNorm) => (x: Tensor, w: Tensor) => {
  const layer = make(x.device as CpuDevice);
  const { shape } = layer.weight;
  const size = sizeOf(shape);
  const own = (start: number) => reshape(slice(w, [start], [size]), shape);
  return called(layer, x, { weight: own(0), bias: own(size) });
};

const small: Shape = [2, 3];
const image: Shape = [1, 2, 4, 4];
const elementwise = (f: (t: Tensor) => Tensor, options?: Partial<StructureOptions>): Case => ({
  x: small,
  w: small,
  run: (x, w) => f(mul(x, w)),
  options,
});
const gradientShare = { activation: 'gradientShare' } as const;

const cases: Record<string, Case> = {
  'sum of two': { x: small, w: small, run: (x, w) => add(x, relu(mul(x, w))) },
  'difference of two': { x: small, w: small, run: (x, w) => sub(tanh(mul(x, w)), x) },
  'sum with a constant': { x: small, w: [3], run: (x, w) => add(x, w) },
  'product of two': { x: small, w: small, run: (x, w) => mul(silu(mul(x, w)), x) },
  'matrix product of two': {
    x: [2, 3, 4],
    w: [4],
    run: (x, w) => matmul(x, mul(x, expand(w, [2, 3, 4])), { transposeB: true }),
  },
  'matrix product with a constant': {
    x: small,
    w: [4, 3],
    run: (x, w) => matmul(x, w, { transposeB: true }),
  },
  convolution: { x: image, w: [3, 2, 3, 3], run: (x, w) => conv2d(x, w, { padding: 1 }) },
  mean: { x: small, w: small, run: (x, w) => mean(mul(x, w), [1]) },
  'average pool': { x: image, w: [2, 4, 4], run: (x, w) => avgPool2d(mul(x, w), { kernel: 2 }) },
  upsampling: { x: image, w: [2, 8, 8], run: (x, w) => mul(new Upsample(2).forward(x), w) },
  'max-pool': {
    x: image,
    w: [2, 4, 4],
    run: (x, w) => maxPool2d(mul(x, w), { kernel: 3, stride: 2, padding: 1 }),
  },
  'max-pool, ties split': {
    x: image,
    w: [2, 4, 4],
    run: (x, w) => maxPool2d(mul(x, w), { kernel: 3, stride: 2, padding: 1 }),
    options: { ties: 'split' },
  },
  'maximum along an axis': {
    x: small,
    w: small,
    run: (x, w) => max(add(x, w), [1]),
    options: { ties: 'split' },
  },
  'larger of two': { x: small, w: small, run: (x, w) => maximum(x, mul(x, w)) },
  choice: { x: small, w: small, run: (x, w) => where(step(w), mul(x, w), add(x, w)) },
  sorting: { x: small, w: small, run: (x, w) => mul(sort(x), w) },
  'moved numbers': {
    x: small,
    w: small,
    run: (x, w) =>
      pad(
        concat(
          [
            permute(slice(x, [0, 1], [2, 2]), [1, 0]),
            add(slice(w, [0, 0], [2, 2]), slice(x, [0, 0], [2, 2])),
          ],
          0,
        ),
        [1, 0],
        [6, 2],
      ),
  },
  softmax: elementwise((t) => softmax(t)),
  'leaky ReLU': elementwise((t) => leakyRelu(t, 0.2)),
  'GELU, passed': elementwise(gelu),
  'GELU, by gradient': elementwise(gelu, gradientShare),
  'SiLU, by gradient': elementwise(silu, gradientShare),
  'tanh, by gradient': elementwise(tanh, gradientShare),
  'sigmoid, by gradient': elementwise(sigmoid, gradientShare),
  'softplus, by gradient': elementwise(softplus, gradientShare),
  LayerNorm: { x: [2, 2, 3], w: [6], run: normalized((device) => new LayerNorm(initOn(device), 3)) },
  GroupNorm: { x: [2, 4, 2], w: [8], run: normalized((device) => new GroupNorm(initOn(device), 2, 4)) },
  'transformer block': {
    x: [1, 2, 4],
    w: [1, 2, 4],
    run(x, w) {
      const net = attentionNet(x.device);
      fillNet(net, { withBias: true });
      return net.forward(add(x, w));
    },
  },
};

/** Relevance as a function of [x, w, R], turned into a number. */
function lossOf(name: string, { run, options }: Case): (inputs: Tensor[]) => Tensor {
  const composite = epsilonComposite({ eps: 0.1, bias: 'keep', statisticsGradient: 'keep', ...options });
  return ([x, w, seed]) => {
    const output = run(x, w);
    return probe(relevance({ output, seed, input: x, composite }), name);
  };
}

function freeOf(name: string, { x, w, run }: Case) {
  const free = (what: string, shape: Shape) => ({
    shape,
    values: randomValues(`${name} ${what}`, sizeOf(shape), [-1, 1]),
  });
  const inputs = [free('x', x), free('w', w)];
  const device = new CpuDevice();
  const [a, b] = inputs.map((own) => tensor(device, own.values, own.shape));
  const sample = run(a, b);
  return [...inputs, free('R', sample.shape)];
}

const slow = { 'transformer block': 3 } as Record<string, number>;

describe('the slope of relevance is its finite difference', () => {
  test.each(Object.entries(cases))('%s', (name, own) => {
    const loss = lossOf(name, own);
    const error = gradientError({
      inputs: freeOf(name, own),
      loss,
      step: 1e-6,
      samplesPerInput: slow[name] ?? 8,
    });
    expect(error).toBeLessThan(1e-6);
  });
});

describe('the slope of its slope is its finite difference', () => {
  test.each(Object.entries(cases))('%s', (name, own) => {
    const inputs = freeOf(name, own);
    const first = lossOf(name, own);
    const loss = (tensors: Tensor[]) => {
      const value = first(tensors);
      const gradients = adjoint(value, tensors, tensor(value.device, [1], []));
      return gradients.map((g, i) => probe(g, `${name} ${i}`)).reduce((a, b) => add(a, b));
    };
    const error = gradientError({ inputs, loss, step: 1e-6, samplesPerInput: slow[name] ?? 5 });
    expect(error).toBeLessThan(1e-5);
  });
});

test('the derivatives are not all zero', () => {
  const own = cases['transformer block'];
  const inputs = freeOf('transformer block', own);
  const device = new CpuDevice();
  const tensors = inputs.map((free) => tensor(device, free.values, free.shape));
  const value = lossOf('transformer block', own)(tensors);
  for (const g of adjoint(value, tensors, tensor(device, [1], []))) {
    expect(Math.max(...dataOf(g).map(Math.abs))).toBeGreaterThan(1e-3);
  }
});
