// The rules of the house: which way imports point, no cycles, where Node may be used, how long a file may be.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const layers = ['shaders', 'engine', 'nn', 'lrp', 'isnet', 'bench', 'tests'];

/** The only files that may use Node: everything else runs in a browser too. */
const nodeFiles = new Set([
  'engine/node-device.ts',
  'engine/node-adapter.ts',
  'engine/software-adapter.ts',
  'engine/files.ts',
  'engine/tuning-file.ts',
  'engine/package-version.ts',
  'nn/weights-file.ts',
  'lrp/png.ts',
  'isnet/data/mnist.ts',
  'isnet/node.ts',
  'isnet/cli.ts',
  'isnet/run-folder.ts',
  'isnet/run-lock.ts',
  'isnet/logs/run-log.ts',
  'isnet/checkpoint.ts',
  'isnet/experiment.ts',
  'isnet/open-data.ts',
  'isnet/test-pictures.ts',
  'isnet/environment.ts',
]);
const isNodeFile = (file: string) =>
  nodeFiles.has(file) ||
  /^(isnet\/(commands|compare|data\/files|benchmarks\/files)|bench|tests)\//.test(file);

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(ts|wgsl)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !/node_modules|\/\./.test(file));
}

const files = layers.flatMap(sources);
const modules = files.filter((file) => file.endsWith('.ts'));
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

/** Imported module names, dynamic imports included. */
function importsOf(file: string): string[] {
  const found = textOf(file).matchAll(
    /^(?:import|export)\b(?:[^'";]*?\bfrom)?\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
  );
  return [...found].map((match) => match[1] ?? match[2]);
}

const localImports = (file: string): string[] =>
  importsOf(file)
    .filter((name) => name.startsWith('.'))
    .map((name) => join(dirname(file), name));

const layerOf = (file: string) => layers.indexOf(file.split('/')[0]);

describe.each(modules)('%s', (file) => {
  test('imports only from its own folder or from one to its left', () => {
    for (const target of localImports(file)) {
      expect(layerOf(target), `${file} imports ${target}`).toBeLessThanOrEqual(layerOf(file));
      expect(layerOf(target), `${file} imports ${target}`).toBeGreaterThanOrEqual(0);
    }
  });

  test('uses Node only if it is listed', () => {
    const nodeImports = importsOf(file).filter((name) =>
      /^(node:|webgpu$|pngjs|commander|cli-progress|sharp|dicom-parser|csv-parse)/.test(name),
    );
    if (!isNodeFile(file)) expect(nodeImports).toEqual([]);
  });

  test('imports files by their name with ending, and exports by name', () => {
    const text = textOf(file);
    for (const target of localImports(file)) expect(target).toMatch(/\.ts$/);
    if (!file.endsWith('vitest.config.ts')) expect(text).not.toMatch(/^export default/m);
  });
});

test('no file is longer than 400 lines', () => {
  const long = files.filter((file) => textOf(file).split('\n').length > 400);
  expect(long).toEqual([]);
});

test('no kernel has lines of more than 100 columns', () => {
  const kernels = files.filter((file) => file.endsWith('.wgsl'));
  const wide = kernels.filter((file) =>
    textOf(file)
      .split('\n')
      .some((line) => line.length > 100),
  );
  expect(kernels).not.toEqual([]);
  expect(wide).toEqual([]);
});

test('every file begins by saying why it exists', () => {
  const silent = files.filter((file) => !textOf(file).startsWith('//') && !textOf(file).startsWith('#!'));
  expect(silent).toEqual([]);
});

test('imports form no cycle', () => {
  const state = new Map<string, 'open' | 'done'>();
  const path: string[] = [];
  const visit = (file: string): void => {
    if (state.get(file) === 'done') return;
    expect(state.get(file), [...path, file].join(' -> ')).not.toBe('open');
    state.set(file, 'open');
    path.push(file);
    for (const target of localImports(file)) visit(target);
    path.pop();
    state.set(file, 'done');
  };
  for (const file of modules) visit(file);
});

test('the core depends on nothing but webgpu', () => {
  for (const file of modules.filter((name) => layerOf(name) < layers.indexOf('isnet') && !isNodeFile(name))) {
    expect(
      importsOf(file).filter((name) => !name.startsWith('.')),
      file,
    ).toEqual([]);
  }
});
