// Finds a WebGPU adapter in Node. A real GPU always wins; without one, a CPU rasteriser is made to work, so that the
// project runs on any machine. Each way is tried only after the one before it found nothing.
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describeAdapter, isSoftwareAdapter, keepAlive } from './adapter-profile.ts';
import { DeviceError, UsageError } from './errors.ts';
import {
  findSwiftShader,
  hasVulkanLoader,
  loadVulkanLoader,
  type SwiftShaderArchive,
  unpackSwiftShader,
} from './software-adapter.ts';

// SwiftShader computes every bounds check that Dawn adds. Our kernels check their own bounds, and no other code runs on
// this device. A real GPU keeps Dawn's checks.
const UNCHECKED = 'enable-dawn-features=disable_robustness';
// Dawn rounds timestamps to 0.07 ms, so that web pages cannot spy with them. Here they are for profiles.
const EXACT_TIMES = 'disable-dawn-features=timestamp_quantization';

/** Where `requestNodeAdapter` looks, and what it tells. */
export interface NodeAdapterOptions {
  /** Told which way is being tried. */
  readonly log?: (line: string) => void;
  /** Passes over real GPUs, for runs that must not depend on the machine's. */
  readonly isSoftwareWanted?: boolean;
  /** Where the packed SwiftShader is looked for. */
  readonly findArchive?: () => SwiftShaderArchive | undefined;
}

/** An adapter and the Dawn instance it lives in, which lasts as long as this, the adapter or a device of `requestDevice`. */
export interface NodeAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly description: string;
  readonly isSoftware: boolean;
  /** What a user should know about a software adapter; undefined on a GPU. */
  readonly warning: string | undefined;
  /** Lets go of both: reading them throws UsageError from then on. Devices stay usable until they are destroyed. */
  release(): void;
}

interface Found {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
}

/** The best adapter this machine has. Throws DeviceError when there is none, saying what to install. */
export async function requestNodeAdapter(options: NodeAdapterOptions = {}): Promise<NodeAdapter> {
  const { log, isSoftwareWanted = false, findArchive = findSwiftShader } = options;
  const create = await importDawn();

  const attempt = async (way: string, flags: string[] = []): Promise<Found | undefined> => {
    const gpu = create([EXACT_TIMES, ...flags]);
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter) keepAlive(adapter, gpu);
    const isWanted = adapter !== null && (!isSoftwareWanted || isSoftwareAdapter(adapter.info));
    log?.(
      `${way}: ${adapter ? describeAdapter(adapter) : 'no adapter'}${adapter && !isWanted ? ', passed over' : ''}`,
    );
    return isWanted ? { gpu, adapter } : undefined;
  };

  const attemptSwiftShader = async (hasLoader: boolean): Promise<Found | undefined> => {
    const archive = findArchive();
    if (!archive) return undefined;
    const { loader, manifest } = unpackSwiftShader(archive);
    if (!hasLoader) {
      loadVulkanLoader(loader);
      // A container may have been given the GPU's driver but no loader. Ours serves it too.
      const found = hasVulkanDriver()
        ? await attempt('Vulkan drivers of this machine, our loader')
        : undefined;
      if (found) return found;
    }
    // The second name is for loaders from before 2022.
    const env = { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest };
    return await withEnvironment(env, () => attempt('SwiftShader', [UNCHECKED]));
  };

  let found: Found | undefined;
  if (process.platform === 'linux') {
    // Dawn would find nothing without a loader, but say so on stderr, where users take it for a failure.
    const hasLoader = hasVulkanLoader();
    if (hasLoader) found = await attempt('Vulkan drivers of this machine');
    found ??= await attemptSwiftShader(hasLoader);
  } else {
    found = await attempt('drivers of this machine');
    if (!found && process.platform === 'win32') found = await attempt('WARP', ['adapter=Microsoft']);
  }
  if (!found)
    throw new DeviceError(
      `requestNodeAdapter: no ${isSoftwareWanted ? 'software ' : ''}adapter on ${process.platform} ${process.arch}; ${remedy()}`,
    );
  return hold(found);
}

function hold(found: Found): NodeAdapter {
  const isSoftware = isSoftwareAdapter(found.adapter.info);
  const description = describeAdapter(found.adapter);
  let held: Found | undefined = found;
  const get = (): Found => {
    if (!held) throw new UsageError(`NodeAdapter: ${description} was released; request a new adapter`);
    return held;
  };
  return {
    get gpu() {
      return get().gpu;
    },
    get adapter() {
      return get().adapter;
    },
    description,
    isSoftware,
    warning: isSoftware ? softwareWarning(description) : undefined,
    release() {
      held = undefined;
    },
  };
}

// Loaded late, so that a bundler for browsers never follows the import.
async function importDawn(): Promise<(flags: string[]) => GPU> {
  try {
    const { create } = await import('webgpu');
    return create;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new DeviceError(
      `requestNodeAdapter: the package webgpu does not load (${reason}); reinstall it with \`npm install webgpu\` on a platform it is built for`,
      { cause },
    );
  }
}

/** Runs `work` with some environment variables, which the Vulkan loader reads, and puts the old ones back. */
async function withEnvironment<T>(values: Record<string, string>, work: () => Promise<T>): Promise<T> {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, values);
  try {
    return await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Whether a Vulkan loader would have a driver to try: it complains on stderr if there is none. */
function hasVulkanDriver(): boolean {
  const { env } = process;
  // The loader looks nowhere else when one of these is set.
  const only = env.VK_DRIVER_FILES || env.VK_ICD_FILENAMES;
  if (only) return only.split(delimiter).some((path) => existsSync(path));
  const roots = [
    env.XDG_CONFIG_HOME || join(homedir(), '.config'),
    ...(env.XDG_CONFIG_DIRS || '/etc/xdg').split(delimiter),
    '/etc',
    env.XDG_DATA_HOME || join(homedir(), '.local/share'),
    ...(env.XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(delimiter),
  ];
  if (env.VK_ADD_DRIVER_FILES?.split(delimiter).some((path) => existsSync(path))) return true;
  return roots
    .map((root) => join(root, 'vulkan/icd.d'))
    .some((folder) => existsSync(folder) && readdirSync(folder).length > 0);
}

function softwareWarning(description: string): string {
  const hint = description.startsWith('SwiftShader')
    ? 'install a GPU driver, or mesa-vulkan-drivers >= 25, whose lavapipe is several times faster'
    : 'install a GPU driver if the machine has a GPU';
  return `${description} computes on the CPU; ${hint}`;
}

function remedy(): string {
  if (process.platform === 'linux') {
    const shader =
      process.arch === 'x64' ? '`npm install @sparticuz/chromium` for SwiftShader, or install ' : 'install ';
    return `${shader}a GPU driver with Vulkan (and libvulkan1), or mesa-vulkan-drivers >= 25`;
  }
  if (process.platform === 'win32')
    return 'install the GPU driver of your vendor, or update Windows for its WARP';
  return 'run where there is a Metal device; virtual machines often have none';
}
