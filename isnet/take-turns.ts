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

/** Milliseconds per call of some work. */
export type TimeWork = (work: TimedWork, callCount: number) => Promise<number>;

export interface TurnOptions {
  readonly rounds: number;
  /** Calls are repeated for about so long before each wait for the queue, which costs up to a millisecond itself. */
  readonly turnMs: number;
  /** Whether work `i`, which takes `ms` per call at first sight, the fastest taking `leastMs`, gets any turn. */
  readonly isWorthwhile: (ms: number, leastMs: number, i: number) => boolean;
  /** By default the clock. */
  readonly timeWork?: TimeWork;
}

const MOST_CALLS = 100;
/**
 * One call may be disturbed, by far more than what a kernel is given up for. So it is looked at several times, unless it is
 * slow: then no disturbance is that long beside it, and looking again would take long.
 */
const MOST_LOOKS = 3;
const LOOKING_MS = 500;

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
  { rounds, turnMs, isWorthwhile, timeWork = msPerCall }: TurnOptions,
): Promise<number[][]> {
  const once: number[] = [];
  for (const work of works) {
    await timeWork(work, 1);
    once.push(await atFirstSight(work, timeWork));
  }
  const leastMs = Math.min(...once);
  const times = once.map((ms, i) => (isWorthwhile(ms, leastMs, i) ? [] : [ms]));
  const callCounts = once.map((ms) => Math.min(MOST_CALLS, Math.ceil(turnMs / ms)));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < works.length; turn++) {
      const i = (round + turn) % works.length;
      if (isWorthwhile(once[i], leastMs, i)) times[i].push(await timeWork(works[i], callCounts[i]));
    }
  }
  return times;
}

/** The least of a few single calls, in milliseconds. */
async function atFirstSight(work: TimedWork, timeWork: TimeWork): Promise<number> {
  const looks: number[] = [];
  let spentMs = 0;
  while (looks.length < MOST_LOOKS && spentMs < LOOKING_MS) {
    const ms = await timeWork(work, 1);
    looks.push(ms);
    spentMs += ms;
  }
  return Math.min(...looks);
}
