// The GPU of tests: opened before them and closed after them. Where there is no adapter they are skipped, in CI they fail.
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { DeviceError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { type NodeAdapter, requestNodeAdapter } from '../engine/node-adapter.ts';
import { type OpenDeviceOptions, openDevice } from '../engine/node-device.ts';
import type { Device } from '../engine/tensor.ts';

/** Why tests are skipped, said loudly. Throws `error` if it is about anything else, and in CI, where no test may be missing. */
function missingAdapter(error: unknown): string {
  const isMissing = error instanceof DeviceError && error.message.startsWith('requestNodeAdapter: ');
  if (!isMissing || process.env.CI === 'true') throw error;
  console.warn(`GPU tests are SKIPPED: ${error.message}`);
  return error.message;
}

/** Hands a device to the tests of this file, or of the `describe` around: all of them are skipped where there is none. */
export function withGpu(use: (gpu: GpuDevice) => void, options?: OpenDeviceOptions): void {
  let gpu: GpuDevice | undefined;
  let reason = '';
  beforeAll(async () => {
    try {
      gpu = await openDevice(options);
      use(gpu);
    } catch (error) {
      reason = missingAdapter(error);
    }
  });
  beforeEach(({ skip }) => skip(!gpu, reason));
  afterAll(() => gpu?.close());
}

/** For tests that must say the same of both: `describe.each(bothDevices)`. */
export const bothDevices: readonly {
  readonly name: string;
  readonly withDevice: (use: (device: Device) => void) => void;
}[] = [
  { name: 'CPU', withDevice: (use) => use(new CpuDevice()) },
  { name: 'GPU', withDevice: withGpu },
];

/** What `open` gives; null where there is no adapter. */
async function orNull<T>(open: () => Promise<T>): Promise<T | null> {
  try {
    return await open();
  } catch (error) {
    missingAdapter(error);
    return null;
  }
}

/** A device for the tests that `skipIf(!gpu)` lets run; null where there is no adapter. */
export const openGpu = (): Promise<GpuDevice | null> => orNull(openDevice);

/** The same for tests that make a device of their own. */
export const findAdapter = (): Promise<NodeAdapter | null> => orNull(requestNodeAdapter);

/** Whether there is an adapter, for tests that open devices elsewhere, as in processes of their own. */
export async function hasGpu(): Promise<boolean> {
  const found = await findAdapter();
  found?.release();
  return found !== null;
}
