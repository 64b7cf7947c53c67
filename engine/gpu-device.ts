// Runs ops on WebGPU: encodes at once into an open command encoder, and submits in small batches.
import type { ShaderTexts } from '../shaders/catalogue.ts';
import { boundStep, type StepContext } from './bound-step.ts';
import { type BufferBlock, BufferPool } from './buffer-pool.ts';
import { CommandQueue } from './command-queue.ts';
import type { AdapterProfile, Operand } from './dispatch.ts';
import { DeviceError, IsnetError, OutOfMemoryError, UsageError } from './errors.ts';
import { BUFFER_USAGE, MAP_READ } from './gpu-flags.ts';
import { GpuRecording } from './gpu-recording.ts';
import { waitPolitely } from './patience.ts';
import { type DispatchTime, Profiler } from './profiler.ts';
import { describeCall, ProgramCache } from './program.ts';
import { createRecorder } from './scope.ts';
import { formatShape, type Shape, sizeOf } from './shape.ts';
import { type MemoryReport, type Op, type Storage, storageOf, type Tensor } from './tensor.ts';
import {
  type CompileOptions,
  type Recording,
  type RecordingDevice,
  strayTensor,
  type Trace,
  TracedStorage,
} from './trace.ts';

/** What a `GpuDevice` is made of. */
export interface GpuDeviceOptions {
  readonly device: GPUDevice;
  readonly profile: AdapterProfile;
  readonly texts: ShaderTexts;
  readonly description: string;
  /** The driver and its version, as `GPUAdapterInfo.description` tells them. */
  readonly driver: string;
}

/** A WebGPU device in f32. Open one with `openDevice` (Node) or `openBrowserDevice`. */
export class GpuDevice implements RecordingDevice {
  readonly kind = 'webgpu';
  readonly description: string;
  /** The driver and its version, as far as WebGPU tells them. */
  readonly driver: string;
  readonly profile: AdapterProfile;
  /** The kernels. */
  readonly texts: ShaderTexts;
  readonly recorder = createRecorder();
  readonly constants = new Map<number, Tensor>();
  readonly #device: GPUDevice;
  readonly #programs: ProgramCache;
  readonly #pool: BufferPool;
  readonly #queue: CommandQueue;
  #failure: DeviceError | null = null;
  /** Settles when the device is lost, once `#failure` says so. */
  readonly #lost: Promise<void>;
  #isClosed = false;

  constructor({ device, profile, texts, description, driver }: GpuDeviceOptions) {
    this.#device = device;
    this.profile = profile;
    this.texts = texts;
    this.description = description;
    this.driver = driver;
    this.#programs = new ProgramCache(device, texts, profile);
    this.#pool = new BufferPool(device, {
      onFailure: (error) => {
        this.#failure ??= error;
      },
      flush: () => this.flush(),
    });
    this.#queue = new CommandQueue(device);
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      // A buffer that there was no memory for is invalid, and so is all that it is bound to: the cause goes first.
      this.#pool.settled().then(() => {
        this.#failure ??= failureOf(event.error);
      });
    });
    this.#lost = device.lost.then((info) => {
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
      dispatchCount: this.#queue.dispatchCount,
      submitCount: this.#queue.submitCount,
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

  /** The outcome of work that is under way. Rejects with the device's own error wherever that is the cause. */
  async #outcomeOf<T>(where: string, work: Promise<T>): Promise<T> {
    const [outcome] = await Promise.allSettled([work]);
    await this.#pool.settled();
    const isRejected = outcome.status === 'rejected';
    // What a lost device leaves undone is rejected before the loss is told.
    if (isRejected && !this.#failure) await Promise.race([this.#lost, moment()]);
    if (this.#failure) throw this.#failure;
    if (!isRejected) return outcome.value;
    const { reason } = outcome;
    throw reason instanceof IsnetError
      ? reason
      : new DeviceError(`${where}: ${reason.message}; open a new device`, { cause: reason });
  }

  run(op: Op<unknown>, inputs: readonly Tensor[], attrs: unknown, shape: Shape): Storage {
    this.#checkUsable(op.name);
    if (op.isView) return storageOf(op.name, inputs[0]);
    const call = { op, inputShapes: inputs.map((t) => t.shape), attrs, shape };
    const where = () => describeCall(call);
    const plan = this.#programs.planOf(call);
    const blocks = inputs.map((t) => blockOf(op.name, t));
    const output = this.#pool.acquire(where, sizeOf(shape));
    const temps: BufferBlock[] = [];
    const blockAt = (operand: Operand): BufferBlock =>
      operand === 'output' ? output : 'input' in operand ? blocks[operand.input] : temps[operand.temp];
    const context: StepContext = {
      name: op.name,
      resolve(operand) {
        const block = blockAt(operand);
        return { block, byteCount: block.bytes };
      },
      bind: (dispatch, bound) => this.#programs.bindGroup(dispatch, bound),
    };
    try {
      for (const size of plan.temps) temps.push(this.#pool.acquire(where, size));
      for (const step of plan.steps) this.#queue.encode(boundStep(step, context));
      return output;
    } catch (error) {
      this.#pool.release(output);
      throw error;
    } finally {
      for (const temp of temps) this.#pool.release(temp);
    }
  }

  compile(trace: Trace, options: CompileOptions = {}): Recording {
    this.#checkUsable('capture');
    // The step takes buffers of its own, many at once, and few that lie free are of their sizes.
    this.#pool.trim();
    const context = {
      programs: this.#programs,
      pool: this.#pool,
      queue: this.#queue,
      profile: this.profile,
      checkUsable: () => this.#checkUsable('capture'),
      outcomeOf: <T>(work: Promise<T>) => this.#outcomeOf('capture', work),
    };
    return new GpuRecording(trace, context, options);
  }

  upload(values: ArrayLike<number>, shape: Shape): Storage {
    this.#checkUsable('tensor');
    const where = () => `tensor ${formatShape(shape)}`;
    const block = this.#pool.acquire(where, values.length);
    const upload = () => this.#queue.upload(where, values, block.buffer);
    try {
      try {
        upload();
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        // Here the driver says so at once: what lies free is given up before the tensor is.
        this.#pool.trim();
        upload();
      }
      return block;
    } catch (error) {
      this.#pool.release(block);
      throw error;
    }
  }

  copy(source: Tensor, target: Tensor): void {
    this.#checkUsable('assign');
    const [from, to] = [blockOf('assign', source), blockOf('assign', target)];
    // One block under two tensors, as after a reshape: WebGPU refuses such a copy, and there is nothing to do.
    if (from !== to) this.#queue.copy(from.buffer, 0, to.buffer, 0, 4 * sizeOf(target.shape));
  }

  release(storage: Storage): void {
    // What a captured step left behind has no buffer.
    if (!this.#isClosed && !(storage instanceof TracedStorage)) this.#pool.release(storage as BufferBlock);
  }

  flush(): void {
    this.#queue.submit();
  }

  async read(tensors: readonly Tensor[]): Promise<Float32Array[]> {
    this.#checkUsable('read');
    // All copies are encoded at once: what is read must not change while we wait.
    const batches = readBatches(tensors, this.#device.limits.maxBufferSize).map((batch) =>
      this.#stage(batch),
    );
    this.flush();
    const maps = batches.map(({ staging }) => staging.mapAsync(MAP_READ));
    // Taken at once: the device may be closed while we wait for anything else.
    const parts = waitPolitely(Promise.all(maps)).then(() => batches.flatMap(unstage));
    return this.#outcomeOf('read', parts);
  }

  /** Encodes copies of these tensors, one behind the other, to a buffer that can be mapped. */
  #stage(tensors: readonly Tensor[]): Staged {
    const sizes = tensors.map((t) => 4 * sizeOf(t.shape));
    const total = sizes.reduce((sum, n) => sum + n, 0);
    const usage = BUFFER_USAGE.copyDestination | BUFFER_USAGE.mapRead;
    const staging = this.#device.createBuffer({ size: Math.max(4, total), usage });
    let offset = 0;
    tensors.forEach((t, i) => {
      const { buffer } = blockOf('read', t);
      if (sizes[i] > 0) this.#queue.copy(buffer, 0, staging, offset, sizes[i]);
      offset += sizes[i];
    });
    return { staging, sizes };
  }

  /**
   * Runs `work`, which may be async, with a timestamp around every kernel. Rejects as `work` does, and with DeviceError
   * where the adapter has no timestamps or is lost, and with UsageError while other work is profiled.
   */
  async profileDispatches(work: () => unknown): Promise<DispatchTime[]> {
    this.#checkUsable('profile');
    if (this.#queue.profiler) {
      throw new UsageError('profile: this device profiles other work already; wait until that has ended');
    }
    const profiler = new Profiler(this.#device);
    this.#queue.submit();
    this.#queue.profiler = profiler;
    try {
      try {
        await work();
      } finally {
        // Also after a failure: the open pass writes timestamps.
        this.#queue.submit();
        this.#queue.profiler = null;
      }
      return await this.#outcomeOf('profile', profiler.times());
    } finally {
      profiler.destroy();
    }
  }

  memory(): MemoryReport {
    return { ...this.#pool.report(), tensorCount: this.recorder.liveCount };
  }

  /** Destroys buffers that nothing uses, e.g. between training and evaluation. */
  trim(): void {
    this.#pool.trim();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.flush();
    await waitPolitely(this.#device.queue.onSubmittedWorkDone());
    this.#isClosed = true;
    this.#programs.destroy();
    this.#device.destroy();
  }
}

/** Long enough for news that are under way; only who has failed waits for it. */
const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));

/** Copies of tensors in a buffer that can be mapped, one behind the other; sizes are in bytes. */
interface Staged {
  readonly staging: GPUBuffer;
  readonly sizes: readonly number[];
}

/** The numbers in a mapped buffer, which is destroyed. */
function unstage({ staging, sizes }: Staged): Float32Array[] {
  const mapped = staging.getMappedRange();
  let offset = 0;
  const parts = sizes.map((size) => {
    const start = offset;
    offset += size;
    return new Float32Array(mapped.slice(start, offset));
  });
  staging.destroy();
  return parts;
}

/** The tensors in order, in groups that fit into one buffer of at most `limit` bytes. */
function readBatches(tensors: readonly Tensor[], limit: number): Tensor[][] {
  const batches: Tensor[][] = [];
  let left = 0;
  for (const t of tensors) {
    const size = 4 * sizeOf(t.shape);
    const last = batches.at(-1);
    if (last && size <= left) last.push(t);
    else {
      batches.push([t]);
      left = limit;
    }
    left -= size;
  }
  return batches;
}

/** The buffer behind a tensor. Throws UsageError for one that a captured step has made and not returned. */
function blockOf(where: string, t: Tensor): BufferBlock {
  const storage = storageOf(where, t);
  if (storage instanceof TracedStorage) throw strayTensor(where, t);
  return storage as BufferBlock;
}

function failureOf(error: GPUError): DeviceError {
  const message = error.message.trim();
  // By the name of its class, because Node has no global of it.
  if (error.constructor.name === 'GPUOutOfMemoryError') {
    return new OutOfMemoryError(
      `webgpu: the device has no memory left (${message.split('\n')[0]}); open a new device and use a smaller batch or model`,
    );
  }
  return new DeviceError(`webgpu: ${message}; this is a bug in a kernel or its plan`);
}
