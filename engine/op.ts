// Declaring and applying ops. An op is declared once; meaning, kernel and slope stand side by side.
import { UsageError } from './errors.ts';
import { type Device, type Op, storageOf, Tensor } from './tensor.ts';

/**
 * Declares an op. Nothing but a type check: the tests walk `engine/ops/index.ts` and check gradient, gradient of
 * gradient and GPU against reference for every op listed there.
 */
export function defineOp<Attrs>(op: Op<Attrs>): Op<Attrs> {
  return op;
}

/** Attributes as a text that tells them apart, which JSON alone does not: it writes NaN and both infinities as null. */
export function attrsKey(attrs: unknown): string {
  const key = JSON.stringify(attrs);
  // Only then: a replacer is called for every value.
  if (!key.includes('null')) return key;
  return JSON.stringify(attrs, (_, value) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );
}

/** The device that all inputs share; a meta tensor among them makes the result a meta tensor. Throws UsageError on other things. */
function commonDevice(op: string, inputs: readonly Tensor[]): Device {
  for (const input of inputs) {
    if (!(input instanceof Tensor)) throw new UsageError(`${op}: ${input} is no tensor; pass live tensors`);
  }
  let device = inputs[0].device;
  for (const { device: other } of inputs) {
    if (other === device) continue;
    if (other.kind === 'meta') device = other;
    else if (device.kind !== 'meta') {
      throw new UsageError(
        `${op}: inputs are on ${device.description} and ${other.description}; move them to one device`,
      );
    }
  }
  return device;
}

/** Runs `op` on its inputs and records how the result came about. Throws ShapeError on inputs that do not fit. */
export function apply<Attrs>(op: Op<Attrs>, inputs: readonly Tensor[], attrs: Attrs): Tensor {
  const device = commonDevice(op.name, inputs);
  const shape = op.shape(
    inputs.map((t) => t.shape),
    attrs,
  );
  const storages = inputs.map((t) => storageOf(op.name, t));
  const erased = op as Op<unknown>;
  const origin = { op: erased, inputs, attrs };
  const sink = device.recorder.trace ?? device;
  // Meta tensors cost nothing to make again, and each device of theirs numbers them anew: their ids name nothing here.
  if (!op.isMemoized || !device.recorder.isRecording || device.kind === 'meta') {
    const storage = sink.run(erased, inputs, attrs, shape);
    return new Tensor(device, shape, storage, device.recorder.isRecording ? origin : null);
  }
  // A captured step must compute again what was computed outside of it, or a replay would not.
  const place = device.recorder.trace?.id ?? '';
  const key = `${place}${op.name} ${attrsKey(attrs)} ${inputs.map((t, i) => `${t.id}.${storages[i].version}`).join()}`;
  inputs[0].memo ??= new Map();
  const { memo } = inputs[0];
  const remembered = memo.get(key);
  if (remembered?.storage && remembered.origin?.op === erased) return remembered;
  const result = new Tensor(device, shape, sink.run(erased, inputs, attrs, shape), origin);
  // An input that outlives its step would otherwise hold the graphs of all steps before.
  for (const [old, { isReleased }] of memo) if (isReleased) memo.delete(old);
  memo.set(key, result);
  return result;
}
