// Opens a WebGPU device in Node. Browsers use browser-device.ts; nothing else knows the difference.
import { readFile } from 'node:fs/promises';
import { loadShaders } from '../shaders/catalogue.ts';
import { adapterProfile, requestDevice } from './adapter-profile.ts';
import { GpuDevice } from './gpu-device.ts';
import { requestNodeAdapter } from './node-adapter.ts';

/**
 * The best device of this machine: a GPU where there is one, else a software adapter, with a warning through `log`.
 * Rejects with DeviceError, saying what to install, when there is neither.
 */
export async function openDevice({ log }: { log?: (line: string) => void } = {}): Promise<GpuDevice> {
  // The whole object stays referenced through onClose: Dawn crashes when its instance is collected.
  const found = await requestNodeAdapter();
  const { adapter, description, warning } = found;
  if (warning) log?.(warning);
  const profile = adapterProfile(adapter);
  const device = await requestDevice(adapter);
  const texts = await loadShaders((url) => readFile(url, 'utf8'));
  return new GpuDevice({ device, profile, texts, description, onClose: () => found.release() });
}
