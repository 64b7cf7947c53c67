// How many multiply-adds a training step asks for, counted in what it records: what theory leaves out is in there.
import { CpuDevice } from '../engine/cpu-device.ts';
import { UsageError } from '../engine/errors.ts';
import { liveEntries } from '../engine/schedule.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Device, Storage } from '../engine/tensor.ts';
import {
  isCopy,
  type Recording,
  type RecordingDevice,
  type Trace,
  type TracedOp,
  TracedStorage,
} from '../engine/trace.ts';

/** Takes note of what is captured on it, and runs none of that. */
class CountingDevice extends CpuDevice implements RecordingDevice {
  trace: Trace | null = null;

  override release(storage: Storage): void {
    // Results of what was only recorded have no numbers to give back.
    if (!(storage instanceof TracedStorage)) super.release(storage);
  }

  compile(trace: Trace): Recording {
    this.trace = trace;
    const replay = (): never => {
      throw new UsageError('productsOf: what is counted is not run; prepare the step, and do not take it');
    };
    return { isStale: () => false, prepare: async () => {}, replay, dispose() {} };
  }
}

/** Multiply-adds of the matrix products and convolutions whose results anybody needs, padding counted as pixels. */
function productsIn({ entries, outputs }: Trace): number {
  const storages = outputs.map(({ storage }) => storage);
  return liveEntries(entries, storages).reduce(
    (sum, entry) => sum + (isCopy(entry) ? 0 : productsOfOp(entry)),
    0,
  );
}

/** Of one op; elementwise ones, sums and pools count for nothing. */
function productsOfOp({ op, attrs, inputShapes: [a, b], shape }: TracedOp): number {
  if (op.name === 'matmul') {
    const { transposeA } = attrs as { readonly transposeA: boolean };
    return sizeOf(shape) * a[a.length - (transposeA ? 2 : 1)];
  }
  // All three directions are one sum, over the pixels of the output [N, O, OH, OW] and a filter [C / groups, KH, KW].
  if (op.name === 'conv2d') return sizeOf(shape) * sizeOf(b.slice(1));
  if (op.name === 'conv2dInputGrad') return sizeOf(a) * sizeOf(b.slice(1));
  if (op.name === 'conv2dWeightGrad') return sizeOf(b) * sizeOf(shape.slice(1));
  return 0;
}

/** Multiply-adds of the step that `capture` captures on the device and prepares, without taking it. */
export async function productsOf(capture: (device: Device) => Promise<void>): Promise<number> {
  const device = new CountingDevice();
  await capture(device);
  if (!device.trace) throw new UsageError('productsOf: nothing was captured; prepare a captured step');
  return productsIn(device.trace);
}
