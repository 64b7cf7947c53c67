// Reuses GPU buffers. Queue order is encoding order, so a buffer is free again as soon as its last use is encoded.
import { DeviceError } from './errors.ts';
import { BUFFER_USAGE } from './gpu-flags.ts';
import type { MemoryReport, Storage } from './tensor.ts';

/** A pooled GPU buffer. `id` names it in bind-group keys; ids are never reused. */
export interface BufferBlock extends Storage {
  readonly buffer: GPUBuffer;
  readonly id: number;
  readonly bytes: number;
}

// Few sizes, so that buffers are found again. Kernels that work on four elements at a time count on 16 of it.
const GRANULARITY = 256;

/**
 * Free lists of buffers keyed by size. Of the free ones the oldest is handed out, whatever the order in which they came
 * back: so a step that runs again gets the buffers it had before, and its bind groups are found again.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  /** By size, the oldest last. */
  readonly #free = new Map<number, BufferBlock[]>();
  #nextId = 0;
  #heldBytes = 0;
  #usedBytes = 0;
  #peakBytes = 0;
  #usedCount = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A buffer with room for `elementCount` f32 numbers, contents undefined. Throws DeviceError beyond the limits. */
  acquire(where: string, elementCount: number): BufferBlock {
    const bytes = Math.max(GRANULARITY, Math.ceil((elementCount * 4) / GRANULARITY) * GRANULARITY);
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#device.limits;
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (bytes > limit) {
      throw new DeviceError(
        `${where}: a tensor of ${elementCount} elements needs ${bytes} bytes and this adapter binds at most ${limit}; use a smaller batch`,
      );
    }
    this.#usedBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#usedBytes);
    this.#usedCount++;
    const reused = this.#free.get(bytes)?.pop();
    if (reused) return reused;
    this.#heldBytes += bytes;
    const usage = BUFFER_USAGE.storage | BUFFER_USAGE.copySource | BUFFER_USAGE.copyDestination;
    return {
      buffer: this.#device.createBuffer({ size: bytes, usage }),
      id: this.#nextId++,
      bytes,
      owners: 0,
      version: 0,
    };
  }

  /** Gives a buffer back; it may be handed out again at once. */
  release(block: BufferBlock): void {
    this.#usedBytes -= block.bytes;
    this.#usedCount--;
    const list = this.#free.get(block.bytes);
    if (!list) {
      this.#free.set(block.bytes, [block]);
      return;
    }
    let low = 0;
    for (let high = list.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (list[middle].id > block.id) low = middle + 1;
      else high = middle;
    }
    list.splice(low, 0, block);
  }

  /** Destroys every buffer that is not in use. Call it only when the encoded work is submitted. */
  trim(): void {
    for (const list of this.#free.values()) {
      for (const block of list) {
        block.buffer.destroy();
        this.#heldBytes -= block.bytes;
      }
    }
    this.#free.clear();
  }

  report(): MemoryReport {
    return {
      heldBytes: this.#heldBytes,
      usedBytes: this.#usedBytes,
      peakBytes: this.#peakBytes,
      tensorCount: this.#usedCount,
    };
  }
}
