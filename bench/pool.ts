// Pooling, forward and with its gradient: windows that touch, and windows that overlap.
import { adjoint } from '../engine/grad.ts';
import { avgPool2d } from '../engine/ops/avg-pool.ts';
import { maxPool2d } from '../engine/ops/max-pool.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import { type BenchCase, gigabytes, opCase } from './case.ts';

const x: Shape = [8, 64, 56, 56];
const few: Shape = [1, 64, 56, 56];
const pools = [
  { label: 'max', pool: maxPool2d },
  { label: 'avg', pool: avgPool2d },
] as const;
// Both make 28 of 56.
const windows = [
  { label: '2x2', options: { kernel: 2 } },
  { label: '3x3-s2', options: { kernel: 3, stride: 2, padding: 1 } },
] as const;
const pooled = ([n]: Shape): Shape => [n, 64, 28, 28];

/** Forward: x is read and y written. With the gradient: g of y is read and g of x written too. */
export const poolCases: readonly BenchCase[] = pools.flatMap(({ label, pool }) =>
  windows.flatMap((window) => {
    const common = { family: 'pool', unit: 'GB/s' } as const;
    const oneWay = gigabytes(sizeOf(x) + sizeOf(pooled(x)));
    return [
      opCase({
        ...common,
        name: `${label}-${window.label}`,
        workPerCall: oneWay,
        shapes: [x],
        checkShapes: [few],
        run: ([images]) => pool(images, window.options),
      }),
      opCase({
        ...common,
        name: `${label}-${window.label}-and-gradient`,
        workPerCall: 2 * oneWay,
        shapes: [x, pooled(x)],
        checkShapes: [few, pooled(few)],
        isRecorded: true,
        run: ([images, g]) => adjoint(pool(images, window.options), [images], g)[0],
      }),
    ];
  }),
);
