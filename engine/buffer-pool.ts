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

// Bytes that may lie free when a buffer has to be made: so many times the most that were in use at once, and a floor for small
// programs. WebGPU does not say how much memory there is, so what varies in shape must not pile up until the driver refuses.
// A training shall stay below, also one that is not captured and has batches of two sizes, and layers that all differ in size.
// Who goes beyond makes buffers anew now and then.
const FREE_PER_PEAK = 2;
const FREE_FLOOR_BYTES = 2 ** 28;

/** What a pool tells its device, and asks of it. */
export interface BufferPoolOptions {
  /** Told when the driver turns out to have had no memory for a buffer. */
  readonly onFailure: (error: DeviceError) => void;
  /** Submits what is encoded: it may use buffers that are about to be destroyed. */
  readonly flush: () => void;
  /** Bytes that may lie free however little is in use, by default 256 MiB. */
  readonly freeFloorBytes?: number;
}

/**
 * Free lists of buffers keyed by size. Of the free ones the oldest is handed out, whatever the order in which they came
 * back: so a step that runs again gets the buffers it had before, and its bind groups are found again. When too many bytes
 * lie free, all free buffers are destroyed.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #onFailure: (error: DeviceError) => void;
  readonly #flush: () => void;
  readonly #freeFloorBytes: number;
  /** By size, the oldest last. */
  readonly #free = new Map<number, BufferBlock[]>();
  readonly #answers = new Set<Promise<void>>();
  #nextId = 0;
  #heldBytes = 0;
  #usedBytes = 0;
  #peakBytes = 0;
  #usedCount = 0;

  constructor(device: GPUDevice, { onFailure, flush, freeFloorBytes = FREE_FLOOR_BYTES }: BufferPoolOptions) {
    this.#device = device;
    this.#onFailure = onFailure;
    this.#flush = flush;
    this.#freeFloorBytes = freeFloorBytes;
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
    // Also of a size that is no number.
    if (!(bytes <= limit)) {
      throw new OutOfMemoryError(
        `${where()}: a buffer of ${elementCount} elements needs ${bytes} bytes and this adapter binds at most ${limit}; use a smaller batch`,
      );
    }
    const block = this.#free.get(bytes)?.pop() ?? this.#create(where, bytes);
    this.#usedBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#usedBytes);
    this.#usedCount++;
    return block;
  }

  #create(where: () => string, size: number): BufferBlock {
    if (this.#freeBytes > FREE_PER_PEAK * this.#peakBytes + this.#freeFloorBytes) this.trim();
    const usage = BUFFER_USAGE.storage | BUFFER_USAGE.copySource | BUFFER_USAGE.copyDestination;
    const make = () => this.#device.createBuffer({ size, usage });
    const buffer = size < WATCHED_BYTES ? make() : this.#watched(where, size, make);
    this.#heldBytes += size;
    return { buffer, id: this.#nextId++, bytes: size, owners: 0, pins: 0, version: 0 };
  }

  /** What `make` makes. The driver says only later, and to nobody in particular, that it had no memory: this tells who asked. */
  #watched(where: () => string, size: number, make: () => GPUBuffer): GPUBuffer {
    const [used, free] = [this.#usedBytes, this.#freeBytes];
    this.#device.pushErrorScope('out-of-memory');
    try {
      return make();
    } finally {
      const answer = this.#device.popErrorScope().then(
        (error) => {
          this.#answers.delete(answer);
          if (!error) return;
          const message = `${where()}: no memory for ${size} bytes beside the ${used} in use and ${free} kept for reuse; open a new device and use a smaller batch, or close other programs`;
          this.#onFailure(new OutOfMemoryError(message));
        },
        // The device is lost, and says so itself.
        () => void this.#answers.delete(answer),
      );
      this.#answers.add(answer);
    }
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

  get #freeBytes(): number {
    return this.#heldBytes - this.#usedBytes;
  }

  /** Destroys every buffer that is not in use. Bind groups that name one are never asked for again, as its id is not. */
  trim(): void {
    if (this.#freeBytes === 0) return;
    this.#flush();
    for (const list of this.#free.values()) {
      for (const block of list) {
        block.buffer.destroy();
        this.#heldBytes -= block.bytes;
      }
    }
    this.#free.clear();
  }

  report(): Omit<MemoryReport, 'tensorCount'> {
    return {
      heldBytes: this.#heldBytes,
      usedBytes: this.#usedBytes,
      peakBytes: this.#peakBytes,
      blockCount: this.#usedCount,
    };
  }
}
