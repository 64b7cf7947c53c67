// What an explanation costs beside a forward pass, for the three seeds that ISNets start relevance from.
import { tensor } from '../engine/create.ts';
import { type Device, release } from '../engine/tensor.ts';
import { isnetMaps } from '../isnet/maps.ts';
import type { Variant } from '../isnet/seeds.ts';
import type { BenchCase, Workload } from './case.ts';
import {
  BATCH_SIZE,
  CHECKED_SIZE,
  LABEL,
  newModel,
  randomImages,
  SIZE,
  STEP_TOLERANCE,
} from './small-net.ts';

/** A forward pass; with a variant, its heatmaps too: one map per class (original), or one (selective, stochastic). */
function prepare(device: Device, isCheck: boolean, variant: Variant | null): Workload {
  const model = newModel(device).eval();
  const { images, count } = randomImages(isCheck ? CHECKED_SIZE : BATCH_SIZE);
  const x = tensor(device, images, [count, 1, SIZE, SIZE]);
  const key = tensor(device, [1, 2], [2]);
  const call = () => {
    const logits = model.forward(x);
    return variant ? isnetMaps(model, x, logits, { variant }, key) : logits;
  };
  const close = () => {
    model.dispose();
    release(x);
    release(key);
  };
  return { call, result: call, close };
}

const common = {
  family: 'explain',
  size: LABEL,
  unit: 'images/s',
  workPerCall: BATCH_SIZE,
  tolerance: STEP_TOLERANCE,
};

const variants: readonly Variant[] = ['original', 'selective', 'stochastic'];

/** A forward pass alone, and one with each kind of explanation. */
export const explainCases: readonly BenchCase[] = [
  { ...common, name: 'forward', prepare: (device, isCheck) => prepare(device, isCheck, null) },
  ...variants.map((variant) => ({
    ...common,
    name: variant,
    prepare: (device: Device, isCheck: boolean) => prepare(device, isCheck, variant),
  })),
];
