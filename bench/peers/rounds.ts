// The order of measuring: in every round each peer takes one sample, so that what disturbs the machine disturbs all.

import { rmSync } from 'node:fs';
import { newCacheFolder } from '../startup.ts';
import type { PeerCase } from './cases.ts';
import type { StartupAnswer } from './child.ts';
import type { Expected } from './expected.ts';
import type { PeerName } from './peers.ts';
import { PeerFailure, PeerProcess, type ProcessOptions } from './process.ts';

/** What a peer did in a case: a time per round, or the reason why not. */
export interface PeerResult {
  /** Per call, in milliseconds, one per round. */
  readonly roundMs: readonly number[];
  /** Largest difference from f64, relative to the largest number; null where only a time was taken. */
  readonly checkedError: number | null;
  readonly failure: string | null;
}

export type CaseResults = Partial<Record<PeerName, PeerResult>>;

interface Contestant {
  readonly name: PeerName;
  readonly process: PeerProcess;
  readonly checkedError: number;
  readonly roundMs: number[];
  failure: string | null;
}

const failed = (failure: string): PeerResult => ({ roundMs: [], checkedError: null, failure });

const reasonOf = (error: unknown): string => {
  if (error instanceof PeerFailure) return error.message;
  throw error;
};

/** The peers' processes, opened again when one has died. */
export class Field {
  readonly #options: ProcessOptions;
  readonly #processes = new Map<PeerName, PeerProcess>();
  #isEnded = false;
  /** Peers that do not even open, with the reason. */
  readonly unavailable = new Map<PeerName, string>();
  readonly descriptions = new Map<PeerName, { version: string; computesOn: string }>();

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  async processOf(name: PeerName): Promise<PeerProcess> {
    const reason = this.unavailable.get(name);
    if (reason) throw new PeerFailure(reason);
    if (this.#isEnded) throw new PeerFailure('the run was ended');
    const running = this.#processes.get(name);
    if (running?.isAlive) return running;
    const fresh = new PeerProcess(name, this.#options);
    this.#processes.set(name, fresh);
    try {
      const answer = await fresh.next();
      if ('ok' in answer && answer.ok === 'open') this.descriptions.set(name, answer);
    } catch (error) {
      this.unavailable.set(name, reasonOf(error));
      throw error;
    }
    return fresh;
  }

  /** Ends a peer that has failed: it may learn of more errors later, which are not those of the next case. */
  discard(name: PeerName): void {
    this.#processes.get(name)?.end();
  }

  end(): void {
    this.#isEnded = true;
    for (const process of this.#processes.values()) process.end();
  }
}

/** Measures one case in all peers. */
export async function runCase(
  field: Field,
  names: readonly PeerName[],
  item: PeerCase,
  expected: Expected,
  { roundCount, sampleMs }: { roundCount: number; sampleMs: number },
): Promise<CaseResults> {
  const results: CaseResults = {};
  const contestants: Contestant[] = [];
  for (const name of names) {
    try {
      const process = await field.processOf(name);
      const answer = await process.ask({ do: 'prepare', name: item.name, expected });
      if (!('checkedError' in answer)) throw new PeerFailure('answered something else');
      contestants.push({ name, process, checkedError: answer.checkedError, roundMs: [], failure: null });
    } catch (error) {
      results[name] = failed(reasonOf(error));
      field.discard(name);
    }
  }
  for (let round = 0; round < roundCount; round++) {
    // Each round begins with another peer: nobody always follows the same neighbour.
    for (let i = 0; i < contestants.length; i++) {
      const contestant = contestants[(i + round) % contestants.length];
      if (contestant.failure) continue;
      try {
        const answer = await contestant.process.ask({ do: 'sample', ms: sampleMs });
        if ('msPerCall' in answer) contestant.roundMs.push(answer.msPerCall);
      } catch (error) {
        contestant.failure = reasonOf(error);
        field.discard(contestant.name);
      }
    }
  }
  for (const { name, process, roundMs, checkedError, failure } of contestants) {
    try {
      if (process.isAlive) await process.ask({ do: 'close' });
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      // What it measured before stands; the next case gets a new process.
      field.discard(name);
    }
    results[name] = failure ? failed(failure) : { roundMs, checkedError, failure: null };
  }
  return Object.fromEntries(names.map((name) => [name, results[name]]));
}

/** Names of what `runStartups` measures, in the order of its results. */
export const startupNames = [
  'first result, cold',
  'first training step, cold',
  'first result, warm',
] as const;

export type StartupName = (typeof startupNames)[number];

/**
 * Process start to the first product read back, and to the first training step after it. Cold: Mesa's cache of compiled
 * kernels is empty. Warm: it is the user's own, as the rounds left it. An aborted signal ends it; what was timed is kept.
 */
export async function runStartups(
  options: ProcessOptions,
  names: readonly PeerName[],
  roundCount: number,
  signal?: AbortSignal,
): Promise<Record<StartupName, CaseResults>> {
  const times = Object.fromEntries(startupNames.map((name) => [name, new Map<PeerName, number[]>()]));
  const failures = Object.fromEntries(startupNames.map((name) => [name, new Map<PeerName, string>()]));
  const note = (kind: StartupName, name: PeerName, ms: number | null, error = '') => {
    if (ms === null) failures[kind].set(name, error);
    else times[kind].set(name, [...(times[kind].get(name) ?? []), ms]);
  };
  const [coldResult, coldStep, warmResult] = startupNames;
  for (let round = 0; round < roundCount; round++) {
    for (const name of names) {
      // Who has not started once is not waited for again.
      if (signal?.aborted || failures[warmResult].has(name)) continue;
      try {
        const cold = await startCold(name, options, signal);
        note(coldResult, name, cold.firstResultMs);
        note(coldStep, name, cold.firstStepMs, cold.error);
        const warm = await startOnce(name, options, '--first-result', signal);
        note(warmResult, name, warm.firstResultMs);
      } catch (error) {
        // Ended by us, or with us: no failure of its own.
        if (signal?.aborted) continue;
        for (const kind of startupNames) note(kind, name, null, reasonOf(error));
      }
    }
  }
  const resultsOf = (kind: StartupName): CaseResults =>
    Object.fromEntries(
      names.map((name) => {
        const roundMs = times[kind].get(name) ?? [];
        const failure =
          failures[kind].get(name) ?? (roundMs.length === 0 ? 'interrupted before its turn' : null);
        return [name, failure ? failed(failure) : { roundMs, checkedError: null, failure: null }];
      }),
    );
  return {
    [coldResult]: resultsOf(coldResult),
    [coldStep]: resultsOf(coldStep),
    [warmResult]: resultsOf(warmResult),
  } as Record<StartupName, CaseResults>;
}

async function startCold(
  name: PeerName,
  options: ProcessOptions,
  signal: AbortSignal | undefined,
): Promise<StartupAnswer> {
  const folder = newCacheFolder();
  try {
    const env = { MESA_SHADER_CACHE_DIR: folder };
    return await startOnce(name, { ...options, env }, '--startup', signal);
  } finally {
    // A process that was ended may still write there.
    rmSync(folder, { recursive: true, maxRetries: 5 });
  }
}

async function startOnce(
  name: PeerName,
  options: ProcessOptions,
  mode: '--startup' | '--first-result',
  signal: AbortSignal | undefined,
): Promise<StartupAnswer> {
  const process = new PeerProcess(name, options, [mode]);
  const end = () => process.end();
  signal?.addEventListener('abort', end);
  try {
    return await process.next<StartupAnswer>();
  } finally {
    signal?.removeEventListener('abort', end);
    process.end();
  }
}
