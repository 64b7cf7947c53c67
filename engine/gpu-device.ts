// Runs ops on WebGPU: encodes at once into an open command encoder, and submits in small batches.
import type { ShaderTexts } from '../shaders/catalogue.ts';
import { type BufferBlock, BufferPool } from './buffer-pool.ts';
import type { AdapterProfile, Operand } from './dispatch.ts';
import { DeviceError } from './errors.ts';
import { BUFFER_USAGE, MAP_READ } from './gpu-flags.ts';
import { waitPolitely } from './patience.ts';
import { type PreparedDispatch, type PreparedPlan, ProgramCache } from './program.ts';
import { createRecorder } from './scope.ts';
import { type Shape, sizeOf } from './shape.ts';
import { type Device, type MemoryReport, type Op, type Storage, storageOf, type Tensor } from './tensor.ts';

export interface GpuDeviceOptions {
  readonly device: GPUDevice;
  readonly profile: AdapterProfile;
  readonly texts: ShaderTexts;
  readonly description: string;
  /** Called after the GPU device is destroyed: releases what keeps the process alive. */
  readonly onClose?: () => void;
}

// Submitting early lets the adapter start while JavaScript still encodes; each submit costs some microseconds.
const DISPATCHES_PER_SUBMIT = 32;

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
  readonly #plans = new Map<string, PreparedPlan>();
  readonly #onClose: (() => void) | undefined;
  /** Upload buffers of the open encoder; destroyed once it is submitted. */
  #staging: GPUBuffer[] = [];
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #encodedCount = 0;
  #dispatchCount = 0;
  #failure: DeviceError | null = null;
  #isClosed = false;

  constructor({ device, profile, texts, description, onClose }: GpuDeviceOptions) {
    this.#device = device;
    this.profile = profile;
    this.description = description;
    this.#onClose = onClose;
    this.#programs = new ProgramCache(device, texts);
    this.#pool = new BufferPool(device);
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#failure ??= new DeviceError(
        `webgpu: ${event.error.message.trim()}; this is a bug in a kernel or its plan`,
      );
    });
    device.lost.then((info) => {
      if (this.#isClosed) return;
      const reason = info.message.trim() || info.reason;
      this.#failure = new DeviceError(
        `webgpu: the device was lost (${reason}); open a new device and load the last state`,
      );
    });
  }

  /** Kernel launches encoded so far, and pipelines compiled: what benchmarks and tests look at. */
  get statistics(): { readonly dispatchCount: number; readonly pipelineCount: number } {
    return { dispatchCount: this.#dispatchCount, pipelineCount: this.#programs.pipelineCount };
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
    const plan = this.#plan(op, inputs, attrs, shape);
    const blocks = inputs.map((t) => storageOf(op.name, t) as BufferBlock);
    const output = this.#pool.acquire(op.name, sizeOf(shape));
    const temps = plan.temps.map((size) => this.#pool.acquire(op.name, size));
    const resolve = (operand: Operand): BufferBlock =>
      operand === 'output' ? output : 'input' in operand ? blocks[operand.input] : temps[operand.temp];
    for (const step of plan.steps) {
      if ('clear' in step) {
        const { buffer, bytes } = resolve(step.clear);
        this.#commands().clearBuffer(buffer, 0, bytes);
      } else this.#encode(step, step.operands.map(resolve));
    }
    for (const temp of temps) this.#pool.release(temp);
    return output;
  }

  #plan(op: Op<unknown>, inputs: readonly Tensor[], attrs: unknown, shape: Shape): PreparedPlan {
    let key = op.name;
    for (const t of inputs) key += `|${t.shape.join()}`;
    key += JSON.stringify(attrs);
    const known = this.#plans.get(key);
    if (known) return known;
    const request = { inputs: inputs.map((t) => t.shape), output: shape, attrs, adapter: this.profile };
    const isEmpty = sizeOf(shape) === 0;
    const plan = this.#programs.prepare(op.name, isEmpty ? { steps: [] } : op.kernel(request));
    this.#plans.set(key, plan);
    return plan;
  }

  #encode(step: PreparedDispatch, blocks: readonly BufferBlock[]): void {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(step.pipeline);
    this.#pass.setBindGroup(0, this.#programs.bindGroup(step, blocks));
    this.#pass.dispatchWorkgroups(...step.workgroups);
    this.#dispatchCount++;
    if (++this.#encodedCount >= DISPATCHES_PER_SUBMIT) this.flush();
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
    return block;
  }

  copy(from: Storage, to: Storage, shape: Shape): void {
    this.#checkUsable('assign');
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
    this.#encoder = null;
    this.#encodedCount = 0;
    for (const buffer of this.#staging) buffer.destroy();
    this.#staging = [];
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
    const all = new Float32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    offset = 0;
    return sizes.map((bytes) => {
      const part = all.slice(offset / 4, (offset + bytes) / 4);
      offset += bytes;
      return part;
    });
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
