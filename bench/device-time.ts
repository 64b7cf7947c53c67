// How long the device computes, by its own clock.
import type { GpuDevice } from '../engine/gpu-device.ts';

/**
 * Milliseconds that the kernels encoded by `work` took on the device, summed; copies and gaps between kernels are not in
 * it. Null where the device has no timestamps, or when `work` computes nothing.
 */
export async function deviceMs(device: GpuDevice, work: () => Promise<unknown>): Promise<number | null> {
  if (!device.raw.features.has('timestamp-query')) return null;
  const launches = await device.profileDispatches(work);
  return launches.length === 0 ? null : launches.reduce((sum, { ms }) => sum + ms, 0);
}
