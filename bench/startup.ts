// What a user waits for before anything is computed: a process of its own for every sample, with and without the caches that
// drivers keep of compiled kernels.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BenchCase } from './case.ts';
import { type BenchResult, summaryOf } from './measure.ts';

/** Milliseconds since the process began; what `startup-child.ts` prints. */
export interface StartupTimes {
  readonly firstResultMs: number;
  readonly firstStepMs: number;
}

export interface StartupCase extends Omit<BenchCase, 'prepare' | 'tolerance'> {
  readonly isCold: boolean;
  readonly time: keyof StartupTimes;
}

const common = { family: 'startup', size: 'a process', unit: 'starts/s', workPerCall: 1 };

/** Process start to the first product read back, and to the first training step after it. */
export const startupCases: readonly StartupCase[] = [true, false].flatMap((isCold) => {
  const state = isCold ? 'cold' : 'warm';
  return [
    { ...common, name: `first-result-${state}`, isCold, time: 'firstResultMs' as const },
    { ...common, name: `first-step-${state}`, isCold, time: 'firstStepMs' as const },
  ];
});

/** How often, and until when. */
export interface StartupOptions {
  /** One sample each: to see that everything runs, not to publish. */
  readonly isQuick?: boolean;
  /** Ends the measuring, and the process that is being timed. */
  readonly signal?: AbortSignal;
}

const SAMPLE_COUNT = 5;
const QUICK_SAMPLE_COUNT = 1;

/**
 * Measures start-ups, those of one kind in the same processes. `isCold` is about caches on disk of kernels that Mesa has
 * compiled; other drivers keep theirs elsewhere, or none. The system's file cache is warm in either case.
 */
export async function* measureStartups(
  cases: readonly StartupCase[],
  { isQuick = false, signal }: StartupOptions = {},
): AsyncGenerator<BenchResult> {
  for (const isCold of [true, false]) {
    const wanted = cases.filter((item) => item.isCold === isCold);
    if (wanted.length === 0) continue;
    const samples = await sample(isCold, isQuick ? QUICK_SAMPLE_COUNT : SAMPLE_COUNT, signal);
    if (!samples) return;
    for (const item of wanted) {
      const times = samples.map((times) => times[item.time]);
      yield { ...summaryOf(item, times), deviceMs: null, callsPerWait: 1, checkedError: 0 };
    }
  }
}

/** Null when it was interrupted. */
async function sample(isCold: boolean, count: number, signal?: AbortSignal): Promise<StartupTimes[] | null> {
  const times: StartupTimes[] = [];
  let folder = newCacheFolder();
  try {
    // Fills the cache that the others find.
    if (!isCold) await start(folder, signal);
    while (times.length < count) {
      if (isCold && times.length > 0) {
        rmSync(folder, { recursive: true });
        folder = newCacheFolder();
      }
      times.push(await start(folder, signal));
    }
    return times;
  } catch (error) {
    // Ctrl-C in a terminal ends the process that is timed, too.
    if (signal?.aborted) return null;
    throw error;
  } finally {
    // A process that is being ended may still write there.
    rmSync(folder, { recursive: true, maxRetries: 5 });
  }
}

/** A fresh folder for Mesa's cache. */
export const newCacheFolder = (): string => mkdtempSync(join(tmpdir(), 'isnet-bench-'));

const child = fileURLToPath(new URL('startup-child.ts', import.meta.url));

async function start(cacheFolder: string, signal?: AbortSignal): Promise<StartupTimes> {
  const env = { ...process.env, MESA_SHADER_CACHE_DIR: cacheFolder };
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', child], { env, signal });
  return JSON.parse(stdout);
}
