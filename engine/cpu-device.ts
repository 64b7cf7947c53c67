// The oracle: runs every op by its reference, in f64. Slow and obvious on purpose.
import { createRecorder } from './scope.ts';
import { type Shape, sizeOf } from './shape.ts';
import { type Device, type MemoryReport, type Op, type Storage, storageOf, type Tensor } from './tensor.ts';

interface CpuStorage extends Storage {
  readonly data: Float64Array;
}

/** Computes in f64 on the CPU, with no kernels. Use it to check results, not to train. */
export class CpuDevice implements Device {
  readonly kind = 'cpu';
  readonly description = 'CPU reference (f64)';
  readonly recorder = createRecorder();
  readonly constants = new Map<number, Tensor>();
  #usedBytes = 0;
  #peakBytes = 0;
  #blockCount = 0;

  #allocate(data: Float64Array): CpuStorage {
    this.#usedBytes += data.byteLength;
    this.#peakBytes = Math.max(this.#peakBytes, this.#usedBytes);
    this.#blockCount++;
    return { owners: 0, pins: 0, version: 0, data };
  }

  run(op: Op<unknown>, inputs: readonly Tensor[], attrs: unknown, shape: Shape): Storage {
    if (op.isView) return storageOf(op.name, inputs[0]);
    const out = this.#allocate(new Float64Array(sizeOf(shape)));
    const arrays = inputs.map((t) => ({ shape: t.shape, data: dataOf(t) }));
    op.reference(arrays, attrs, { shape, data: out.data });
    return out;
  }

  upload(values: ArrayLike<number>): Storage {
    return this.#allocate(Float64Array.from(values));
  }

  copy(source: Tensor, target: Tensor): void {
    const to = storageOf('assign', target) as CpuStorage;
    to.data.set((storageOf('assign', source) as CpuStorage).data);
  }

  release(storage: Storage): void {
    this.#usedBytes -= (storage as CpuStorage).data.byteLength;
    this.#blockCount--;
  }

  async read(tensors: readonly Tensor[]): Promise<Float64Array[]> {
    return tensors.map((t) => dataOf(t).slice());
  }

  flush(): void {}

  memory(): MemoryReport {
    return {
      heldBytes: this.#usedBytes,
      usedBytes: this.#usedBytes,
      peakBytes: this.#peakBytes,
      blockCount: this.#blockCount,
      tensorCount: this.recorder.liveCount,
    };
  }

  async close(): Promise<void> {}
}

/** The live numbers of a tensor on the CPU device; do not write to them. */
export function dataOf(t: Tensor): Float64Array {
  return (storageOf('read', t) as CpuStorage).data;
}
