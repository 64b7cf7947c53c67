// Where and with what a run was made (Node only): the first question about any number is which machine it came from.
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { packageRoot, packageVersion } from '../engine/package-version.ts';
import type { Device } from '../engine/tensor.ts';
import type { Environment } from './environment-facts.ts';

export type { Environment };

/** Facts about this process, this machine and the device. */
export function describeEnvironment(device: Device): Environment {
  return {
    version: packageVersion(),
    commit: commitOf(packageRoot()),
    adapter: device.description,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpuCount: availableParallelism(),
    memoryBytes: totalmem(),
    command: process.argv,
    date: new Date().toISOString(),
  };
}

/** Whether this code runs from its TypeScript sources, as in a clone, and not as an installed package. */
export function isClone(): boolean {
  return import.meta.url.endsWith('.ts');
}

function commitOf(root: string): string | null {
  // Asked only in a clone of our own: below node_modules git would name the commit of somebody else's project.
  if (!existsSync(join(root, '.git'))) return null;
  try {
    const options: ExecFileSyncOptionsWithStringEncoding = {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    };
    return execFileSync('git', ['rev-parse', 'HEAD'], options).trim();
  } catch {
    // No git on this machine, or no commit yet: the commit is a courtesy, no reason to stop a run.
    return null;
  }
}
