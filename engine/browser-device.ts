// Opens a WebGPU device in a browser, on a page or in a worker. Node uses node-device.ts; nothing else knows the difference.
import { loadShaders } from '../shaders/catalogue.ts';
import {
  adapterProfile,
  checkPrecision,
  describeAdapter,
  type PrecisionOption,
  requestDevice,
} from './adapter-profile.ts';
import { DeviceError } from './errors.ts';
import { GpuDevice } from './gpu-device.ts';

/**
 * The best device that the browser gives; a software adapter is reported through `log`. Rejects with DeviceError, saying
 * what to do, when the page has no WebGPU, the browser gives no adapter, or a kernel cannot be fetched.
 */
export async function openBrowserDevice({
  log,
  precision = 'f32',
}: PrecisionOption & { readonly log?: (line: string) => void } = {}): Promise<GpuDevice> {
  const adapter = await requestBrowserAdapter();
  checkPrecision('openBrowserDevice', adapter, precision);
  const profile = { ...adapterProfile(adapter), precision };
  const description = describeAdapter(adapter);
  if (profile.family === 'software') {
    log?.(
      `openBrowserDevice: ${description} computes on the CPU; switch on hardware acceleration in the browser's settings`,
    );
  }
  // Before the device, which would have to be destroyed if a kernel were missing.
  const texts = await loadShaders(fetchKernel);
  const device = await requestDevice(adapter);
  return new GpuDevice({ device, profile, texts, description, driver: adapter.info.description });
}

async function requestBrowserAdapter(): Promise<GPUAdapter> {
  // Browsers leave the whole attribute out where they have no WebGPU, and on pages that are not secure.
  const gpu: GPU | undefined = globalThis.navigator?.gpu;
  if (!gpu) {
    const reason =
      globalThis.isSecureContext === false
        ? 'the page is not secure; serve it over https, or from localhost'
        : 'there is no navigator.gpu; use Chrome or Edge 127, Safari 26 or Firefox 141, or newer, on a system for which they have WebGPU';
    throw new DeviceError(`openBrowserDevice: ${reason}`);
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new DeviceError(
      'openBrowserDevice: the browser gives no adapter; switch on hardware acceleration, update the GPU driver, or see chrome://gpu or about:support for the reason',
    );
  }
  // Kernels are chosen by it. Chromium had WebGPU for a year before it had this.
  const info: GPUAdapterInfo | undefined = adapter.info;
  if (!info) {
    throw new DeviceError(
      'openBrowserDevice: the adapter does not say what it is, because the browser is old; update it (Chrome and Edge: 127 or newer)',
    );
  }
  return adapter;
}

/** WGSL text behind a URL. Throws DeviceError, with what the server said, when it is not there. */
async function fetchKernel(url: URL): Promise<string> {
  const fail = (reason: string, cause?: unknown): never => {
    throw new DeviceError(
      `openBrowserDevice: kernel ${url.href} ${reason}; serve the .wgsl files beside the code (Vite in development: optimizeDeps.exclude 'isnet-webgpu')`,
      { cause },
    );
  };
  const response = await fetch(url).catch((cause: Error) =>
    fail(`cannot be fetched (${cause.message})`, cause),
  );
  if (!response.ok) fail(`gives status ${response.status}`);
  // Development servers answer an unknown address with the start page, which would fail only as WGSL.
  if (response.headers.get('content-type')?.startsWith('text/html')) fail('gives a web page');
  return response.text();
}
