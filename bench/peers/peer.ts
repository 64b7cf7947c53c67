// What a library must offer to be compared: open, prepare a computation, run it. Each peer is a file that implements this.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Work } from './cases.ts';

/** A computation that is ready to be timed: operands uploaded. */
export interface Prepared {
  /** Does the work `count` times, one after the other, and waits until all of it is done. */
  run(count: number): Promise<void>;
  /** The numbers of the result, row-major in the layout of cases.ts; of training the losses before each of the first CHECKED_STEPS. */
  result(): Promise<ArrayLike<number>>;
  close(): void;
}

/** An opened library. */
export interface Peer {
  readonly version: string;
  /** What it computes on, in its own words or ours. */
  readonly computesOn: string;
  /** Rejects with the reason when the library cannot do this work. */
  prepare(work: Work): Promise<Prepared>;
}

/** Installed version of a package, as its package.json has it. */
export function versionOf(packageName: string): string {
  // Not by import: few packages export their package.json.
  for (const folder of createRequire(import.meta.url).resolve.paths(packageName) ?? []) {
    const path = join(folder, packageName, 'package.json');
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')).version;
  }
  return 'unknown';
}
