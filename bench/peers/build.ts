// Makes the peers ready: installs their packages, and compiles what their processes run. Plain JavaScript for all of them,
// because a compiler in the process would count as start-up, and ours has the most files to compile.
import { execFileSync, execSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../engine/errors.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Installs the packages of bench/peers/package-lock.json if they are missing or out of date. */
export function installPeers(): void {
  const lock = join(here, 'package-lock.json');
  const installed = join(here, 'node_modules/.installed-lock.json');
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(lock))) return;
  console.log('Installing the peers into bench/peers/node_modules (once, some 400 MB) ...');
  try {
    execSync('npm ci --no-audit --no-fund --loglevel=error', { stdio: 'inherit', cwd: here });
  } catch (cause) {
    throw new UsageError(
      'bench:peers: npm ci failed, see its message above; check the network and try again',
      {
        cause,
      },
    );
  }
  copyFileSync(lock, installed);
}

/** Compiles the peers' processes, and the library with them. Returns the script to run. */
export function buildPeers(): string {
  const out = join(here, 'node_modules/.build');
  rmSync(out, { recursive: true, force: true });
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '--project', join(here, 'tsconfig.json')], { stdio: 'inherit' });
  mkdirSync(join(out, 'shaders'), { recursive: true });
  for (const name of readdirSync(join(root, 'shaders'))) {
    if (name.endsWith('.wgsl')) copyFileSync(join(root, 'shaders', name), join(out, 'shaders', name));
  }
  // Node reads what kind of modules these are from the nearest package.json, ours from the nearest version too.
  copyFileSync(join(root, 'package.json'), join(out, 'package.json'));
  return join(out, 'bench/peers/child.js');
}
