// Opens a WebGPU device in Node. Browsers use browser-device.ts; nothing else knows the difference.
import { readFileSync } from 'node:fs';
import { loadShaders } from '../shaders/catalogue.ts';
import { adapterProfile, checkPrecision, type PrecisionOption, requestDevice } from './adapter-profile.ts';
import type { AdapterProfile } from './dispatch.ts';
import { GpuDevice } from './gpu-device.ts';
import { requestNodeAdapter } from './node-adapter.ts';
import { tunedProfile } from './tuning.ts';
import { loadTuning } from './tuning-file.ts';

/** How `openDevice` opens. */
export interface OpenDeviceOptions extends PrecisionOption {
  /** Told what the user should know of the adapter. */
  readonly log?: (line: string) => void;
  /** What kernels shall believe of the adapter instead of the truth, for measurements. */
  readonly profile?: Partial<AdapterProfile>;
}

/**
 * The best device of this machine: a GPU where there is one, else a software adapter, with a warning through `log`. It
 * chooses its kernels as `isnet doctor --tune` has found, where that was run with this driver and these kernels.
 * Rejects with DeviceError, saying what to install, when there is neither, and when the device lacks the precision.
 */
export async function openDevice({
  log,
  precision = 'f32',
  profile: overrides,
}: OpenDeviceOptions = {}): Promise<GpuDevice> {
  const { adapter, description, warning } = await requestNodeAdapter();
  const driver = adapter.info.description;
  if (warning) log?.(warning);
  checkPrecision('openDevice', adapter, precision);
  const truth = { ...adapterProfile(adapter), precision };
  const device = await requestDevice(adapter);
  // Synchronously: the files are small, and nothing else could go on without them.
  const texts = await loadShaders(async (url) => readFileSync(url, 'utf8'));
  const known = await loadTuning({ description, driver, texts });
  const tuned = known && !known.outdated ? tunedProfile(truth, known.tuning) : truth;
  const profile = { ...tuned, ...overrides };
  return new GpuDevice({ device, profile, texts, description, driver });
}
