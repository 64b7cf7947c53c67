// Making tensors from numbers, and getting numbers back.
import { ShapeError, UsageError } from './errors.ts';
import { checkShape, formatShape, isSameShape, type Shape, sizeOf } from './shape.ts';
import { type Device, storageOf, Tensor } from './tensor.ts';

// Beyond this many distinct scalars the cache would be a leak: further ones live in the current scope.
const CONSTANT_LIMIT = 512;

/**
 * A tensor [shape] holding `values`, row-major. Throws ShapeError when their number does not fit the shape, and UsageError
 * in a captured step, which would see these numbers for ever.
 */
export function tensor(device: Device, values: ArrayLike<number>, shape: Shape): Tensor {
  if (device.recorder.trace) {
    throw new UsageError(
      `tensor: the new numbers ${formatShape(shape)} would be the same in every run of the captured step; pass them as an input of the step, or use literal() if they never change`,
    );
  }
  return literal(device, values, shape);
}

/** As `tensor`, for numbers that never change: they may be made in a captured step, which keeps them. */
export function literal(device: Device, values: ArrayLike<number>, shape: Shape): Tensor {
  checkShape('tensor', shape);
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError(
      `tensor: ${values.length} values do not fill ${formatShape(shape)}; give ${sizeOf(shape)} or change the shape`,
    );
  }
  return new Tensor(device, shape, device.upload(values, shape), null);
}

/** A scalar [] that is made once per device and value; for a meta device on the device that it stands in for. */
export function constant(device: Device, value: number): Tensor {
  if (device.home) return constant(device.home, value);
  const known = device.constants.get(value);
  if (known && !known.isReleased) return known;
  const t = literal(device, [value], []);
  if (device.constants.size < CONSTANT_LIMIT) {
    for (const frame of device.recorder.frames) frame.delete(t);
    device.constants.set(value, t);
  }
  return t;
}

/** A tensor [shape] filled with one number. Throws ShapeError when the shape is none. */
export function full(device: Device, shape: Shape, value: number): Tensor {
  checkShape('full', shape);
  return literal(device, new Float64Array(sizeOf(shape)).fill(value), shape);
}

/** The same numbers without their history: gradients stop here. */
export function detach(t: Tensor): Tensor {
  return new Tensor(t.device, t.shape, storageOf('detach', t), null);
}

/** Overwrites `target` with the numbers of `source`, in queue order. Throws ShapeError or UsageError if they do not fit. */
export function assign(target: Tensor, source: Tensor): void {
  if (!isSameShape(target.shape, source.shape)) {
    throw new ShapeError(
      `assign: target is ${formatShape(target.shape)} and source ${formatShape(source.shape)}; they must be equal`,
    );
  }
  if (target.device !== source.device) {
    throw new UsageError('assign: target and source are on different devices; upload the values instead');
  }
  const { device } = target;
  (device.recorder.trace ?? device).copy(source, target);
  storageOf('assign', target).version++;
}

/** Numbers of a tensor, row-major. Waits for the device; rejects with DeviceError when it is lost. */
export async function read(t: Tensor): Promise<Float64Array | Float32Array> {
  return (await readAll([t]))[0];
}

/** Numbers of several tensors of one device in one round trip. Throws UsageError when they are on two. */
export async function readAll(tensors: readonly Tensor[]): Promise<(Float64Array | Float32Array)[]> {
  if (tensors.length === 0) return [];
  const { device } = tensors[0];
  if (device.recorder.trace) {
    throw new UsageError(
      'read: a captured step has no numbers while it is recorded; return the tensor and read it after the step',
    );
  }
  for (const t of tensors) {
    storageOf('read', t);
    if (t.device !== device) {
      throw new UsageError(
        `read: tensors are on ${device.description} and ${t.device.description}; read each device's on their own`,
      );
    }
  }
  return device.read(tensors);
}

/** The one number of a tensor with a single element. Throws ShapeError when it has another number of them. */
export async function readScalar(t: Tensor): Promise<number> {
  if (sizeOf(t.shape) !== 1) {
    throw new ShapeError(`readScalar: the tensor is ${formatShape(t.shape)}; it must have one element`);
  }
  return (await read(t))[0];
}
