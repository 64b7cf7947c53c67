// A captured step on WebGPU: buffers, pipelines and bind groups are made once, and a replay only encodes.
import type { BufferBlock, BufferPool } from './buffer-pool.ts';
import type { BoundDispatch, CommandQueue } from './command-queue.ts';
import type { AdapterProfile, Dispatch, KernelPlan, Operand } from './dispatch.ts';
import { fusedDispatch } from './map-kernel.ts';
import { describeCall, type ProgramCache } from './program.ts';
import { type Command, schedule } from './schedule.ts';
import { sizeOf } from './shape.ts';
import { type Storage, storageOf, type Tensor } from './tensor.ts';
import { type Recording, type Trace, TracedStorage } from './trace.ts';

/** The parts of a device that a recording uses. */
export interface RecordingContext {
  readonly programs: ProgramCache;
  readonly pool: BufferPool;
  readonly queue: CommandQueue;
  readonly profile: AdapterProfile;
  /** Throws DeviceError when the device is closed or lost. */
  readonly checkUsable: () => void;
}

/** A command with its kernels, before it has buffers. */
interface Job {
  readonly name: string;
  /** Who asks for its buffers, for error messages. */
  readonly where: string;
  readonly plan: KernelPlan;
  /** What `{ input: i }` means in the plan. A fused kernel writes some of them. */
  readonly inputs: readonly Storage[];
  readonly output: Storage | null;
  /** Results that come into being here. */
  readonly made: readonly TracedStorage[];
}

interface BufferCopy {
  readonly from: BufferBlock;
  readonly to: BufferBlock;
  /** In elements. */
  readonly fromStart: number;
  readonly toStart: number;
  readonly count: number;
}

type Encoded = BoundDispatch | BufferCopy | { readonly clear: BufferBlock };

function jobOf(command: Command, profile: AdapterProfile): Job {
  if (command.kind === 'op') {
    const { call, plan, inputs, output } = command;
    return { name: call.op.name, where: describeCall(call), plan, inputs, output, made: [output] };
  }
  if (command.kind === 'map') {
    const { name, map, inputs, outputs } = command;
    const plan = { steps: [fusedDispatch(map, profile)] };
    return { name, where: name, plan, inputs: [...inputs, ...outputs], output: null, made: outputs };
  }
  const { from, to, elementCount } = command;
  const copy = { copy: { input: 0 }, from: 0, to: 0, count: elementCount };
  return { name: 'assign', where: 'assign', plan: { steps: [copy] }, inputs: [from], output: to, made: [] };
}

/** See `Recording`. Holds its buffers until it is disposed of. */
export class GpuRecording implements Recording {
  readonly #context: RecordingContext;
  readonly #jobs: readonly Job[];
  readonly #watched: readonly Storage[];
  readonly #overwritten: readonly Storage[];
  readonly #outputs: readonly { readonly storage: Storage; readonly elementCount: number }[];
  readonly #owned: BufferBlock[] = [];
  #encoded: readonly Encoded[] | null = null;
  #results: readonly BufferBlock[] = [];

  constructor(trace: Trace, outputs: readonly Tensor[], context: RecordingContext) {
    const { programs, profile } = context;
    this.#context = context;
    this.#outputs = outputs.map((t) => ({
      storage: storageOf('capture', t),
      elementCount: sizeOf(t.shape),
    }));
    const commands = schedule(
      trace,
      this.#outputs.map(({ storage }) => storage),
      { describe: (call) => programs.describe(call), maxBuffers: profile.maxStorageBuffers },
    );
    this.#jobs = commands.map((command) => jobOf(command, profile));
    this.#overwritten = commands.flatMap((command) => (command.kind === 'copy' ? [command.to] : []));
    // What the step itself made, scalars and literals, has no other owner.
    this.#watched = [...trace.externals].filter(({ owners, pins }) => owners > pins);
  }

  isStale(): boolean {
    return this.#watched.some(({ owners, pins }) => owners === pins);
  }

  async prepare(): Promise<void> {
    const steps = this.#jobs.flatMap(({ plan }) => plan.steps);
    await this.#context.programs.compile(steps.filter((step): step is Dispatch => 'shader' in step));
  }

  replay(): Storage[] {
    const { queue, pool, checkUsable } = this.#context;
    checkUsable();
    this.#encoded ??= this.#bind();
    for (const command of this.#encoded) {
      if ('pipeline' in command) queue.dispatch(command);
      else if ('clear' in command) queue.clear(command.clear, command.clear.bytes);
      else {
        const { from, to, fromStart, toStart, count } = command;
        queue.copy(from.buffer, 4 * fromStart, to.buffer, 4 * toStart, 4 * count);
      }
    }
    // Remembered results of the old numbers are no longer true.
    for (const storage of this.#overwritten) storage.version++;
    return this.#outputs.map(({ elementCount }, i) => {
      const copy = pool.acquire(() => 'capture', elementCount);
      queue.copy(this.#results[i].buffer, 0, copy.buffer, 0, 4 * elementCount);
      return copy;
    });
  }

  /** Gives every result a buffer for as long as it is needed, and binds the kernels to them. */
  #bind(): Encoded[] {
    const { programs } = this.#context;
    const lastUse = this.#lastUses();
    const blocks = new Map<Storage, BufferBlock>();
    const free = new Map<number, BufferBlock[]>();
    const acquire = (name: string, elementCount: number): BufferBlock =>
      this.#acquire(name, elementCount, free);
    const giveBack = (block: BufferBlock): void => {
      free.set(block.bytes, [...(free.get(block.bytes) ?? []), block]);
    };
    const blockOf = (storage: Storage): BufferBlock =>
      storage instanceof TracedStorage ? (blocks.get(storage) as BufferBlock) : (storage as BufferBlock);
    const encoded = this.#jobs.flatMap(({ name, where, plan, inputs, output, made }, i): Encoded[] => {
      for (const storage of made) blocks.set(storage, acquire(where, storage.elementCount));
      const temps = (plan.temps ?? []).map((size) => acquire(where, size));
      const resolve = (operand: Operand): BufferBlock => {
        if (operand === 'output') return blockOf(output as Storage);
        return 'input' in operand ? blockOf(inputs[operand.input]) : temps[operand.temp];
      };
      const steps = programs.prepare(where, plan).steps.map((step): Encoded => {
        if ('clear' in step) return { clear: resolve(step.clear) };
        if ('copy' in step) {
          const { copy, from, to, count } = step;
          return { from: resolve(copy), to: resolve('output'), fromStart: from, toStart: to, count };
        }
        const { pipeline, workgroups } = step;
        const bound = step.operands.map(resolve);
        return { name, pipeline, bindGroup: programs.bind(step, bound), workgroups, blocks: bound };
      });
      for (const temp of temps) giveBack(temp);
      for (const storage of new Set([...inputs, ...made])) {
        const block = blocks.get(storage);
        if (block && lastUse.get(storage) === i) giveBack(block);
      }
      return steps;
    });
    this.#results = this.#outputs.map(({ storage }) => blockOf(storage));
    return encoded;
  }

  /** Number of the job after which a result is not needed any more. */
  #lastUses(): Map<Storage, number> {
    const last = new Map<Storage, number>();
    this.#jobs.forEach(({ inputs, output }, i) => {
      for (const storage of inputs) last.set(storage, i);
      if (output) last.set(output, i);
    });
    for (const { storage } of this.#outputs) last.set(storage, Number.POSITIVE_INFINITY);
    return last;
  }

  #acquire(where: string, elementCount: number, free: Map<number, BufferBlock[]>): BufferBlock {
    const { pool } = this.#context;
    const known = free.get(pool.bytesFor(elementCount))?.pop();
    if (known) return known;
    const block = pool.acquire(() => where, elementCount);
    this.#owned.push(block);
    return block;
  }

  dispose(): void {
    for (const block of this.#owned.splice(0)) this.#context.pool.release(block);
    this.#encoded = null;
  }
}
