// A captured step on WebGPU: buffers, pipelines and bind groups are made once, and a replay only encodes.
import { boundStep, type StepContext } from './bound-step.ts';
import type { BufferBlock, BufferPool } from './buffer-pool.ts';
import type { CommandQueue, QueueCommand, Room } from './command-queue.ts';
import type { AdapterProfile, Dispatch, KernelPlan, Operand } from './dispatch.ts';
import { fusedDispatch } from './map-kernel.ts';
import { type Lifetime, planMemory } from './memory-plan.ts';
import { describeCall, type OpCall, type ProgramCache } from './program.ts';
import { type Command, schedule } from './schedule.ts';
import { formatShape, sizeOf } from './shape.ts';
import type { Storage } from './tensor.ts';
import {
  type CompileOptions,
  type Recording,
  type Trace,
  type TracedOutput,
  TracedStorage,
} from './trace.ts';

/** The parts of a device that a recording uses. */
export interface RecordingContext {
  readonly programs: ProgramCache;
  readonly pool: BufferPool;
  readonly queue: CommandQueue;
  readonly profile: AdapterProfile;
  /** Throws DeviceError when the device is closed or lost. */
  readonly checkUsable: () => void;
  /** What becomes of work that is under way; rejects with DeviceError when the device is lost meanwhile. */
  readonly outcomeOf: <T>(work: Promise<T>) => Promise<T>;
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

function jobOf(command: Command, profile: AdapterProfile): Job {
  if (command.kind === 'op') {
    const { call, plan, inputs, output } = command;
    return { name: call.op.name, where: describeCall(call), plan, inputs, output, made: [output] };
  }
  if (command.kind === 'map') {
    const { name, map, entries, inputs, outputs } = command;
    const where = `${name} -> ${formatShape(entries[entries.length - 1].shape)}`;
    const plan = { steps: [fusedDispatch(map, profile)] };
    return { name, where, plan, inputs: [...inputs, ...outputs], output: null, made: outputs };
  }
  const { from, to, elementCount } = command;
  const copy = { copy: { input: 0 }, from: 0, to: 0, count: elementCount };
  return { name: 'assign', where: 'assign', plan: { steps: [copy] }, inputs: [from], output: to, made: [] };
}

/** Where the results and the temporary buffers of a step lie. */
interface Rooms {
  readonly blockOf: (storage: Storage) => Room;
  readonly tempsOf: ReadonlyMap<Job, readonly Room[]>;
}

/** See `Recording`. Holds its buffers from when it is prepared, or first run, until it is disposed of. */
export class GpuRecording implements Recording {
  readonly #context: RecordingContext;
  readonly #jobs: readonly Job[];
  readonly #watched: readonly Storage[];
  readonly #overwritten: readonly Storage[];
  readonly #outputs: readonly TracedOutput[];
  readonly #owned: BufferBlock[] = [];
  #rooms: Rooms | null = null;
  #encoded: readonly QueueCommand[] | null = null;
  #results: readonly BufferBlock[] = [];
  #isDisposed = false;

  constructor(trace: Trace, context: RecordingContext, { recompute }: CompileOptions) {
    const { programs, profile } = context;
    this.#context = context;
    this.#outputs = trace.outputs;
    const describe = (call: OpCall) => programs.describe(call);
    const commands = schedule(trace, { describe, maxBuffers: profile.maxStorageBuffers, recompute });
    this.#jobs = commands.map((command) => jobOf(command, profile));
    this.#overwritten = commands.flatMap((command) => (command.kind === 'copy' ? [command.to] : []));
    // What the step itself made, scalars and literals, has no other owner.
    this.#watched = [...trace.externals].filter(({ owners, pins }) => owners > pins);
  }

  isStale(): boolean {
    return this.#watched.some(({ owners, pins }) => owners === pins);
  }

  async prepare(): Promise<void> {
    const { programs, checkUsable, outcomeOf } = this.#context;
    checkUsable();
    const steps = this.#jobs.flatMap(({ plan }) => plan.steps);
    const dispatches = steps.filter((step): step is Dispatch => 'shader' in step);
    try {
      // Before anything is compiled: what does not fit says so at once, and the driver looks for memory meanwhile.
      this.#rooms ??= this.#allocate();
      await outcomeOf(programs.compile(dispatches));
    } catch (error) {
      this.#giveBack();
      throw error;
    }
    if (!this.#isDisposed) this.#commands();
  }

  replay(): Storage[] {
    const { queue, pool, checkUsable } = this.#context;
    checkUsable();
    for (const command of this.#commands()) queue.encode(command);
    // Remembered results of the old numbers are no longer true.
    for (const storage of this.#overwritten) storage.version++;
    return this.#outputs.map(({ shape }, i) => {
      const elementCount = sizeOf(shape);
      const copy = pool.acquire(() => 'capture', elementCount);
      queue.copy(this.#results[i].buffer, 0, copy.buffer, 0, 4 * elementCount);
      return copy;
    });
  }

  /** What a replay encodes. Throws what the plans of its ops throw, and OutOfMemoryError; then all buffers go back. */
  #commands(): readonly QueueCommand[] {
    try {
      this.#rooms ??= this.#allocate();
      this.#encoded ??= this.#bind(this.#rooms);
      return this.#encoded;
    } catch (error) {
      this.#giveBack();
      throw error;
    }
  }

  #giveBack(): void {
    for (const block of this.#owned.splice(0)) this.#context.pool.release(block);
    this.#rooms = null;
    this.#encoded = null;
  }

  /** Binds the kernels to their buffers. */
  #bind({ blockOf, tempsOf }: Rooms): QueueCommand[] {
    const { programs } = this.#context;
    const encoded = this.#jobs.flatMap((job) => {
      const { name, where, plan, inputs, output } = job;
      const temps = tempsOf.get(job) ?? [];
      const resolve = (operand: Operand): Room => {
        if (operand === 'output') return blockOf(output as Storage);
        return 'input' in operand ? blockOf(inputs[operand.input]) : temps[operand.temp];
      };
      const bind: StepContext['bind'] = (dispatch, blocks) => programs.bind(dispatch, blocks);
      return programs.prepare(where, plan).steps.map((step) => boundStep(step, { name, resolve, bind }));
    });
    this.#results = this.#outputs.map(({ storage }) => blockOf(storage).block);
    return encoded;
  }

  /** Buffers for all results and temporary buffers of the step, shared where their lives allow it. Throws OutOfMemoryError. */
  #allocate(): Rooms {
    const { pool } = this.#context;
    const requests: (Lifetime & { readonly where: string })[] = [];
    const request = (where: string, elementCount: number, first: number, last: number): number =>
      requests.push({ where, size: pool.bytesFor(elementCount), first, last }) - 1;
    const lastUse = this.#lastUses();
    const results = new Map<Storage, number>();
    const temps = this.#jobs.map(({ where, plan, made }, i) => {
      for (const storage of made) {
        results.set(storage, request(where, storage.elementCount, i, lastUse.get(storage) ?? i));
      }
      return (plan.temps ?? []).map((size) => request(where, size, i, i));
    });
    const { sizes, bufferOf, largest } = planMemory(requests);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const blocks = sizes.map((size, buffer) => {
      const { where } = requests[largest[buffer]];
      const block = pool.acquire(() => `${where} of a step that needs ${total} bytes`, size / 4);
      this.#owned.push(block);
      return block;
    });
    const room = (i: number): Room => ({ block: blocks[bufferOf[i]], byteCount: requests[i].size });
    const blockOf = (storage: Storage): Room => {
      if (storage instanceof TracedStorage) return room(results.get(storage) as number);
      const block = storage as BufferBlock;
      return { block, byteCount: block.bytes };
    };
    const tempsOf = new Map(this.#jobs.map((job, i) => [job, temps[i].map(room)]));
    return { blockOf, tempsOf };
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

  dispose(): void {
    this.#isDisposed = true;
    this.#giveBack();
  }
}
