// The maps of all classes in groups, for networks of more classes than there is memory for maps: the heatmap loss is a mean
// over maps, so those of groups add up to it.
import { UsageError } from '../engine/errors.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { slice } from '../engine/ops/layout.ts';
import { step } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { EmptyMasks } from './heatmap-loss.ts';
import type { ClassRange, Variant } from './seeds.ts';

/** Groups of `atOnce` classes, the last of which may be smaller; undefined, for all of them, where there is but one. */
export function classGroups(classCount: number, atOnce = classCount): (ClassRange | undefined)[] {
  if (atOnce >= classCount) return [undefined];
  return Array.from({ length: Math.ceil(classCount / atOnce) }, (_, i) => ({
    from: i * atOnce,
    count: Math.min(atOnce, classCount - i * atOnce),
  }));
}

/** Of masks for each class [classes, N, 1, H, W] those of the group; others [N, 1, H, W] are for all classes. */
export function masksOfClasses(masks: Tensor, classes?: ClassRange): Tensor {
  if (!classes || masks.shape.length === 4) return masks;
  return slice(masks, [classes.from, 0, 0, 0, 0], [classes.count, ...masks.shape.slice(1)]);
}

/** How many maps of all classes count, of which those of a group are some: [N] where empty masks do not. */
export function mapCountOf(masks: Tensor, classCount: number, emptyMasks: EmptyMasks): number | Tensor {
  if (emptyMasks === 'all-background') return classCount;
  const isThere = step(sum(masks, [-3, -2, -1]));
  return masks.shape.length === 4 ? mul(isThere, classCount) : sum(isThere, [0]);
}

/** What decides whether the maps can be taken in groups. */
export interface GroupingOptions {
  readonly classesAtOnce?: number;
  readonly variant: Variant;
  readonly runningRange?: object;
  readonly deepSupervision?: readonly string[];
  readonly dLoss?: number;
}

/** Throws UsageError where there is nothing to group, or the heatmap loss is no sum over groups of classes. */
export function checkClassesAtOnce(options: GroupingOptions): void {
  const { classesAtOnce, variant, runningRange, deepSupervision = [], dLoss = 1 } = options;
  if (classesAtOnce === undefined) return;
  const fail = (what: string, advice: string): never => {
    throw new UsageError(`isnet: classesAtOnce is ${classesAtOnce}, ${what}; ${advice}`);
  };
  if (!Number.isInteger(classesAtOnce) || classesAtOnce < 1) {
    fail('which is no number of classes', 'use a whole number from 1 up');
  }
  if (variant !== 'original') {
    fail(`and variant ${variant} has no map for each class`, 'leave it out, or use variant original');
  }
  if (runningRange) fail('and a running range looks at all maps together', 'give C1 and C2 as numbers');
  if (deepSupervision.length > 0 && dLoss < 1) {
    fail(`and dLoss ${dLoss} ranks depths by their losses over all classes`, 'use dLoss 1');
  }
}
