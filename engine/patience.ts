// Waiting for the GPU without working against it: dawn.node asks in a busy loop whether a promise is settled, and on
// a software adapter that loop takes a core from the very threads that do the work.

/**
 * Waits for a promise of WebGPU and gives its outcome. In Node the thread sleeps between turns of the event loop, a
 * tenth of the time waited so far and at most 1 ms: so a wait ends at most a tenth late, a short one hardly at all,
 * and timers and sockets are served every millisecond. In browsers it is the promise itself.
 */
export async function waitPolitely<T>(promise: Promise<T>): Promise<T> {
  if (!isNode()) return promise;
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  // Nobody ever notifies this cell: waiting on it is the one way to sleep that does not turn the event loop.
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const startMs = performance.now();
  await nextTurn();
  while (!isSettled) {
    const waitedMs = performance.now() - startMs;
    Atomics.wait(cell, 0, 0, Math.min(waitedMs / 10, 1));
    await nextTurn();
  }
  return promise;
}

// setImmediate and not setTimeout: dawn.node polls in the same phase, so each sleep is followed by one look.
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Electron's windows have `process` too, but must not be put to sleep. */
function isNode(): boolean {
  return typeof process === 'object' && process.versions?.node !== undefined && !('window' in globalThis);
}
