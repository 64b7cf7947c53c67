// One adapter for all: libraries made for browsers find the GPU that our engine would use, under the browser's names.
import { type NodeAdapter, requestNodeAdapter } from '../../engine/node-adapter.ts';

let held: NodeAdapter | undefined;

/** Puts `navigator.gpu` and the WebGPU constants in place, for good. Returns the adapter's description. */
export async function provideGpu(): Promise<string> {
  held ??= await requestNodeAdapter();
  const { globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const navigator = { gpu: held.gpu, userAgent: 'Node', platform: process.platform };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  return held.description;
}

/**
 * Makes errors of a device count: libraries leave them to the console, and what was refused was not computed, fast. Returns
 * a function that throws the first one so far.
 */
export function watchErrors(device: GPUDevice): () => void {
  let failure: string | undefined;
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    failure ??= event.error.message.trim().split('\n')[0];
  });
  return () => {
    if (failure) throw new Error(`WebGPU refused its commands: ${failure}`);
  };
}
