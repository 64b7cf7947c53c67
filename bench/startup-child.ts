// One start-up: a process that opens a device, computes, trains one step, and says how long after its birth that was.
import { read, tensor } from '../engine/create.ts';
import { DeviceError } from '../engine/errors.ts';
import { openDevice } from '../engine/node-device.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { waitPolitely } from '../engine/patience.ts';
import { scope } from '../engine/scope.ts';
import type { StartupTimes } from './startup.ts';
import { stepCases } from './step.ts';

const N = 256;
const device = await openDevice();
const ones = tensor(device, new Float32Array(N * N).fill(1), [N, N]);
const product = await read(matmul(ones, ones));
// Counted from the birth of the process, as all times of performance.now().
const firstResultMs = performance.now();
if (product.some((x) => x !== N)) {
  throw new DeviceError(
    `startup: a product of ones is ${product[0]}, not ${N}; run \`npm test\` on this adapter`,
  );
}
const workload = stepCases[0].prepare(device, false);
scope(device, () => {
  workload.call();
});
device.flush();
await waitPolitely(device.raw.queue.onSubmittedWorkDone());
const times: StartupTimes = { firstResultMs, firstStepMs: performance.now() };
workload.close();
await device.close();
console.log(JSON.stringify(times));
