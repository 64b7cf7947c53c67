// Encodes commands into one open encoder and submits them in small batches.
import type { BufferBlock } from './buffer-pool.ts';
import { BUFFER_USAGE } from './gpu-flags.ts';
import { mappedBuffer } from './mapped-buffer.ts';
import type { Profiler } from './profiler.ts';

/** A kernel launch with everything bound. */
export interface BoundDispatch {
  /** The op or ops, for profiles. */
  readonly name: string;
  /** Bytes of what it binds, for profiles. */
  readonly byteCount: number;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

/** The part of a buffer that a tensor uses, from its beginning. */
export interface Room {
  readonly block: BufferBlock;
  readonly byteCount: number;
}

/** A copy from buffer to buffer; starts and count are in elements. */
export interface BufferCopy {
  readonly from: BufferBlock;
  readonly to: BufferBlock;
  readonly fromStart: number;
  readonly toStart: number;
  readonly count: number;
}

/** What the queue can be asked to do with buffers of the pool. */
export type QueueCommand = BoundDispatch | BufferCopy | { readonly clear: Room };

// Submitting early lets the adapter start while JavaScript still encodes, and frees the staging buffers of uploads.
const COMMANDS_PER_SUBMIT = 32;
const STAGED_BYTES_PER_SUBMIT = 2 ** 26;

/** The commands of a device in the order in which they will run. */
export class CommandQueue {
  readonly #device: GPUDevice;
  /** Upload buffers of the open encoder; destroyed once it is submitted. */
  #staging: GPUBuffer[] = [];
  #stagedBytes = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  /** Pipeline that the open pass is set to. */
  #pipeline: GPUComputePipeline | null = null;
  #encodedCount = 0;
  dispatchCount = 0;
  submitCount = 0;
  /** While there is one, every kernel has a pass of its own and is timed. */
  profiler: Profiler | null = null;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  encode(command: QueueCommand): void {
    if ('pipeline' in command) this.#dispatch(command);
    else if ('clear' in command) this.#clear(command.clear);
    else {
      const { from, to, fromStart, toStart, count } = command;
      this.copy(from.buffer, 4 * fromStart, to.buffer, 4 * toStart, 4 * count);
    }
  }

  #dispatch(dispatch: BoundDispatch): void {
    const { pipeline, bindGroup, workgroups } = dispatch;
    if (this.profiler) this.#pass = this.#timedPass(this.profiler, dispatch);
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    if (this.#pipeline !== pipeline) this.#pass.setPipeline(pipeline);
    this.#pipeline = pipeline;
    this.#pass.setBindGroup(0, bindGroup);
    this.#pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
    this.dispatchCount++;
    this.#encoded();
  }

  #timedPass(profiler: Profiler, { name, pipeline, byteCount }: BoundDispatch): GPUComputePassEncoder {
    const timestampWrites = profiler.next(`${name} (${pipeline.label})`, byteCount);
    return this.#outsideOfPass().beginComputePass({ timestampWrites });
  }

  #clear({ block, byteCount }: Room): void {
    this.#outsideOfPass().clearBuffer(block.buffer, 0, byteCount);
    this.#encoded();
  }

  /** Copies `byteCount` bytes; offsets are in bytes. */
  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, byteCount: number): void {
    this.#outsideOfPass().copyBufferToBuffer(from, fromOffset, to, toOffset, byteCount);
    this.#encoded();
  }

  /**
   * Numbers to a buffer, in the order of the queue: `queue.writeBuffer` would overtake what is encoded but not submitted.
   * Throws OutOfMemoryError in the name of `where`.
   */
  upload(where: () => string, values: ArrayLike<number>, to: GPUBuffer): void {
    const size = Math.max(4, values.length * 4);
    const room = { size, usage: BUFFER_USAGE.copySource, where };
    const staging = mappedBuffer(this.#device, room, (bytes) => {
      new Float32Array(bytes, 0, values.length).set(values);
    });
    this.#staging.push(staging);
    this.#stagedBytes += size;
    this.copy(staging, 0, to, 0, size);
  }

  /** The open encoder, outside of a compute pass: for copies and clears. */
  #outsideOfPass(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = null;
    this.#pipeline = null;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  #encoded(): void {
    if (++this.#encodedCount >= COMMANDS_PER_SUBMIT || this.#stagedBytes >= STAGED_BYTES_PER_SUBMIT)
      this.submit();
  }

  /** Submits what is encoded so far. */
  submit(): void {
    if (!this.#encoder) return;
    const encoder = this.#outsideOfPass();
    this.#device.queue.submit([encoder.finish()]);
    this.submitCount++;
    this.#encoder = null;
    this.#encodedCount = 0;
    for (const buffer of this.#staging) buffer.destroy();
    this.#staging = [];
    this.#stagedBytes = 0;
  }
}
