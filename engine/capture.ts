// Records a step once and runs it again and again: without JavaScript's share of the work, and with fewer kernels.
import { assign } from './create.ts';
import { UsageError } from './errors.ts';
import { keep, scope } from './scope.ts';
import { formatShape, type Shape, sizeOf } from './shape.ts';
import { type Device, release, Tensor } from './tensor.ts';
import { isRecordingDevice, type Recording, type RecordingDevice, Trace } from './trace.ts';

/** Tensors by name: what a captured step takes, and what it returns. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** A step that is recorded at its first call; see `capture`. */
export interface CapturedStep<Inputs extends NamedTensors, Outputs extends NamedTensors> {
  /** Runs the step. The outputs are new tensors that the caller releases, or the scope around the call. */
  (inputs: Inputs): Outputs;
  /** Records the step for inputs of these shapes without running it, and compiles its kernels side by side. */
  prepare(inputs: Inputs): Promise<void>;
  /** Gives back the buffers of all recordings. A call after this records anew. */
  dispose(): void;
}

/** One recording with the tensors that stand for its inputs and the shapes of what it returns. */
interface Entry<Inputs> {
  readonly trace: Trace;
  readonly recording: Recording;
  readonly slots: Inputs;
  readonly outputShapes: ReadonlyMap<string, Shape>;
}

// A training loop has two shapes of batches, the last one being smaller. More variety is a leak.
const MAX_RECORDINGS = 8;

/**
 * A function that does what `step` does, from a recording of its first call. Elementwise ops that follow one another run
 * as one kernel, results that nobody needs are not computed, and buffers, kernels and bind groups are made once.
 *
 * `step` is called once per set of input shapes, and on devices that cannot record, such as the CPU, at every call. So
 * whatever may change from call to call must be a tensor: an input, or a tensor from outside that is overwritten by
 * `assign`. In the step reading back and making tensors of new numbers is refused with a UsageError. What the step
 * overwrites (parameters, running statistics) it overwrites at every call. No tensor may leave it but as an output.
 */
export function capture<Inputs extends NamedTensors, Outputs extends NamedTensors>(
  device: Device,
  step: (inputs: Inputs) => Outputs,
): CapturedStep<Inputs, Outputs> {
  const entries = new Map<string, Entry<Inputs>>();

  const drop = (key: string, { trace, recording, slots }: Entry<Inputs>): void => {
    entries.delete(key);
    recording.dispose();
    trace.release(device);
    for (const slot of Object.values(slots)) release(slot);
  };

  const entryFor = (recorder: RecordingDevice, inputs: Inputs): Entry<Inputs> => {
    checkInputs(device, inputs);
    const key = Object.entries(inputs)
      .map(([name, t]) => name + formatShape(t.shape))
      .join();
    const known = entries.get(key);
    if (known && !known.recording.isStale()) return known;
    if (known) drop(key, known);
    for (const [oldest, entry] of entries) {
      if (entries.size < MAX_RECORDINGS) break;
      drop(oldest, entry);
    }
    const fresh = record(recorder, step, inputs);
    entries.set(key, fresh);
    return fresh;
  };

  const run = (inputs: Inputs): Outputs => {
    if (device.recorder.trace) return step(inputs);
    if (!isRecordingDevice(device)) return scope(device, () => step(inputs));
    const { recording, slots, outputShapes } = entryFor(device, inputs);
    for (const [name, slot] of Object.entries(slots)) assign(slot, inputs[name]);
    const storages = recording.replay();
    const outputs = [...outputShapes].map(([name, shape], i) => [
      name,
      new Tensor(device, shape, storages[i], null),
    ]);
    return Object.fromEntries(outputs) as Outputs;
  };

  return Object.assign(run, {
    async prepare(inputs: Inputs): Promise<void> {
      if (isRecordingDevice(device)) await entryFor(device, inputs).recording.prepare();
    },
    dispose(): void {
      for (const [key, entry] of [...entries]) drop(key, entry);
    },
  });
}

function checkInputs(device: Device, inputs: NamedTensors): void {
  for (const [name, t] of Object.entries(inputs)) {
    if (!(t instanceof Tensor) || t.isReleased || t.device !== device) {
      throw new UsageError(
        `capture: input '${name}' is ${t instanceof Tensor ? `the ${t}` : 'no tensor'}; pass live tensors of ${device.description}`,
      );
    }
  }
}

/** Runs the step on tensors that stand for its inputs, with a trace in place of the device. */
function record<Inputs extends NamedTensors, Outputs extends NamedTensors>(
  device: RecordingDevice,
  step: (inputs: Inputs) => Outputs,
  inputs: Inputs,
): Entry<Inputs> {
  const { recorder } = device;
  const slots = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }]) => {
      const storage = device.upload(new Float32Array(sizeOf(shape)), shape);
      return [name, keep(new Tensor(device, shape, storage, null))];
    }),
  ) as Inputs;
  const trace = new Trace(recorder.nextId++);
  recorder.trace = trace;
  try {
    return scope(device, () => {
      const outputs = scope(device, () => step(slots));
      const outputShapes = checkOutputs(outputs);
      checkNothingEscaped(trace, outputs);
      return { trace, recording: device.compile(trace, Object.values(outputs)), slots, outputShapes };
    });
  } catch (error) {
    trace.release(device);
    for (const slot of Object.values(slots)) release(slot);
    throw error;
  } finally {
    recorder.trace = null;
  }
}

function checkOutputs(outputs: NamedTensors): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const [name, t] of Object.entries(outputs)) {
    if (!(t instanceof Tensor)) {
      throw new UsageError(`capture: output '${name}' is no tensor; return an object of tensors, { loss }`);
    }
    shapes.set(name, t.shape);
  }
  return shapes;
}

/** A tensor that lives on would show the numbers of a run that never was. */
function checkNothingEscaped({ entries }: Trace, outputs: NamedTensors): void {
  const returned = new Set(Object.values(outputs).map((t) => t.storage));
  for (const entry of entries) {
    if ('op' in entry && entry.output.owners > 0 && !returned.has(entry.output)) {
      throw new UsageError(
        `capture: the step keeps the result ${formatShape(entry.shape)} of op '${entry.op.name}'; return it, or make it before the step and assign() to it`,
      );
    }
  }
}
