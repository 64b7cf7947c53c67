// Remembered products: the second asking for one is free, and never gives the answer to another question.
import { expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { apply, defineOp } from '../engine/op.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { conv2d } from '../engine/ops/conv.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { transpose } from '../engine/transpose.ts';

const cpu = new CpuDevice();
const numbers = (shape: Shape) =>
  tensor(
    cpu,
    Array.from({ length: sizeOf(shape) }, (_, i) => i + 1),
    shape,
  );

test('a product asked for twice is one tensor', () => {
  const [a, b] = [numbers([2, 3]), numbers([3, 2])];
  expect(matmul(a, b)).toBe(matmul(a, b));
  const [x, w] = [numbers([1, 1, 3, 3]), numbers([1, 1, 2, 2])];
  expect(conv2d(x, w)).toBe(conv2d(x, w));
});

test('other flags, other operands or a released result make a new one', () => {
  const [a, b] = [numbers([2, 2]), numbers([2, 2])];
  const first = matmul(a, b);
  expect(matmul(a, b, { transposeB: true })).not.toBe(first);
  expect(matmul(a, numbers([2, 2]))).not.toBe(first);
  release(first);
  expect([...dataOf(matmul(a, b))]).toEqual([7, 10, 15, 22]);
});

test('attributes that JSON writes alike make a new one', () => {
  const capped = defineOp<{ readonly max: number }>({
    name: 'capped',
    shape: ([x]) => x,
    reference: ([x], { max }, out) => out.data.set(Array.from(x.data, (value) => Math.min(value, max))),
    kernel: () => ({ steps: [] }),
    vjp: [null],
    examples: [],
    isMemoized: true,
  });
  const x = numbers([2]);
  expect([...dataOf(apply(capped, [x], { max: Infinity }))]).toEqual([1, 2]);
  expect([...dataOf(apply(capped, [x], { max: -Infinity }))]).toEqual([-Infinity, -Infinity]);
});

test('what is not recorded is not remembered', () => {
  const [a, b] = [numbers([2, 2]), numbers([2, 2])];
  const unrecorded = withoutRecording(cpu, () => matmul(a, b));
  expect(matmul(a, b)).not.toBe(unrecorded);
  expect(matmul(a, b).origin).not.toBeNull();
});

test('overwriting an operand makes a new product, also through another view of it', () => {
  const [a, b] = [numbers([4]), numbers([2, 2])];
  const view = reshape(a, [2, 2]);
  matmul(view, b);
  assign(a, tensor(cpu, [1, 0, 0, 1], [4]));
  expect([...dataOf(matmul(view, b))]).toEqual([1, 2, 3, 4]);
});

test('a linear map is transposed anew each time, though its matrix is the same tensor', () => {
  const a = numbers([1, 2, 3]);
  const map = (x: Tensor) => matmul(a, x);
  const s = tensor(cpu, [1, 10], [1, 2, 1]);
  const once = dataOf(transpose(map, [1, 3, 1], s));
  expect([...once]).toEqual([41, 52, 63]);
  expect(dataOf(transpose(map, [1, 3, 1], s))).toEqual(once);
});

test('an input that outlives many steps remembers the last of them only', () => {
  const x = keep(numbers([2, 2]));
  for (let step = 0; step < 5; step++) scope(cpu, () => void matmul(x, numbers([2, 2])));
  expect(x.memo?.size).toBe(1);
});

test('what leaves the outermost scope forgets what was made of it', () => {
  const x = scope(cpu, () => {
    const input = numbers([2, 2]);
    matmul(input, input);
    return input;
  });
  expect(x.memo).toBeNull();
});

test('the transpose of a map that does not depend on its input is zero, with numbers', () => {
  const g = transpose(() => numbers([2]), [3], numbers([2]));
  expect([...dataOf(g)]).toEqual([0, 0, 0]);
});

test('a product that is remembered passes its slope to both who asked', () => {
  const [a, b] = [numbers([1, 2]), numbers([2, 1])];
  const y = matmul(matmul(a, b), matmul(a, b));
  const [g] = adjoint(y, [a], tensor(cpu, [1], [1, 1]));
  // y = (a b)^2 with a b = 5: dy/da = 2 * 5 * b
  expect([...dataOf(g)]).toEqual([10, 20]);
});
