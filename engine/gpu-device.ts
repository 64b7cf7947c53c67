// Runs ops on WebGPU: encodes at once into an open command encoder, and submits in small batches.
import type { ShaderTexts } from '../shaders/catalogue.ts';
import { type BufferBlock, BufferPool } from './buffer-pool.ts';
import type { AdapterProfile, Operand } from './dispatch.ts';
import { DeviceError } from './errors.ts';
import { BUFFER_USAGE, MAP_READ } from './gpu-flags.ts';
import { waitPolitely } from './patience.ts';
import { type PreparedDispatch, ProgramCache } from './program.ts';
import { createRecorder } from './scope.ts';
import { type Shape, sizeOf } from './shape.ts';
import { type Device, type MemoryReport, type Op, type Storage, storageOf, type Tensor } from './tensor.ts';

/** What a `GpuDevice` is made of. */
export interface GpuDeviceOptions {
  readonly device: GPUDevice;
  readonly profile: AdapterProfile;
  readonly texts: ShaderTexts;
  readonly description: string;
  /** Called after the GPU device is destroyed: releases what keeps the process alive. */
  readonly onClose?: () => void;
}

// Submitting early lets the adapter start while JavaScript still encodes, and frees the staging buffers of uploads.
const COMMANDS_PER_SUBMIT = 32;
const STAGED_BYTES_PER_SUBMIT = 2 ** 26;

/** A WebGPU device in f32. Open one with `openDevice` (Node) or `openBrowserDevice`. */
export class GpuDevice implements Device {
  readonly kind = 'webgpu';
  readonly description: string;
  readonly profile: AdapterProfile;
  readonly recorder = createRecorder();
  readonly constants = new Map<number, Tensor>();
  readonly #device: GPUDevice;
  readonly #programs: ProgramCache;
  readonly #pool: BufferPool;
  readonly #onClose: (() => void) | undefined;
  /** Upload buffers of the open encoder; destroyed once it is submitted. */
  #staging: GPUBuffer[] = [];
  #stagedBytes = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #encodedCount = 0;
  #dispatchCount = 0;
  #submitCount = 0;
  #failure: DeviceError | null = null;
  #isClosed = false;

  constructor({ device, profile, texts, description, onClose }: GpuDeviceOptions) {
    this.#device = device;
    this.profile = profile;
    this.description = description;
    this.#onClose = onClose;
    this.#programs = new ProgramCache(device, texts, profile);
    this.#pool = new BufferPool(device);
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#failure ??= failureOf(event.error);
    });
    device.lost.then((info) => {
      if (this.#isClosed) return;
      const reason = info.message.trim() || info.reason;
      this.#failure = new DeviceError(
        `webgpu: the device was lost (${reason}); open a new device and load the last state`,
      );
    });
  }

  /** Kernel launches encoded and submits made so far, pipelines and plans remembered: for benchmarks and tests. */
  get statistics(): Readonly<
    Record<'dispatchCount' | 'submitCount' | 'pipelineCount' | 'planCount', number>
  > {
    return {
      dispatchCount: this.#dispatchCount,
      submitCount: this.#submitCount,
      pipelineCount: this.#programs.pipelineCount,
      planCount: this.#programs.planCount,
    };
  }

  /** The WebGPU device underneath, for benchmarks and for code that draws. */
  get raw(): GPUDevice {
    return this.#device;
  }

  #checkUsable(where: string): void {
    if (this.#isClosed) throw new DeviceError(`${where}: the device is closed; open a new one`);
    if (this.#failure) throw this.#failure;
  }

  run(op: Op<unknown>, inputs: readonly Tensor[], attrs: unknown, shape: Shape): Storage {
    this.#checkUsable(op.name);
    if (op.isView) return storageOf(op.name, inputs[0]);
    const plan = this.#programs.planOf(op, inputs, attrs, shape);
    const blocks = inputs.map((t) => storageOf(op.name, t) as BufferBlock);
    const output = this.#pool.acquire(op.name, sizeOf(shape));
    const temps: BufferBlock[] = [];
    const resolve = (operand: Operand): BufferBlock =>
      operand === 'output' ? output : 'input' in operand ? blocks[operand.input] : temps[operand.temp];
    try {
      for (const size of plan.temps) temps.push(this.#pool.acquire(op.name, size));
      for (const step of plan.steps) {
        if ('clear' in step) {
          const { buffer, bytes } = resolve(step.clear);
          this.#commands().clearBuffer(buffer, 0, bytes);
        } else this.#encode(step, step.operands.map(resolve));
      }
      return output;
    } catch (error) {
      this.#pool.release(output);
      throw error;
    } finally {
      for (const temp of temps) this.#pool.release(temp);
    }
  }

  #encode(step: PreparedDispatch, blocks: readonly BufferBlock[]): void {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(step.pipeline);
    this.#pass.setBindGroup(0, this.#programs.bindGroup(step, blocks));
    this.#pass.dispatchWorkgroups(...step.workgroups);
    this.#dispatchCount++;
    if (++this.#encodedCount >= COMMANDS_PER_SUBMIT) this.flush();
  }

  /** The open encoder, outside of a compute pass: for copies and clears. */
  #commands(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = null;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  upload(values: ArrayLike<number>, shape: Shape): Storage {
    this.#checkUsable('tensor');
    const block = this.#pool.acquire('tensor', values.length);
    const size = Math.max(4, sizeOf(shape) * 4);
    // An encoded copy, because queue.writeBuffer would overtake work that is encoded but not yet submitted.
    const staging = this.#device.createBuffer({
      size,
      usage: BUFFER_USAGE.copySource,
      mappedAtCreation: true,
    });
    new Float32Array(staging.getMappedRange(), 0, values.length).set(values);
    staging.unmap();
    this.#commands().copyBufferToBuffer(staging, 0, block.buffer, 0, size);
    this.#staging.push(staging);
    this.#stagedBytes += size;
    if (++this.#encodedCount >= COMMANDS_PER_SUBMIT || this.#stagedBytes >= STAGED_BYTES_PER_SUBMIT)
      this.flush();
    return block;
  }

  copy(from: Storage, to: Storage, shape: Shape): void {
    this.#checkUsable('assign');
    // One block under two tensors, as after a reshape: WebGPU refuses such a copy, and there is nothing to do.
    if (from === to) return;
    const size = sizeOf(shape) * 4;
    this.#commands().copyBufferToBuffer((from as BufferBlock).buffer, 0, (to as BufferBlock).buffer, 0, size);
  }

  release(storage: Storage): void {
    if (!this.#isClosed) this.#pool.release(storage as BufferBlock);
  }

  flush(): void {
    if (!this.#encoder) return;
    const encoder = this.#commands();
    this.#device.queue.submit([encoder.finish()]);
    this.#submitCount++;
    this.#encoder = null;
    this.#encodedCount = 0;
    for (const buffer of this.#staging) buffer.destroy();
    this.#staging = [];
    this.#stagedBytes = 0;
  }

  async read(tensors: readonly Tensor[]): Promise<Float32Array[]> {
    this.#checkUsable('read');
    const sizes = tensors.map((t) => sizeOf(t.shape) * 4);
    const total = sizes.reduce((sum, n) => sum + n, 0);
    const usage = BUFFER_USAGE.copyDestination | BUFFER_USAGE.mapRead;
    const staging = this.#device.createBuffer({ size: Math.max(4, total), usage });
    let offset = 0;
    tensors.forEach((t, i) => {
      const { buffer } = storageOf('read', t) as BufferBlock;
      if (sizes[i] > 0) this.#commands().copyBufferToBuffer(buffer, 0, staging, offset, sizes[i]);
      offset += sizes[i];
    });
    this.flush();
    try {
      await waitPolitely(staging.mapAsync(MAP_READ));
    } catch (error) {
      throw this.#failure ?? new DeviceError(`read: ${(error as Error).message}; open a new device`);
    }
    if (this.#failure) throw this.#failure;
    const mapped = staging.getMappedRange();
    offset = 0;
    const parts = sizes.map((bytes) => {
      const start = offset;
      offset += bytes;
      return new Float32Array(mapped.slice(start, offset));
    });
    staging.destroy();
    return parts;
  }

  memory(): MemoryReport {
    return this.#pool.report();
  }

  /** Destroys buffers that nothing uses, e.g. between training and evaluation. */
  trim(): void {
    this.flush();
    this.#pool.trim();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.flush();
    await waitPolitely(this.#device.queue.onSubmittedWorkDone());
    this.#isClosed = true;
    this.#programs.destroy();
    this.#device.destroy();
    this.#onClose?.();
  }
}

function failureOf(error: GPUError): DeviceError {
  const message = error.message.trim();
  // By the name of its class, because Node has no global of it.
  if (error.constructor.name === 'GPUOutOfMemoryError') {
    return new DeviceError(
      `webgpu: the device has no memory left (${message.split('\n')[0]}); use a smaller batch or model`,
    );
  }
  return new DeviceError(`webgpu: ${message}; this is a bug in a kernel or its plan`);
}
