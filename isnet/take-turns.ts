// Wall-clock time of work on devices. What is to be compared takes turns: what else the machine does then slows all alike.
import type { GpuDevice } from '../engine/gpu-device.ts';
import { waitPolitely } from '../engine/patience.ts';
import { scope } from '../engine/scope.ts';

/** Something that a device is timed at. */
export interface TimedWork {
  readonly device: GpuDevice;
  /** Encodes the work once; its tensors are freed. A promise is awaited. */
  readonly call: () => unknown;
}

export interface TurnOptions {
  readonly rounds: number;
  /** Calls are repeated for about so long before each wait for the queue, which costs up to a millisecond itself. */
  readonly turnMs: number;
  /** Whether work `i`, which takes `ms` per call, the fastest taking `leastMs`, gets more than its first turn. */
  readonly isWorthwhile: (ms: number, leastMs: number, i: number) => boolean;
}

const MOST_CALLS = 100;

/** Milliseconds per call, from the first command to an idle queue. */
export async function msPerCall({ device, call }: TimedWork, callCount: number): Promise<number> {
  const startMs = performance.now();
  for (let i = 0; i < callCount; i++) {
    let outcome: unknown;
    // Not returned, because what a scope returns outlives it: the outputs of all calls would pile up.
    scope(device, () => {
      outcome = call();
    });
    if (outcome instanceof Promise) await outcome;
  }
  device.flush();
  await waitPolitely(device.raw.queue.onSubmittedWorkDone());
  return (performance.now() - startMs) / callCount;
}

/** Milliseconds per call of each, ascending, one for each of its turns. Kernels are compiled before the first. */
export async function takeTurns(works: readonly TimedWork[], options: TurnOptions): Promise<number[][]> {
  const times = await takeRounds(works, options);
  return times.map((each) => each.sort((a, b) => a - b));
}

/**
 * The same in the order of the rounds, so that works can be compared within each of them. Each round begins with another
 * work: coming first is no one's advantage.
 */
export async function takeRounds(
  works: readonly TimedWork[],
  { rounds, turnMs, isWorthwhile }: TurnOptions,
): Promise<number[][]> {
  const once: number[] = [];
  for (const work of works) {
    await msPerCall(work, 1);
    once.push(await msPerCall(work, 1));
  }
  const leastMs = Math.min(...once);
  const times = once.map((ms, i) => (isWorthwhile(ms, leastMs, i) ? [] : [ms]));
  const callCounts = once.map((ms) => Math.min(MOST_CALLS, Math.ceil(turnMs / ms)));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < works.length; turn++) {
      const i = (round + turn) % works.length;
      if (isWorthwhile(once[i], leastMs, i)) times[i].push(await msPerCall(works[i], callCounts[i]));
    }
  }
  return times;
}
