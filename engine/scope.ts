// Who frees what. A scope releases every tensor made in it that is neither returned nor kept; no counting in user code.
import { UsageError } from './errors.ts';
import { type Device, type Recorder, release, Tensor } from './tensor.ts';

/** Anything that may hold tensors: a tensor, or arrays, maps and plain objects of such. */
function collectTensors(value: unknown, into: Set<Tensor>): Set<Tensor> {
  if (value instanceof Tensor) into.add(value);
  else if (Array.isArray(value)) for (const item of value) collectTensors(item, into);
  else if (value instanceof Map) for (const item of value.values()) collectTensors(item, into);
  else if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) collectTensors(item, into);
  }
  return into;
}

/**
 * Runs `fn` and releases the tensors it made, except those it returns (they move to the enclosing scope) or keeps.
 * `fn` must be synchronous: throws UsageError when it returns a promise.
 */
export function scope<T>(device: Device, fn: () => T): T {
  const { recorder } = device;
  const frame = new Set<Tensor>();
  recorder.frames.push(frame);
  let survivors = new Set<Tensor>();
  try {
    const result = fn();
    refusePromise(result, 'scope: the function', 'return tensors, and read them after the scope');
    survivors = collectTensors(result, survivors);
    return result;
  } finally {
    recorder.frames.pop();
    const outer = recorder.frames.at(-1);
    for (const t of frame) {
      if (!survivors.has(t)) release(t);
      else if (outer) outer.add(t);
      // The outermost scope ends a step: its results forget their history, or every step would hold the one before.
      else forget(t);
    }
  }
}

/** Takes a tensor out of all open scopes: it lives until `release(t)`. Returns it. */
export function keep(t: Tensor): Tensor {
  for (const frame of t.device.recorder.frames) frame.delete(t);
  forget(t);
  return t;
}

function forget(t: Tensor): void {
  t.origin = null;
  t.call = null;
  t.memo = null;
}

/** Runs `fn` with recording switched off: its results have no slope, and hold no memory for one. */
export const withoutRecording = <T>(device: Device, fn: () => T): T => recordingIs(false, device, fn);

/** Runs `fn` with recording switched on, wherever it is called from. */
export const withRecording = <T>(device: Device, fn: () => T): T => recordingIs(true, device, fn);

function recordingIs<T>(isRecording: boolean, { recorder }: Device, fn: () => T): T {
  const before = recorder.isRecording;
  recorder.isRecording = isRecording;
  try {
    return fn();
  } finally {
    recorder.isRecording = before;
  }
}

/** A fresh recorder: recording, no open scope. */
export function createRecorder(): Recorder {
  return { isRecording: true, frames: [], nextId: 0, liveCount: 0, trace: null };
}

/** Throws UsageError if what `who` returned is a promise: nobody would wait for it. */
export function refusePromise(result: unknown, who: string, advice: string): void {
  if (!(result instanceof Promise)) return;
  // Refused here, it has nobody left to tell: an unhandled rejection would end the process.
  result.catch(() => {});
  throw new UsageError(
    `${who} returned a promise, as one does that reads back or branches on values; ${advice}`,
  );
}
