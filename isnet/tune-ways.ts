// Finds in which way a convolution is fastest on this machine (Node only), where that is another than the rules say.

import type { ConvVariant } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { convVariantByRule, possibleConvVariants } from '../engine/ops/conv-plan.ts';
import { convClass, type Tuning, tunedProfile } from '../engine/tuning.ts';
import { medianOf } from './evaluation/bootstrap.ts';
import { type ConvCase, timesOf, typicalConvolutions } from './tuning-cases.ts';

/** A direction of a convolution and the time of each way that is possible, in milliseconds per call. */
export interface TunedWay {
  /** Its class. */
  readonly name: string;
  readonly example: string;
  readonly ms: Readonly<Partial<Record<ConvVariant, number>>>;
  readonly byRule: ConvVariant;
  /** The way to take: `byRule`, unless another is clearly faster. */
  readonly best: ConvVariant;
}

/** Every way: the columns of a table of them. */
export const allWays: readonly ConvVariant[] = ['product', 'taps', 'direct', 'windows'];

/** A way must need less than this part of the time of the rule's: a class is wider than what was measured of it. */
const CLEARLY = 0.9;

/**
 * The way with the least median of times in ascending order, if it is clearly faster than the way by rule: by a tenth, and
 * half of its turns are faster than any of the rule's. Else the way by rule, among whose times it must be.
 */
export function clearlyBest(
  times: ReadonlyMap<ConvVariant, readonly number[]>,
  byRule: ConvVariant,
): ConvVariant {
  const medians = [...times].map(([way, each]) => [way, medianOf(each)] as const);
  const [best, ms] = medians.reduce((a, b) => (b[1] < a[1] ? b : a));
  const ruleTimes = times.get(byRule) ?? [];
  return ms < CLEARLY * medianOf(ruleTimes) && ms < ruleTimes[0] ? best : byRule;
}

/**
 * What is remembered: the way by class, if it was best for all that was measured of the class, and the rule would have sent any of
 * that another way.
 */
export function waysByClass(tuned: readonly TunedWay[]): Record<string, ConvVariant> {
  const ways: Record<string, ConvVariant> = {};
  for (const { name, best, byRule } of tuned) {
    const isAgreed = tuned.every((other) => other.name !== name || other.best === best);
    if (isAgreed && best !== byRule) ways[name] = best;
  }
  return ways;
}

/** What is measured, and how. */
export interface TuneWaysOptions {
  /** Told of each measurement. */
  readonly onWay?: (tuned: TunedWay) => void;
  /** By default convolutions that are typical for networks. */
  readonly cases?: readonly ConvCase[];
  /** By default the clock; see `timesOf`. */
  readonly measure?: (
    each: ConvCase,
    devices: readonly GpuDevice[],
    byRule?: GpuDevice,
  ) => Promise<number[][]>;
}

/**
 * Measures convolutions in all ways that are possible, with products as in `tuning` and in the precision of `device`. Returns the
 * tuning with the ways that beat the rules. The default cases take a minute or two.
 */
export async function tuneWays(
  device: GpuDevice,
  tuning: Tuning,
  { onWay, cases = typicalConvolutions, measure = timesOf }: TuneWaysOptions = {},
): Promise<Tuning> {
  const profile = tunedProfile(device.profile, tuning);
  const { precision, chooseGemm } = profile;
  const devices = new Map<ConvVariant, GpuDevice>();
  const deviceFor = async (way: ConvVariant): Promise<GpuDevice> => {
    const overrides = { chooseGemm, chooseConv: () => way };
    const opened = devices.get(way) ?? (await openDevice({ precision, profile: overrides }));
    devices.set(way, opened);
    return opened;
  };
  try {
    const tuned: TunedWay[] = [];
    for (const each of cases) {
      const { direction, sizes, name: example } = each;
      const byRule = convVariantByRule(direction, sizes, profile);
      const ways = possibleConvVariants(direction, sizes);
      const competing: GpuDevice[] = [];
      for (const way of ways) competing.push(await deviceFor(way));
      const lists = await measure(each, competing, devices.get(byRule));
      const ms = Object.fromEntries(ways.map((way, i) => [way, medianOf(lists[i])]));
      const best = clearlyBest(new Map(ways.map((way, i) => [way, lists[i]])), byRule);
      tuned.push({ name: convClass(direction, sizes, precision), example, ms, byRule, best });
      onWay?.(tuned[tuned.length - 1]);
    }
    return { ...tuning, ways: waysByClass(tuned) };
  } finally {
    for (const each of devices.values()) await each.close();
  }
}
