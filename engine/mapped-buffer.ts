// How numbers get into a buffer that did not exist before; and what happens where there is no memory for it.
import { OutOfMemoryError } from './errors.ts';

/**
 * A buffer of `size` bytes that `fill` has written to, ready to be used. Throws OutOfMemoryError, in the name of `where`, when
 * there is no memory for it: of what is mapped as it is made, WebGPU says so at once, by a RangeError.
 */
export function mappedBuffer(
  device: GPUDevice,
  { size, usage, where }: { readonly size: number; readonly usage: number; readonly where: () => string },
  fill: (bytes: ArrayBuffer) => void,
): GPUBuffer {
  const buffer = created(device, size, usage, where);
  fill(buffer.getMappedRange());
  buffer.unmap();
  return buffer;
}

function created(device: GPUDevice, size: number, usage: number, where: () => string): GPUBuffer {
  try {
    return device.createBuffer({ size, usage, mappedAtCreation: true });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new OutOfMemoryError(
      `${where()}: no memory for ${size} bytes on their way to the device; use a smaller batch, or close other programs`,
      { cause },
    );
  }
}
