// Where and with what a run was made (Node only): the first question about any number is which machine it came from.
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** Version of this package. */
export function packageVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
}

/** Whether this code runs from its TypeScript sources, as in a clone, and not as an installed package. */
export function isClone(): boolean {
  return import.meta.url.endsWith('.ts');
}

/** The nearest folder above with a package.json: the sources lie one level below it, the compiled files two. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  return folder;
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
