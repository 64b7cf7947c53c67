// The library runs in browsers: nothing of Node is reachable from its front door, and a bundle of it computes.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
// Vitest brings Vite along, at the version it is made for.
import { build } from 'vite';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openBrowserDevice } from '../engine/browser-device.ts';
import { DeviceError } from '../engine/errors.ts';
import { shaderUrls } from '../shaders/catalogue.ts';
import { findAdapter } from './gpu.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const entries = ['isnet/index.ts', 'engine/browser-device.ts'];

/** Packages that run in browsers as they are. */
const browserPackages = ['zod'];

const found = await findAdapter();

const folders: string[] = [];

afterEach(() => {
  vi.unstubAllGlobals();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Imported module names, dynamic imports included. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const names = text.matchAll(/^(?:import|export)\b(?:[^'";]*?\bfrom)?\s+'([^']+)'|\bimport\('([^']+)'\)/gm);
  return [...names].map((match) => match[1] ?? match[2]);
}

test.each(entries)('nothing that only Node has is reachable from %s', (entry) => {
  // Each reachable file with the one that imports it, so that a failure shows the way.
  const cameFrom = new Map<string, string | null>([[entry, null]]);
  const foreign: string[] = [];
  for (const [file] of cameFrom) {
    for (const name of importsOf(file)) {
      if (!name.startsWith('.')) {
        if (!browserPackages.includes(name)) foreign.push(`${wayTo(file)} -> ${name}`);
        continue;
      }
      const target = join(dirname(file), name);
      if (!cameFrom.has(target)) cameFrom.set(target, file);
    }
  }
  function wayTo(file: string): string {
    const before = cameFrom.get(file);
    return before ? `${wayTo(before)} -> ${file}` : file;
  }
  expect(foreign).toEqual([]);
  expect(cameFrom.size).toBeGreaterThan(entry === entries[0] ? 40 : 5);
});

/** Builds a page's script from source text; `inlineLimit` in bytes decides which kernels become data URLs. */
async function bundle(source: string, inlineLimit: number): Promise<{ folder: string; script: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'isnet-browser-'));
  folders.push(folder);
  const entry = 'virtual:page';
  await build({
    root,
    base: './',
    configFile: false,
    logLevel: 'error',
    publicDir: false,
    plugins: [
      {
        name: 'page',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? source : undefined),
      },
    ],
    build: {
      outDir: folder,
      assetsInlineLimit: inlineLimit,
      target: 'es2023',
      modulePreload: false,
      rolldownOptions: {
        input: { page: entry },
        output: { entryFileNames: 'page.js' },
        preserveEntrySignatures: 'strict',
      },
    },
  });
  return { folder, script: join(folder, 'page.js') };
}

const imports = entries.map((file) => `export * from '${join(root, file)}';`).join('\n');

describe('a bundle for browsers', () => {
  // Bundles the whole library, hence slow.
  test('carries every kernel as a file of its own', async () => {
    const { folder, script } = await bundle(imports, 0);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const kernels = files.filter((name) => name.endsWith('.wgsl'));
    expect(kernels.length).toBe(Object.keys(shaderUrls).length);
    const text = readFileSync(script, 'utf8');
    for (const kernel of kernels) expect(text).toContain(kernel.replace(/^.*\//, ''));
    expect(text).not.toMatch(/\bfrom\s*["']|\bnode:|__vite-browser-external/);
  }, 20_000);

  // Bundles the whole library, hence slow. With all kernels inline it needs no server, and Node can play the browser:
  // the WebGPU behind navigator.gpu is the real one.
  test.skipIf(!found)(
    'opens a device through navigator.gpu and multiplies',
    async () => {
      vi.stubGlobal('navigator', { gpu: found?.gpu });
      const { script } = await bundle(imports, Number.POSITIVE_INFINITY);
      const page = await import(/* @vite-ignore */ pathToFileURL(script).href);
      const lines: string[] = [];
      const device = await page.openBrowserDevice({ log: (line: string) => lines.push(line) });
      const a = page.tensor(device, [1, 2, 3, 4], [2, 2]);
      const b = page.tensor(device, [5, 6, 7, 8], [2, 2]);
      expect([...(await page.read(page.matmul(a, b)))]).toEqual([19, 22, 43, 50]);
      expect(lines.length).toBe(device.profile.family === 'software' ? 1 : 0);
      await device.close();
    },
    20_000,
  );
});

describe('openBrowserDevice', () => {
  test('says which browsers have WebGPU when the page has none', async () => {
    vi.stubGlobal('navigator', {});
    await expect(openBrowserDevice()).rejects.toThrow(DeviceError);
    await expect(openBrowserDevice()).rejects.toThrow(/no navigator\.gpu; use Chrome/);
  });

  test('says that a page must be secure', async () => {
    vi.stubGlobal('navigator', {});
    vi.stubGlobal('isSecureContext', false);
    await expect(openBrowserDevice()).rejects.toThrow(/not secure; serve it over https/);
  });

  test('says what to do when the browser gives no adapter', async () => {
    vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => null } });
    await expect(openBrowserDevice()).rejects.toThrow(DeviceError);
    await expect(openBrowserDevice()).rejects.toThrow(/no adapter; .*hardware acceleration/);
  });

  test.skipIf(!found)('names a kernel that cannot be fetched', async () => {
    vi.stubGlobal('navigator', { gpu: found?.gpu });
    // The sources lie at file: URLs here, which fetch refuses.
    await expect(openBrowserDevice()).rejects.toThrow(/kernel file:.*\.wgsl cannot be fetched .*; serve/);
  });

  test.skipIf(!found)('is not taken in by a start page instead of a kernel', async () => {
    vi.stubGlobal('navigator', { gpu: found?.gpu });
    const startPage = () => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } });
    vi.stubGlobal('fetch', async () => startPage());
    await expect(openBrowserDevice()).rejects.toThrow(/\.wgsl gives a web page; .*optimizeDeps\.exclude/);
  });
});
