// Which kernels a training step spends its time on.
import type { GpuDevice } from '../engine/gpu-device.ts';
import { type DispatchSummary, type DispatchTime, summarize } from '../engine/profiler.ts';
import { release } from '../engine/tensor.ts';
import type { RunConfig } from './config.ts';
import type { BatchSource } from './data/source.ts';
import { createModel, createOptimizer, inputOf, runningRangeOf, trainingOptions } from './from-config.ts';
import { type Role, stagesOf } from './stage.ts';
import { startPosition } from './training-position.ts';
import { TrainingSteps } from './training-steps.ts';

/** Kernels of the training steps of one model. */
export interface StepProfile {
  readonly role: Role;
  readonly stepCount: number;
  /** All launches of all steps by name, the most expensive first. */
  readonly kernels: readonly DispatchSummary[];
}

// The first steps compile; of the others we take as many as give a mean.
const WARM_STEPS = 2;
const TIMED_STEPS = 5;
// The loss costs the same in any range.
const ANY_RANGE = { C1: 1, C2: 25 };

/**
 * Times every kernel of a few steps of each model that the configuration trains, from fresh weights; nothing is saved.
 * Rejects with DeviceError where the adapter has no timestamps.
 */
export async function profileSteps(
  device: GpuDevice,
  config: RunConfig,
  data: BatchSource,
): Promise<StepProfile[]> {
  const profiles: StepProfile[] = [];
  for (const { role, training } of stagesOf(config)) {
    if (role === 'range-copy') continue;
    const model = createModel(device, config.model, inputOf(data), config.seed).train();
    const optimizer = createOptimizer(training, model.namedParameters());
    const running = role === 'isnet' ? runningRangeOf(config.isnet, device, model) : null;
    const isnet = role === 'isnet' ? { config: config.isnet, model, range: running ?? ANY_RANGE } : undefined;
    const options = trainingOptions(training, config.seed, isnet);
    const steps = new TrainingSteps(device, model, optimizer, data, options);
    const indices = Uint32Array.from({ length: Math.min(training.batchSize, data.count) }, (_, i) => i);
    const batch = await data.batch(indices);
    const times: DispatchTime[] = [];
    for (let i = 0; i < WARM_STEPS + TIMED_STEPS; i++) {
      const timed = await device.profileDispatches(() => {
        release(steps.take(batch, { ...startPosition, step: i }).losses);
      });
      if (i >= WARM_STEPS) times.push(...timed);
    }
    profiles.push({ role, stepCount: TIMED_STEPS, kernels: summarize(times) });
    steps.dispose();
    running?.dispose();
    optimizer.dispose();
    model.dispose();
  }
  return profiles;
}

const columns = ['ms/step', 'time', 'bytes', 'GB/s', 'launches', 'op (kernel)'];
const widths = [9, 7, 7, 8, 9];

/** The kernels that take longest as a table; times and launches are per step. */
export function profileTable({ role, stepCount, kernels }: StepProfile, rowCount = 10): string {
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i < widths.length ? cell.padStart(widths[i]) : `  ${cell}`)).join('');
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  const rows = kernels
    .slice(0, rowCount)
    .map(({ name, ms, byteCount, count, timeShare, byteShare }) =>
      line([
        (ms / stepCount).toFixed(3),
        percent(timeShare),
        percent(byteShare),
        ms > 0 ? (byteCount / ms / 1e6).toFixed(2) : '-',
        (count / stepCount).toFixed(0),
        name,
      ]),
    );
  const sum = (pick: (kernel: DispatchSummary) => number) =>
    kernels.reduce((total, kernel) => total + pick(kernel), 0) / stepCount;
  const total = `${role}: ${sum(({ ms }) => ms).toFixed(2)} ms a step in ${sum(({ count }) => count).toFixed(0)} launches of ${kernels.length} kinds, mean of ${stepCount} steps`;
  return [total, '', line(columns), ...rows].join('\n');
}
