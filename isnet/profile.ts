// Which kernels a training step spends its time on.
import type { GpuDevice } from '../engine/gpu-device.ts';
import { release } from '../engine/tensor.ts';
import type { RunConfig } from './config.ts';
import type { BatchSource } from './data/source.ts';
import { createModel, createOptimizer, inputOf, runningRangeOf, trainingOptions } from './from-config.ts';
import { type KernelProfile, profileRuns } from './kernel-profile.ts';
import { type Role, stagesOf } from './stage.ts';
import { startPosition } from './training-position.ts';
import { TrainingSteps } from './training-steps.ts';

/** Kernels of the training steps of one model. */
export interface StepProfile extends KernelProfile {
  readonly role: Role;
}

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
    const profile = await profileRuns(device, (step) =>
      release(steps.take(batch, { ...startPosition, step }).losses),
    );
    profiles.push({ role, ...profile });
    steps.dispose();
    running?.dispose();
    optimizer.dispose();
    model.dispose();
  }
  return profiles;
}
