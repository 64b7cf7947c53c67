// A disk that fills up under a training: it says so and stops, what was saved is whole, and it goes on once there is room.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadState } from '../isnet/checkpoint.ts';
import { readWeightsFile } from '../nn/weights-file.ts';
import { isnet, newFolder, tiny } from './command-line.ts';
import { hasGpu } from './gpu.ts';

const hasAdapter = await hasGpu();

// A disk of its own in a mount namespace of its own: needs no rights where such namespaces are allowed.
const ownMount = (script: string) =>
  spawnSync('unshare', ['-rm', 'sh', '-c', script], { encoding: 'utf8', timeout: 240_000 });
const mount = (path: string) => `mount -t tmpfs -o size=8m none '${path}'`;
const canMount = ownMount(mount(tmpdir())).status === 0;
if (!canMount) console.warn('full-disk.test: SKIPPED, no mount namespaces');

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

// Many epochs, so that the disk is full before the last.
const settings = [...tiny, '--method', 'classifier', '--epochs', '12'];

// Whole processes, because only those can be in a namespace: hence slow.
test.skipIf(!hasAdapter || !canMount)(
  'a disk that is full stops a training without harm, and it goes on when there is room',
  async () => {
    const [disk, stopped, done] = ['disk', 'stopped', 'done'].map((name) => join(runs, name));
    mkdirSync(disk);
    const root = join(import.meta.dirname, '..');
    const command = `'${process.execPath}' --import tsx isnet/cli.ts train`;
    const state = `'${disk}/run/state/resume.safetensors'`;
    const { stdout, stderr } = ownMount(`
      ${mount(disk)} || exit
      cd '${root}'
      ${command} ${settings.join(' ')} --name run --output-dir '${disk}' 2>'${runs}/errors' & training=$!
      while [ ! -f ${state} ] && kill -0 $training; do sleep 0.02; done
      # No room is left, not even what dd could not take as a whole block.
      dd if=/dev/zero of='${disk}/filler' bs=4k 2>/dev/null
      wait $training; echo "first exit code $?"
      cp -r '${disk}/run' '${stopped}'
      rm '${disk}/filler'
      ${command} --resume '${disk}/run'; echo "second exit code $?"
      cp -r '${disk}/run' '${done}'`);
    expect(stdout, stderr).toMatch(/first exit code 1/);
    expect(readFileSync(join(runs, 'errors'), 'utf8')).toMatch(
      /^error: .*the disk is full.*; (free some space|choose another)/m,
    );
    const { position } = await loadState(join(stopped, 'state', 'resume.safetensors'));
    expect(position.epoch).toBeGreaterThanOrEqual(1);
    expect(position.epoch).toBeLessThan(12);
    for (const name of readdirSync(stopped, { recursive: true }) as string[]) {
      if (name.endsWith('.safetensors')) await readWeightsFile(join(stopped, name));
      if (name.endsWith('.json')) JSON.parse(readFileSync(join(stopped, name), 'utf8'));
    }
    expect(stdout, stderr).toMatch(/second exit code 0/);
    // As if nothing had been.
    await isnet('train', ...settings, '--name', 'whole', '--output-dir', runs);
    const lastOf = (folder: string) => readFileSync(join(folder, 'weights', 'last.safetensors'));
    expect(lastOf(done).equals(lastOf(join(runs, 'whole')))).toBe(true);
  },
  240_000,
);
