// Tensors that have a shape but no numbers. They let a function be recorded without being run; see transpose.ts.
import { UsageError } from './errors.ts';
import { createRecorder } from './scope.ts';
import type { Shape } from './shape.ts';
import { type Device, type MemoryReport, type Storage, Tensor } from './tensor.ts';

/** Runs nothing: results know only their shape and how they came about. Reading one is a UsageError. */
export class MetaDevice implements Device {
  readonly kind = 'meta';
  readonly description = 'meta (shapes only)';
  readonly recorder = createRecorder();
  readonly constants = new Map<number, Tensor>();
  readonly home?: Device;

  constructor(home?: Device) {
    this.home = home;
  }

  run(): Storage {
    return { owners: 0, pins: 0, version: 0 };
  }

  upload(): Storage {
    return { owners: 0, pins: 0, version: 0 };
  }

  copy(): void {}
  release(): void {}

  read(): Promise<never> {
    return Promise.reject(
      new UsageError('read: a meta tensor has no numbers; run the function on a real device'),
    );
  }

  flush(): void {}

  memory(): MemoryReport {
    return { heldBytes: 0, usedBytes: 0, peakBytes: 0, blockCount: 0, tensorCount: this.recorder.liveCount };
  }

  async close(): Promise<void> {}
}

/** A tensor of the given shape without numbers, on a meta device of its own that stands in for `home`. */
export function metaTensor(shape: Shape, home?: Device): Tensor {
  return new Tensor(new MetaDevice(home), shape, { owners: 0, pins: 0, version: 0 }, null);
}
