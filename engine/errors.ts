// One class per cause, so that callers can tell a wrong shape from a lost device without reading the message.

/** Base of every error this library throws on purpose. Message form: `<where>: <what is wrong>; <what to do>`. */
export class IsnetError extends Error {
  override name = 'IsnetError';
}

/** Tensor shapes (or axes, indices, attributes of an op) do not fit together. */
export class ShapeError extends IsnetError {
  override name = 'ShapeError';
}

/** No adapter, a lost device, a validation error of the driver, or too little device memory. */
export class DeviceError extends IsnetError {
  override name = 'DeviceError';
}

/** What a DeviceError is when a tensor is too large for the adapter, or the device has no memory left. */
export class OutOfMemoryError extends DeviceError {
  override name = 'OutOfMemoryError';
}

/** The library was called in a way that can never work: a missing rule, a released tensor, an unknown option. */
export class UsageError extends IsnetError {
  override name = 'UsageError';
}

/** A weights file is damaged, or does not match the model. */
export class CheckpointError extends IsnetError {
  override name = 'CheckpointError';
}

/** Images, labels or masks are missing, damaged or inconsistent. */
export class DataError extends IsnetError {
  override name = 'DataError';
}

/** Training cannot go on: a NaN or infinite loss, with the step at which it appeared. */
export class TrainingError extends IsnetError {
  override name = 'TrainingError';
}
