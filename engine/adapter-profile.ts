// What the engine asks of an adapter: the facts kernels choose by, and a device with everything it offers.
import type { AdapterProfile, Precision } from './dispatch.ts';
import { DeviceError } from './errors.ts';

const wantedFeatures: readonly GPUFeatureName[] = ['subgroups', 'timestamp-query', 'shader-f16'];

// WebGPU grants the small default limits unless asked: 128 MiB per binding, 16 KiB of workgroup memory.
const raisedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxUniformBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxBindingsPerBindGroup',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** Whether an adapter is a CPU rasteriser: SwiftShader, lavapipe or WARP. */
export function isSoftwareAdapter(info: GPUAdapterInfo): boolean {
  return (
    info.isFallbackAdapter ||
    info.vendor === 'google' ||
    (info.vendor === 'mesa' && info.architecture === 'software')
  );
}

/** The facts kernels choose their variant by. The limits are those of a device from `requestDevice`. */
export function adapterProfile(adapter: GPUAdapter): AdapterProfile {
  const { info, limits } = adapter;
  return {
    family: isSoftwareAdapter(info) ? 'software' : 'gpu',
    subgroupSize: adapter.features.has('subgroups') ? fixedSubgroupSize(info) : 0,
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    precision: 'f32',
    maxWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
  };
}

/** How a user wants a device to compute. */
export interface PrecisionOption {
  /**
   * `mixed`: products of matrices and convolutions keep their operands as f16 in workgroup memory and in packed copies,
   * which takes half the room, and add in f32. Tensors stay f32. Each factor is off by up to 2^-11 of itself, below
   * 6e-5 by up to 2^-25, and factors beyond 65504 overflow. By default all is f32.
   */
  readonly precision?: Precision;
}

/** Throws DeviceError where the adapter cannot compute in this precision. */
export function checkPrecision(where: string, adapter: GPUAdapter, precision: Precision): void {
  if (precision === 'f32' || adapter.features.has('shader-f16')) return;
  throw new DeviceError(
    `${where}: ${describeAdapter(adapter)} has no f16 in kernels (feature shader-f16); leave out precision '${precision}', or use another adapter`,
  );
}

/**
 * A device with every limit at the adapter's maximum, and subgroups, timestamps and f16 where there are any.
 * Throws DeviceError when the adapter refuses; an adapter gives one device only.
 */
export async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredFeatures = wantedFeatures.filter((name) => adapter.features.has(name));
  const requiredLimits: Record<string, number> = {};
  for (const name of raisedLimits) requiredLimits[name] = adapter.limits[name];
  try {
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
    keepAlive(device, adapter);
    return device;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new DeviceError(
      `requestDevice: the adapter refused a device (${reason}); request a new adapter for each device`,
      { cause },
    );
  }
}

/**
 * Keeps `needed` from being collected before `owner`. dawn.node forgets that a device lives in the instance its adapter
 * came from: once that is collected, the next use of the device is a use after free and Node dies without a message.
 */
export function keepAlive(owner: GPUDevice | GPUAdapter, needed: GPUAdapter | GPU): void {
  Object.defineProperty(owner, Symbol('kept alive'), { value: needed });
}

/** One line for logs and reports: `SwiftShader (software, google swiftshader, 4 subgroup lanes)`. */
export function describeAdapter(adapter: GPUAdapter): string {
  const { info } = adapter;
  const { family, subgroupSize } = adapterProfile(adapter);
  const maker = [info.vendor, info.architecture].filter(Boolean).join(' ');
  const lanes = subgroupSize > 0 ? `${subgroupSize} subgroup lanes` : 'no subgroups of fixed size';
  return `${nameOf(info)} (${[family, maker, lanes].filter(Boolean).join(', ')})`;
}

/** The name people know: drivers report `swiftshader-device-subzero-` and the like, browsers nothing. */
function nameOf(info: GPUAdapterInfo): string {
  if (info.architecture === 'swiftshader') return 'SwiftShader';
  if (info.device.startsWith('llvmpipe')) return 'lavapipe';
  return info.device || info.description || 'unnamed adapter';
}

/** Lanes per subgroup when the adapter promises one number of them that kernels are written for, else 0. */
function fixedSubgroupSize({ subgroupMinSize, subgroupMaxSize }: GPUAdapterInfo): number {
  const isFixed = subgroupMinSize === subgroupMaxSize;
  const isPowerOfTwo = (subgroupMinSize & (subgroupMinSize - 1)) === 0;
  return isFixed && isPowerOfTwo && subgroupMinSize >= 4 ? subgroupMinSize : 0;
}
