// Makes dist/, which is what npm publishes: JavaScript and declarations of the library, kernels, and the command `isnet`.
// No source maps: the sources are not published, and the JavaScript is theirs without the types, comments included.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const dist = join(root, 'dist');

// What an earlier build left of files that are gone since would be published too.
rmSync(dist, { recursive: true, force: true });
const compiler = join(root, 'node_modules/typescript/bin/tsc');
const project = join(root, 'tsconfig.build.json');
const { status } = spawnSync(process.execPath, [compiler, '--project', project], { stdio: 'inherit' });
// It has said what is wrong.
if (status !== 0) process.exit(1);

// The compiler rewrites '.ts' endings in JavaScript only. Its own resolver copes, other readers of declarations do not.
for (const name of readdirSync(dist, { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue;
  const path = join(dist, name);
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace(/((?:\bfrom |\bimport\(|^import )['"]\.[^'"]+)\.ts(?=['"])/gm, '$1.js'));
}

mkdirSync(join(dist, 'shaders'), { recursive: true });
for (const name of readdirSync(join(root, 'shaders'))) {
  if (name.endsWith('.wgsl')) copyFileSync(join(root, 'shaders', name), join(dist, 'shaders', name));
}
chmodSync(join(dist, 'isnet/cli.js'), 0o755);
