// How long the device computes, by its own clock: a timestamp before and after every compute pass that a function encodes.
// The engine knows nothing of it: while we measure, the encoders that the WebGPU device makes are ours.
import type { GpuDevice } from '../engine/gpu-device.ts';
import { BUFFER_USAGE, MAP_READ } from '../engine/gpu-flags.ts';
import { waitPolitely } from '../engine/patience.ts';

// The most queries a set may have; two per pass.
const MOST_QUERIES = 4096;
const QUERY_RESOLVE = 0x200;

/**
 * Milliseconds that the compute passes encoded by `work` took on the device, summed; copies and gaps between passes are
 * not in it. Null where the device has no timestamps, when `work` encodes no pass, or more than 2048. `work` must have
 * submitted all that it encodes.
 */
export async function deviceMs(device: GpuDevice, work: () => Promise<void>): Promise<number | null> {
  const { raw } = device;
  if (!raw.features.has('timestamp-query')) return null;
  // What is encoded already belongs to somebody else.
  device.flush();
  const querySet = raw.createQuerySet({ type: 'timestamp', count: MOST_QUERIES });
  let queryCount = 0;
  const createCommandEncoder = raw.createCommandEncoder.bind(raw);
  raw.createCommandEncoder = (descriptor) => {
    const encoder = createCommandEncoder(descriptor);
    const beginComputePass = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (pass) => {
      const at = queryCount;
      queryCount += 2;
      if (queryCount > MOST_QUERIES) return beginComputePass(pass);
      const timestampWrites = { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
      return beginComputePass({ ...pass, timestampWrites });
    };
    return encoder;
  };
  try {
    await work();
    device.flush();
  } finally {
    // The prototype's own shows again.
    Reflect.deleteProperty(raw, 'createCommandEncoder');
  }
  try {
    if (queryCount === 0 || queryCount > MOST_QUERIES) return null;
    return sumOfSpans(await resolve(raw, querySet, queryCount));
  } finally {
    querySet.destroy();
  }
}

async function resolve(raw: GPUDevice, querySet: GPUQuerySet, count: number): Promise<BigUint64Array> {
  const size = count * 8;
  const resolved = raw.createBuffer({ size, usage: QUERY_RESOLVE | BUFFER_USAGE.copySource });
  const staging = raw.createBuffer({ size, usage: BUFFER_USAGE.copyDestination | BUFFER_USAGE.mapRead });
  const encoder = raw.createCommandEncoder();
  encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
  raw.queue.submit([encoder.finish()]);
  await waitPolitely(staging.mapAsync(MAP_READ));
  const times = new BigUint64Array(staging.getMappedRange().slice(0));
  resolved.destroy();
  staging.destroy();
  return times;
}

/** Sum of end - begin over pairs of nanoseconds, in milliseconds. */
function sumOfSpans(times: BigUint64Array): number {
  let sum = 0n;
  for (let i = 0; i < times.length; i += 2) sum += times[i + 1] - times[i];
  return Number(sum) / 1e6;
}
