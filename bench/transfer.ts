// Numbers on their way to the device and back: few, where the round trip counts, and many, where bytes do.
import { read, tensor } from '../engine/create.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { type BenchCase, gigabytes, randomTensor } from './case.ts';

const sizes = [
  { label: '4b', count: 1 },
  { label: '4mb', count: 2 ** 20 },
];

const common = (name: string, count: number) => ({
  family: 'transfer',
  name,
  size: `[${count}]`,
  ...(count === 1
    ? { unit: 'thousand/s', workPerCall: 1e-3 }
    : { unit: 'GB/s', workPerCall: gigabytes(count) }),
  tolerance: 0,
});

/** Uploads are waited for at the end of a sample, readbacks one by one. */
export const transferCases: readonly BenchCase[] = sizes.flatMap(({ label, count }) => [
  {
    ...common(`upload-${label}`, count),
    prepare(device: Device) {
      const values = Float32Array.from({ length: count }, (_, i) => (i % 1021) + 1);
      const call = (): Tensor => tensor(device, values, [count]);
      return { call, result: call, close: () => {} };
    },
  },
  {
    ...common(`readback-${label}`, count),
    prepare(device: Device) {
      const x = randomTensor(device, 'readback', [count]);
      return {
        call: async () => {
          await read(x);
        },
        result: () => x,
        close: () => release(x),
      };
    },
  },
]);
