// What a captured step does, written down without doing it: its ops in order, over storages that hold no numbers yet.
import { UsageError } from './errors.ts';
import { type Shape, sizeOf } from './shape.ts';
import { type Device, type Op, type OpSink, type Storage, storageOf, type Tensor } from './tensor.ts';

/** The place of a result in a trace. It belongs to no device: a recording gives it a buffer, or fuses it away. */
export class TracedStorage implements Storage {
  owners = 0;
  pins = 0;
  version = 0;
  readonly elementCount: number;
  readonly trace: Trace;

  constructor(elementCount: number, trace: Trace) {
    this.elementCount = elementCount;
    this.trace = trace;
  }
}

/** An op of a trace. Views are none: they share the storage of what they view. */
export interface TracedOp {
  readonly op: Op<unknown>;
  readonly attrs: unknown;
  readonly inputs: readonly Storage[];
  readonly inputShapes: readonly Shape[];
  readonly shape: Shape;
  readonly output: TracedStorage;
}

/** An `assign` of a trace. */
export interface TracedCopy {
  readonly from: Storage;
  readonly to: Storage;
  readonly elementCount: number;
}

/** What the step returns under a name. */
export interface TracedOutput {
  readonly name: string;
  readonly storage: Storage;
  readonly shape: Shape;
}

/** The error of a tensor that a captured step has made and not returned. */
export const strayTensor = (where: string, t: Tensor): UsageError =>
  new UsageError(
    `${where}: the ${t} belongs to a captured step and has no numbers outside of it; return it from the step`,
  );

/** What a trace is made of. */
export type TraceEntry = TracedOp | TracedCopy;

export const isCopy = (entry: TraceEntry): entry is TracedCopy => 'to' in entry;

/** Takes note of the ops of one step; see `Recorder.trace`. */
export class Trace implements OpSink {
  /** Tells this trace from others of its device. */
  readonly id: number;
  readonly entries: TraceEntry[] = [];
  readonly outputs: TracedOutput[] = [];
  /** What the step reads, overwrites or returns but did not make: parameters, inputs, constants. The trace owns it too. */
  readonly externals = new Set<Storage>();

  constructor(id: number) {
    this.id = id;
  }

  run(op: Op<unknown>, inputs: readonly Tensor[], attrs: unknown, shape: Shape): Storage {
    const storages = inputs.map((t) => this.#note(op.name, t));
    if (op.isView) return storages[0];
    const output = new TracedStorage(sizeOf(shape), this);
    const inputShapes = inputs.map((t) => t.shape);
    this.entries.push({ op, attrs, inputs: storages, inputShapes, shape, output });
    return output;
  }

  copy(source: Tensor, target: Tensor): void {
    const [from, to] = [this.#note('assign', source), this.#note('assign', target)];
    // One storage under two tensors, as after a reshape: there is nothing to do.
    if (from !== to) this.entries.push({ from, to, elementCount: sizeOf(target.shape) });
  }

  /** The step returns `t`. */
  output(name: string, t: Tensor): void {
    this.outputs.push({ name, storage: this.#note('capture', t), shape: t.shape });
  }

  #note(where: string, t: Tensor): Storage {
    const storage = storageOf(where, t);
    if (storage instanceof TracedStorage) {
      if (storage.trace !== this) throw strayTensor(where, t);
      return storage;
    }
    if (this.externals.has(storage)) return storage;
    this.externals.add(storage);
    // At once: a literal of the step has no other owner when the step is over.
    storage.owners++;
    storage.pins++;
    return storage;
  }

  /** Gives up what the step took from outside. */
  release(device: Device): void {
    for (const storage of this.externals) {
      storage.pins--;
      storage.owners--;
      if (storage.owners === 0) device.release(storage);
    }
    this.externals.clear();
  }
}

/** A step made ready to run again and again. */
export interface Recording {
  /** Whether somebody else gave up a tensor that the step took from outside: the step means another one by now. */
  isStale(): boolean;
  /**
   * Takes the buffers and compiles the kernels in parallel; without it the first `replay` does, one after another. Rejects
   * with OutOfMemoryError where there is no room for the step, and with what the plans of its ops throw.
   */
  prepare(): Promise<void>;
  /** Encodes the step once more. The outputs of its trace are copied to these storages, in their order. */
  replay(): Storage[];
  dispose(): void;
}

/** A device that can do more with a traced step than run it anew. */
export interface RecordingDevice extends Device {
  compile(trace: Trace, options?: CompileOptions): Recording;
}

/** The values of `Recompute`. */
export const RECOMPUTES = ['none', 'cheap', 'all'] as const;

/**
 * What may be computed again: nothing; all but products of matrices and convolutions, whose results stay; or these too.
 */
export type Recompute = (typeof RECOMPUTES)[number];

export interface CompileOptions {
  /** What may be computed again to save memory; see `Recompute`. Default 'none'. */
  readonly recompute?: Recompute;
}

/** Whether a device records steps. The CPU reference does not: there is nothing to gain. */
export const isRecordingDevice = (device: Device): device is RecordingDevice => 'compile' in device;
