// Records a step once and runs it again and again: without JavaScript's share of the work, and with fewer kernels.
import { assign, full } from './create.ts';
import { UsageError } from './errors.ts';
import { apply } from './op.ts';
import { reshapeOp } from './ops/broadcast.ts';
import { keep, refusePromise, scope, withRecording } from './scope.ts';
import { formatShape } from './shape.ts';
import { type Device, release, Tensor } from './tensor.ts';
import {
  type CompileOptions,
  isRecordingDevice,
  RECOMPUTES,
  type Recording,
  type RecordingDevice,
  Trace,
} from './trace.ts';

/** Tensors by name: what a captured step takes, and what it returns. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** A step that is recorded at its first call; see `capture`. */
export interface CapturedStep<Inputs extends NamedTensors, Outputs extends NamedTensors> {
  /** Runs the step. The outputs are new tensors without history that the caller releases, or the scope around the call. */
  (inputs: Inputs): Outputs;
  /**
   * Records the step for inputs of these shapes without running it: takes its buffers, and compiles its kernels side by side.
   * Rejects with OutOfMemoryError where it does not fit on the device, naming the op and what the step needs in all.
   */
  prepare(inputs: Inputs): Promise<void>;
  /** Gives back the buffers of all recordings. A call after this records anew. */
  dispose(): void;
}

/** One recording with the tensors that stand for its inputs. */
interface Entry<Inputs> {
  readonly trace: Trace;
  readonly recording: Recording;
  readonly slots: Inputs;
}

// A training loop has two shapes of batches, the last one being smaller. More variety is a leak.
const MAX_RECORDINGS = 8;

/**
 * A function that does what `step` does, from a recording of its first call. Elementwise ops that follow one another run
 * as one kernel, results that nobody needs are not computed, and buffers, kernels and bind groups are made once. The
 * numbers are those of the step uncaptured, to the bit.
 *
 * `step` is called once per set of input shapes, and on devices that cannot record, such as the CPU, at every call. So
 * whatever may change from call to call must be a tensor: an input, or a tensor from outside that is overwritten by
 * `assign`. In the step reading back and making tensors of new numbers is refused with a UsageError. What the step
 * overwrites (parameters, running statistics) it overwrites at every call. No tensor may leave it but as an output.
 *
 * With `recompute` a recording keeps less from where it is made to where it is needed, and computes it again there: more
 * work in less memory, with the same bits. A step that is a part of another does as that one does.
 */
export function capture<Inputs extends NamedTensors, Outputs extends NamedTensors>(
  device: Device,
  step: (inputs: Inputs) => Outputs,
  options: CompileOptions = {},
): CapturedStep<Inputs, Outputs> {
  const { recompute = 'none' } = options;
  if (!RECOMPUTES.includes(recompute)) {
    throw new UsageError(`capture: recompute is '${recompute}'; use ${RECOMPUTES.join(', ')}`);
  }
  const entries = new Map<string, Entry<Inputs>>();

  const drop = (key: string, { trace, recording, slots }: Entry<Inputs>): void => {
    entries.delete(key);
    recording.dispose();
    trace.release(device);
    for (const slot of Object.values(slots)) release(slot);
  };

  const entryFor = (recorder: RecordingDevice, inputs: Inputs): Entry<Inputs> => {
    checkInputs(device, inputs);
    const key = JSON.stringify(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
    const known = entries.get(key);
    if (known && !known.recording.isStale()) {
      // The last to go: entries are in the order of their last call.
      entries.delete(key);
      entries.set(key, known);
      return known;
    }
    if (known) drop(key, known);
    for (const [oldest, entry] of entries) {
      if (entries.size < MAX_RECORDINGS) break;
      drop(oldest, entry);
    }
    const fresh = record(recorder, step, inputs, options);
    entries.set(key, fresh);
    return fresh;
  };

  const run = (inputs: Inputs): Outputs => {
    // A part of the step around: with its history, and with what that history needs.
    if (device.recorder.trace) return changed(runStep(device, step, inputs), viewOf);
    if (!isRecordingDevice(device)) {
      return scope(device, () => changed(runStep(device, step, inputs), copyOf));
    }
    const { trace, recording, slots } = entryFor(device, inputs);
    for (const [name, slot] of Object.entries(slots)) assign(slot, inputs[name]);
    const storages = recording.replay();
    const outputs = trace.outputs.map(({ name, shape }, i) => [
      name,
      new Tensor(device, shape, storages[i], null),
    ]);
    return Object.fromEntries(outputs) as Outputs;
  };

  return Object.assign(run, {
    async prepare(inputs: Inputs): Promise<void> {
      // Inside of another captured step it will be a part of that one.
      if (device.recorder.trace || !isRecordingDevice(device)) return;
      await entryFor(device, inputs).recording.prepare();
    },
    dispose(): void {
      for (const [key, entry] of [...entries]) drop(key, entry);
    },
  });
}

function checkInputs(device: Device, inputs: NamedTensors): void {
  if (inputs === null || typeof inputs !== 'object') {
    throw new UsageError(`capture: the step was called with ${inputs}; pass an object of tensors, { x }`);
  }
  for (const [name, t] of Object.entries(inputs)) {
    if (!(t instanceof Tensor) || t.isReleased || t.device !== device) {
      throw new UsageError(
        `capture: input '${name}' is ${describe(t)}; pass live tensors of ${device.description}`,
      );
    }
  }
}

/** The outputs of the step itself. Throws UsageError for those that are none, and where it overwrites an input. */
function runStep<Inputs extends NamedTensors, Outputs extends NamedTensors>(
  device: Device,
  step: (inputs: Inputs) => Outputs,
  inputs: Inputs,
): Outputs {
  const before = Object.values(inputs).map(({ storage }) => storage?.version);
  const outputs = withRecording(device, () => step(inputs));
  checkOutputs(device, outputs);
  for (const [i, [name, { storage }]] of Object.entries(inputs).entries()) {
    // A recording has copies of its inputs: nobody would see the new numbers.
    if (storage && storage.version !== before[i]) {
      throw new UsageError(
        `capture: the step overwrites its input '${name}'; return the new numbers, or use the tensor from outside of the step`,
      );
    }
  }
  return outputs;
}

function checkOutputs(device: Device, outputs: NamedTensors): void {
  const advice = 'return an object of tensors, { loss }, and read them after the step';
  refusePromise(outputs, 'capture: the step', advice);
  if (outputs === null || typeof outputs !== 'object') {
    throw new UsageError(`capture: the step returned ${outputs}; return an object of tensors, { loss }`);
  }
  for (const [name, t] of Object.entries(outputs)) {
    if (!(t instanceof Tensor) || t.device !== device) {
      throw new UsageError(
        `capture: output '${name}' is ${describe(t)}; return an object of tensors on ${device.description}, { loss }`,
      );
    }
  }
}

const describe = (t: unknown): string => (t instanceof Tensor ? `the ${t}` : 'no tensor');

/** Other tensors under the same names. */
function changed<Outputs extends NamedTensors>(outputs: Outputs, change: (t: Tensor) => Tensor): Outputs {
  return Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, change(t)])) as Outputs;
}

const viewOf = (t: Tensor): Tensor => apply(reshapeOp, [t], { shape: t.shape });

function copyOf(t: Tensor): Tensor {
  const copy = full(t.device, t.shape, 0);
  assign(copy, t);
  return copy;
}

/** Runs the step on tensors that stand for its inputs, with a trace in place of the device. */
function record<Inputs extends NamedTensors, Outputs extends NamedTensors>(
  device: RecordingDevice,
  step: (inputs: Inputs) => Outputs,
  inputs: Inputs,
  options: CompileOptions,
): Entry<Inputs> {
  const { recorder } = device;
  // All or none: a scope gives the first ones back where there is no memory for a later one.
  const slots = scope(device, () => changed(inputs, ({ shape }) => full(device, shape, 0)));
  for (const slot of Object.values(slots)) keep(slot);
  const trace = new Trace(recorder.nextId++);
  recorder.trace = trace;
  try {
    scope(device, () => {
      const outputs = runStep(device, step, slots);
      for (const [name, t] of Object.entries(outputs)) trace.output(name, t);
    });
    checkNothingEscaped(trace);
    return { trace, recording: device.compile(trace, options), slots };
  } catch (error) {
    trace.release(device);
    for (const slot of Object.values(slots)) release(slot);
    throw error;
  } finally {
    recorder.trace = null;
  }
}

/** A tensor that lives on would show the numbers of a run that never was. */
function checkNothingEscaped({ entries, outputs }: Trace): void {
  const returned = new Set(outputs.map(({ storage }) => storage));
  for (const entry of entries) {
    if ('op' in entry && entry.output.owners > 0 && !returned.has(entry.output)) {
      throw new UsageError(
        `capture: the step keeps the result ${formatShape(entry.shape)} of op '${entry.op.name}'; return it, or make it before the step and assign() to it`,
      );
    }
  }
}
