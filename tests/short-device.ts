// Devices with less than the adapter of this machine has: software adapters promise any memory, and fail when it is written to.
import { readFile } from 'node:fs/promises';
import { adapterProfile, requestDevice } from '../engine/adapter-profile.ts';
import { GpuDevice } from '../engine/gpu-device.ts';
import { requestNodeAdapter } from '../engine/node-adapter.ts';
import { loadShaders } from '../shaders/catalogue.ts';

/** What an emulated adapter has less of than the one of this machine, in bytes. */
export interface Shortage {
  /** Of one buffer. */
  readonly bindingSize?: number;
  /** Of all buffers together: beyond it the driver says that it has no memory. */
  readonly memory?: number;
}

/** The device itself but for what is short. */
export function withShortage(
  device: GPUDevice,
  { bindingSize, memory = Number.POSITIVE_INFINITY }: Shortage,
): GPUDevice {
  const { limits } = device;
  let [takenBytes, isRefused] = [0, false];
  const emulated: Readonly<Record<string | symbol, unknown>> = {
    limits: {
      maxStorageBufferBindingSize: bindingSize ?? limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    },
    createBuffer(descriptor: GPUBufferDescriptor) {
      const { size, mappedAtCreation } = descriptor;
      isRefused = takenBytes + size > memory;
      // As WebGPU says it of what is mapped; of the rest the error scope tells.
      if (isRefused && mappedAtCreation) throw new RangeError('no memory');
      const buffer = device.createBuffer(descriptor);
      if (isRefused) return buffer;
      takenBytes += size;
      let left = size;
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        takenBytes -= left;
        left = 0;
        return destroy();
      };
      return buffer;
    },
    popErrorScope() {
      const refusal = isRefused ? { message: 'no memory' } : null;
      return device.popErrorScope().then((error) => error ?? refusal);
    },
  };
  return new Proxy(device, {
    get(target, name) {
      if (name in emulated) return emulated[name];
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A device of this machine's adapter with less than that has; close it. */
export async function openShortDevice(shortage: Shortage): Promise<GpuDevice> {
  const found = await requestNodeAdapter();
  return new GpuDevice({
    device: withShortage(await requestDevice(found.adapter), shortage),
    profile: adapterProfile(found.adapter),
    texts: await loadShaders((url) => readFile(url, 'utf8')),
    description: found.description,
    driver: found.adapter.info.description,
  });
}
