// Reuses GPU buffers. Queue order is encoding order, so a buffer is free again as soon as its last use is encoded.
import { type DeviceError, OutOfMemoryError } from './errors.ts';
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

// Smaller buffers are not what a driver runs out of, and asking takes time.
const WATCHED_BYTES = 2 ** 20;

/**
 * Free lists of buffers keyed by size. Of the free ones the oldest is handed out, whatever the order in which they came
 * back: so a step that runs again gets the buffers it had before, and its bind groups are found again.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #onFailure: (error: DeviceError) => void;
  /** By size, the oldest last. */
  readonly #free = new Map<number, BufferBlock[]>();
  readonly #answers = new Set<Promise<void>>();
  #nextId = 0;
  #heldBytes = 0;
  #usedBytes = 0;
  #peakBytes = 0;
  #usedCount = 0;

  /** `onFailure` is told when the driver turns out to have had no memory for a buffer. */
  constructor(device: GPUDevice, onFailure: (error: DeviceError) => void) {
    this.#device = device;
    this.#onFailure = onFailure;
  }

  /** Size of the buffer for this many f32 numbers. */
  bytesFor(elementCount: number): number {
    return Math.max(GRANULARITY, Math.ceil((elementCount * 4) / GRANULARITY) * GRANULARITY);
  }

  /**
   * A buffer with room for `elementCount` f32 numbers, contents undefined. Throws DeviceError beyond the limits; `where`
   * then says who asked.
   */
  acquire(where: () => string, elementCount: number): BufferBlock {
    const bytes = this.bytesFor(elementCount);
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#device.limits;
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (bytes > limit) {
      throw new OutOfMemoryError(
        `${where()}: a tensor of ${elementCount} elements needs ${bytes} bytes and this adapter binds at most ${limit}; use a smaller batch`,
      );
    }
    this.#usedBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#usedBytes);
    this.#usedCount++;
    const reused = this.#free.get(bytes)?.pop();
    if (reused) return reused;
    return {
      buffer: this.#create(where, bytes),
      id: this.#nextId++,
      bytes,
      owners: 0,
      pins: 0,
      version: 0,
    };
  }

  #create(where: () => string, size: number): GPUBuffer {
    const usage = BUFFER_USAGE.storage | BUFFER_USAGE.copySource | BUFFER_USAGE.copyDestination;
    const held = this.#heldBytes;
    this.#heldBytes += size;
    if (size < WATCHED_BYTES) return this.#device.createBuffer({ size, usage });
    // The driver says only later, and to nobody in particular, that it had no memory: this tells who asked.
    this.#device.pushErrorScope('out-of-memory');
    const buffer = this.#device.createBuffer({ size, usage });
    const answer = this.#device.popErrorScope().then(
      (error) => {
        this.#answers.delete(answer);
        if (!error) return;
        const message = `${where()}: no memory for ${size} bytes beside the ${held} in use; use a smaller batch, or close other programs`;
        this.#onFailure(new OutOfMemoryError(message));
      },
      // The device is lost, and says so itself.
      () => void this.#answers.delete(answer),
    );
    this.#answers.add(answer);
    return buffer;
  }

  /** Resolves when the driver has said of every buffer whether it had the memory. */
  async settled(): Promise<void> {
    await Promise.all(this.#answers);
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
