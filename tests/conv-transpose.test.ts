// Transposed convolution: the adjoint of Conv2d, its sizes, and relevance through it.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { conv2d } from '../engine/ops/conv.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { leakReport } from '../lrp/leak.ts';
import { relevance } from '../lrp/relevance.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { ConvTranspose2d } from '../nn/conv-transpose.ts';
import { Sequential } from '../nn/module.ts';
import { gradientError, probe, randomValues } from './gradcheck.ts';
import { fillNet, initOn } from './small-nets.ts';

const device = new CpuDevice();
const of = (name: string, shape: Shape) =>
  tensor(device, randomValues(`transposed ${name}`, sizeOf(shape), [-1, 1]), shape);

describe('ConvTranspose2d', () => {
  const layer = new ConvTranspose2d(initOn(device), 3, 2, 3, {
    stride: 2,
    padding: 1,
    outputPadding: [1, 0],
    bias: false,
  });

  test('is the adjoint of the convolution: <T x, y> = <x, C y>', () => {
    const x = of('x', [2, 3, 3, 4]);
    const output = layer.forward(x);
    expect(output.shape).toEqual([2, 2, 6, 7]);
    const y = of('y', output.shape);
    const inner = (a: typeof x, b: typeof x) => dataOf(sum(mul(a, b)))[0];
    expect(inner(output, y)).toBeCloseTo(inner(x, conv2d(y, layer.weight, { stride: 2, padding: 1 })), 10);
  });
  test('spreads one pixel as its kernel', () => {
    const up = new ConvTranspose2d(initOn(device), 1, 1, 2, { stride: 2 });
    assign(up.weight, tensor(device, [1, 2, 3, 4], [1, 1, 2, 2]));
    if (up.bias) assign(up.bias, tensor(device, [10], [1]));
    const output = up.forward(tensor(device, [1, 2], [1, 1, 1, 2]));
    expect([...dataOf(output)]).toEqual([11, 12, 12, 14, 13, 14, 16, 18]);
  });
  test('has the right slopes', () => {
    const inputs = [
      { shape: [1, 2, 2, 3], values: randomValues('t x', 12, [-1, 1]) },
      { shape: [2, 3, 2, 2], values: randomValues('t w', 24, [-1, 1]) },
      { shape: [3], values: randomValues('t b', 3, [-1, 1]) },
    ];
    const error = gradientError({
      inputs,
      loss: ([x, weight, bias]) => {
        const made = new ConvTranspose2d(initOn(x.device), 2, 3, 2, { stride: 2 });
        return probe(made.apply(x, { weight, bias }), 'transposed');
      },
    });
    expect(error).toBeLessThan(1e-7);
  });
  test('refuses an output padding as large as the stride, and other channels', () => {
    const make = () => new ConvTranspose2d(initOn(device), 1, 1, 2, { stride: 2, outputPadding: 2 });
    expect(make).toThrow(/output padding \[2,2\] with stride \[2,2\]/);
    expect(() => layer.forward(of('x', [1, 2, 3, 3]))).toThrow(
      /input is \[1, 2, 3, 3\] and the weight \[3, 2, 3, 3\]; give \[N, 3, H, W\]/,
    );
  });
  test('with BatchNorm behind it is one affine call, whose losses are its bias and stabiliser', async () => {
    const net = new Sequential(
      new ConvTranspose2d(initOn(device), 3, 2, 2, { stride: 2 }),
      new BatchNorm2d(initOn(device), 2),
    ).eval();
    fillNet(net, { withBias: true });
    const input = of('relevance', [1, 3, 2, 2]);
    const output = net.forward(input);
    const options = { output, seed: output, input, composite: epsilonComposite({ eps: 1e-3, bias: 'keep' }) };
    const { rows } = await leakReport(options);
    expect(rows.map(({ kind }) => kind)).toEqual(['ConvTranspose2d']);
    const [{ atOutput, leaks, unexplained }] = rows;
    expect(Math.abs(unexplained[0] / atOutput[0])).toBeLessThan(1e-9);
    const kept = dataOf(sum(relevance(options)))[0];
    expect(kept).toBeCloseTo(atOutput[0] - leaks.bias[0] - leaks.stabilizer[0], 8);
  });
});
