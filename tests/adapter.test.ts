// An adapter is found wherever the project runs, and letting go of it leaves nothing behind.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { adapterProfile, requestDevice } from '../engine/adapter-profile.ts';
import { DeviceError, UsageError } from '../engine/errors.ts';
import { BUFFER_USAGE, MAP_READ } from '../engine/gpu-flags.ts';
import { requestNodeAdapter } from '../engine/node-adapter.ts';
import { waitPolitely } from '../engine/patience.ts';
import { findSwiftShader, type SwiftShaderArchive, unpackSwiftShader } from '../engine/software-adapter.ts';
import { withoutDriverRemarks } from './driver-remarks.ts';
import { hasGpu } from './gpu.ts';

const archive = findSwiftShader();
const hasAdapter = await hasGpu();

const folders: string[] = [];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'isnet-adapter-'));
  folders.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!hasAdapter)('the adapter of this machine', () => {
  test('computes, and its profile agrees with the device', async () => {
    const found = await requestNodeAdapter();
    const profile = adapterProfile(found.adapter);
    const device = await requestDevice(found.adapter);
    expect(profile.family).toBe(found.isSoftware ? 'software' : 'gpu');
    expect([0, 4, 8, 16, 32, 64, 128]).toContain(profile.subgroupSize);
    expect(profile.subgroupSize > 0 ? device.features.has('subgroups') : true).toBe(true);
    expect(profile.maxWorkgroupsPerDimension).toBe(device.limits.maxComputeWorkgroupsPerDimension);
    expect(profile.maxWorkgroupStorageSize).toBe(device.limits.maxComputeWorkgroupStorageSize);
    expect(profile.maxInvocationsPerWorkgroup).toBe(device.limits.maxComputeInvocationsPerWorkgroup);
    expect(profile.maxInvocationsPerWorkgroup).toBeGreaterThanOrEqual(128);
    expect(device.limits.maxStorageBufferBindingSize).toBe(found.adapter.limits.maxStorageBufferBindingSize);
    expect(await roundTrip(device, 42)).toBe(42);
    device.destroy();
    found.release();
  });

  test('warns when it is a software adapter and only then', async () => {
    const found = await requestNodeAdapter();
    expect(found.warning !== undefined).toBe(found.isSoftware);
  });

  test('cannot be read after release, though a device goes on', async () => {
    const found = await requestNodeAdapter();
    const device = await requestDevice(found.adapter);
    found.release();
    expect(() => found.adapter).toThrow(UsageError);
    expect(await roundTrip(device, 7)).toBe(7);
    device.destroy();
  });

  test('gives one device, and says so when asked for a second', async () => {
    const { adapter } = await requestNodeAdapter();
    const device = await requestDevice(adapter);
    await expect(requestDevice(adapter)).rejects.toThrow(/^requestDevice: .*; request a new adapter/);
    device.destroy();
  });

  test('leaves the environment as it was', async () => {
    const before = { ...process.env };
    await requestNodeAdapter();
    expect(process.env).toEqual(before);
  });

  // Starts a whole Node with tsx, hence slow: the crash and the hang it looks for end or outlive a process.
  test('survives garbage collection, then lets the process exit by itself', async () => {
    const child = await runChild(`
      import { requestNodeAdapter } from './engine/node-adapter.ts';
      import { requestDevice } from './engine/adapter-profile.ts';
      const open = async () => {
        const found = await requestNodeAdapter();
        const device = await requestDevice(found.adapter);
        found.release();
        return device;
      };
      const device = await open();
      for (let i = 0; i < 3; i++) {
        globalThis.gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      device.queue.submit([]);
      await device.queue.onSubmittedWorkDone();
      device.destroy();
      console.log('done');
    `);
    const errors = withoutDriverRemarks(child.errors);
    expect({ ...child, errors }).toEqual({ code: 0, output: 'done\n', errors: '' });
  }, 20_000);
});

describe.skipIf(process.platform !== 'linux')('without drivers', () => {
  test('a missing package is a DeviceError that names it', async () => {
    const request = requestWithoutDrivers(() => undefined);
    await expect(request).rejects.toThrow(DeviceError);
    await expect(request).rejects.toThrow(/^requestNodeAdapter: no .*; .*mesa-vulkan-drivers >= 25$/);
    if (process.arch === 'x64') await expect(request).rejects.toThrow('npm install @sparticuz/chromium');
  });

  test.skipIf(!archive)('SwiftShader stands in', async () => {
    const found = await requestWithoutDrivers(() => archive);
    expect(found.description).toBe('SwiftShader (software, google swiftshader, 4 subgroup lanes)');
  });
});

describe.skipIf(!archive)('the unpacked SwiftShader', () => {
  test.each(['libvulkan.so.1', 'libvk_swiftshader.so', 'vk_swiftshader_icd.json', 'sizes.txt'])(
    'is repaired when %s is truncated',
    (name) => {
      const folder = newFolder();
      unpackSwiftShader(archive as SwiftShaderArchive, folder);
      const whole = readFileSync(join(folder, name));
      truncateSync(join(folder, name), whole.length >> 1);
      unpackSwiftShader(archive as SwiftShaderArchive, folder);
      expect(readFileSync(join(folder, name)).equals(whole)).toBe(true);
    },
  );

  test('is not written again when it is whole', () => {
    const folder = newFolder();
    const { loader } = unpackSwiftShader(archive as SwiftShaderArchive, folder);
    const before = statSync(loader);
    unpackSwiftShader(archive as SwiftShaderArchive, folder);
    expect(statSync(loader).ino).toBe(before.ino);
  });

  test('a damaged archive is a DeviceError that names it', () => {
    const path = join(newFolder(), 'swiftshader.tar.br');
    writeFileSync(path, 'no brotli');
    expect(() => unpackSwiftShader({ path, version: '0' }, newFolder())).toThrow(
      /^unpackSwiftShader: .*swiftshader\.tar\.br.*; reinstall/,
    );
  });
});

describe('waitPolitely', () => {
  test('gives the outcome of the promise', async () => {
    await expect(waitPolitely(Promise.resolve(5))).resolves.toBe(5);
    await expect(waitPolitely(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
  });

  test('lets timers run while it waits', async () => {
    let ticks = 0;
    // The wait ends only if the timer is served: no number of milliseconds that a busy machine could exceed.
    const fifthTick = new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        ticks++;
        if (ticks < 5) return;
        clearInterval(timer);
        resolve();
      }, 5);
    });
    await waitPolitely(fifthTick);
    expect(ticks).toBe(5);
  });
});

/** Asks for an adapter with the machine's own Vulkan drivers, if any, out of sight. */
async function requestWithoutDrivers(findArchive: () => SwiftShaderArchive | undefined) {
  vi.stubEnv('VK_DRIVER_FILES', '/nowhere/icd.json');
  vi.stubEnv('VK_ICD_FILENAMES', '/nowhere/icd.json');
  try {
    return await requestNodeAdapter({ findArchive });
  } finally {
    vi.unstubAllEnvs();
  }
}

/** Sends a number through two buffers of the device. */
async function roundTrip(device: GPUDevice, value: number): Promise<number> {
  const source = device.createBuffer({
    size: 4,
    usage: BUFFER_USAGE.copySource | BUFFER_USAGE.copyDestination,
  });
  const target = device.createBuffer({ size: 4, usage: BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDestination });
  device.queue.writeBuffer(source, 0, new Uint32Array([value]));
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, target, 0, 4);
  device.queue.submit([encoder.finish()]);
  await waitPolitely(target.mapAsync(MAP_READ));
  return new Uint32Array(target.getMappedRange())[0];
}

async function runChild(source: string): Promise<{ code: number | null; output: string; errors: string }> {
  const child = spawn(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', '--input-type=module', '--eval', source],
    {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 15_000,
    },
  );
  let output = '';
  let errors = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  return { code, output, errors };
}
