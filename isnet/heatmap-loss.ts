// The ISNet's heatmap loss: little relevance on the background (L1), enough but not too much on the foreground (L2).
// Bassi et al. 2024 (Nature Communications 15:291) and 2024 (IEEE Access 12), in the form of the authors' code.
import { literal } from '../engine/create.ts';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { add, div, mean, mul, type Operand, square, sub, sumProduct } from '../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../engine/ops/broadcast.ts';
import { abs, log1p, maximum, relu, step } from '../engine/ops/pointwise.ts';
import { formatShape, isSameShape } from '../engine/shape.ts';
import { Tensor } from '../engine/tensor.ts';
import { gwrp } from './gwrp.ts';

export interface HeatmapLossOptions {
  /** Weights of L1 and L2 (A and B in the authors' code). Default 1 and 1. */
  readonly w1?: number;
  readonly w2?: number;
  /** Decay of the ranked pooling: 1 / (1 - d) pixels count. Default 0.9. */
  readonly d?: number;
  /** Scale of the background term: log(1 + g / E). Default 1. */
  readonly E?: number;
  /** Natural range of the foreground relevance: for all maps, or one number per map. Default 1 and 25. */
  readonly C1?: number | readonly number[] | Tensor;
  readonly C2?: number | readonly number[] | Tensor;
  /** 'hybrid' grows linearly above C1 + C2. Default 'L2'. */
  readonly foreground?: 'L2' | 'hybrid';
  /** What |R| is divided by: its foreground mean, that of the signed R, or nothing (times elements). */
  readonly norm?: 'absRoIMean' | 'RoIMean' | 'none';
  /** Default 'all-background'. */
  readonly emptyMasks?: EmptyMasks;
  /**
   * How many maps the mean is over, for each sample [N] if only some of them count. Told where these are some of the maps:
   * the losses of all groups then add up to that of all maps.
   */
  readonly mapCount?: number | Tensor;
}

/**
 * What a map with an empty mask means. `all-background`: there is no object, so all its relevance is penalised, relative to
 * C1, and none is demanded. `skip`: the map does not count.
 */
export type EmptyMasks = 'all-background' | 'skip';

/** Parts of the loss, per map and sample [K, N]. */
export interface HeatmapLoss {
  /** w1 background + w2 foreground, averaged over maps: [N]. */
  readonly perSample: Tensor;
  readonly background: Tensor;
  readonly foreground: Tensor;
  /** 1 for samples of which a map counts, else 0 (and a loss of 0): [N]. Null if all do. */
  readonly counts: Tensor | null;
}

// The authors' guards against division by zero.
const TINY = 1e-10;

function checkShapes(maps: Tensor, mask: Tensor): void {
  const [K, N, , H, W] = maps.shape;
  const expected = mask.shape.length === 5 ? [K, N, 1, H, W] : [N, 1, H, W];
  if (maps.shape.length !== 5 || !isSameShape(mask.shape, expected)) {
    throw new ShapeError(
      `heatmapLoss: maps are ${formatShape(maps.shape)} and the mask ${formatShape(mask.shape)}; they must be [K, N, C, H, W] and [N, 1, H, W] or [K, N, 1, H, W]`,
    );
  }
}

/** A bound as an operand beside [K, N]: one number, or a column [K, 1]. Throws UsageError or ShapeError if it cannot be. */
function boundOf(name: 'C1' | 'C2', value: number | readonly number[] | Tensor, maps: Tensor): Operand {
  if (typeof value === 'number') return value;
  const [K] = maps.shape;
  const t = value instanceof Tensor ? value : literal(maps.device, value, [value.length]);
  if (t.shape.length > 1 || (t.shape[0] ?? K) !== K) {
    throw new ShapeError(
      `heatmapLoss: ${name} is ${formatShape(t.shape)} for ${K} maps; give one number, or one per map`,
    );
  }
  return t.shape.length === 0 ? t : reshape(t, [K, 1]);
}

/** Bounds in numbers are checked; those in tensors are whoever's made them. */
function checkBounds(C1: HeatmapLossOptions['C1'], C2: HeatmapLossOptions['C2'], E: number): void {
  const numbersOf = (bound: typeof C1) => (bound instanceof Tensor ? null : [bound ?? Number.NaN].flat());
  const [low, high] = [numbersOf(C1), numbersOf(C2)];
  const isRange = !low || !high || low.every((c, i) => c > 0 && (high[i] ?? high[0]) > c);
  if (!isRange || !(E > 0)) {
    throw new UsageError(
      `heatmapLoss: C1 = ${low ?? C1}, C2 = ${high ?? C2}, E = ${E}; they must satisfy 0 < C1 < C2 and E > 0`,
    );
  }
}

/** max(0, 1 - f/C1)^2 + upper term; the hybrid one is linear above C1 + C2, continuous in value. */
function rangeLoss(f: Tensor, C1: Operand, C2: Operand, form: 'L2' | 'hybrid'): Tensor {
  const ratio = div(f, C1);
  const below = square(relu(sub(1, ratio)));
  const above = square(relu(sub(ratio, quotient(C2, C1))));
  if (form === 'L2') return add(below, above);
  const end = typeof C1 === 'number' && typeof C2 === 'number' ? C1 + C2 : add(C1, C2);
  const isFar = step(sub(f, end));
  const linear = add(sub(f, end), 1);
  return add(below, add(mul(above, sub(1, isFar)), mul(linear, isFar)));
}

const quotient = (a: Operand, b: Operand): Operand =>
  typeof a === 'number' && typeof b === 'number' ? a / b : div(a, b);

/** What is known of the foreground, per map and sample. */
interface Foreground {
  /** f = sum |R| M: [K, N]. */
  readonly total: Tensor;
  /** What |R| is divided by: [K, N]. */
  readonly divisor: Tensor;
  /** 1 where the mask is not empty: [N] or [K, N]. */
  readonly isThere: Tensor;
}

function foregroundOf(
  maps: Tensor,
  magnitude: Tensor,
  mask: Tensor,
  norm: NonNullable<HeatmapLossOptions['norm']>,
  C1: Operand,
): Foreground {
  const [, , C, H, W] = maps.shape;
  const inMask = (t: Tensor) => sumProduct(t, mask, [2, 3, 4]);
  const total = inMask(magnitude);
  const pixels = sum(mask, [-3, -2, -1]);
  const isThere = step(pixels);
  if (norm === 'none') return { total, divisor: div(add(mul(total, 0), 1), C * H * W), isThere };
  const count = add(mul(pixels, C), TINY);
  const average = norm === 'RoIMean' ? abs(div(inMask(maps), count)) : div(total, count);
  // Without a foreground there is nothing to divide by but the mean of a map at the lower end of the natural range.
  const natural = mul(sub(1, isThere), quotient(C1, C * H * W));
  return { total, divisor: add(add(average, natural), TINY), isThere };
}

/**
 * L = w1 L1 + w2 L2 for maps R [K, N, C, H, W] and masks M (1 = foreground, 0 = background), which are [N, 1, H, W], or
 * [K, N, 1, H, W] where each map has its own.
 *   L1 = mean over maps and channels of log(1 + GWRP_d(|R| (1 - M) / m) / E),  m = mean of |R| over the foreground
 *   L2 = mean over maps of max(0, 1 - f/C1)^2 + max(0, f/C1 - C2/C1)^2,        f = sum of |R| over the foreground
 * Unlike the authors' -log(1 - g / (g + E)) the first is log1p: equal in exact arithmetic, without a dead gradient. Maps
 * with an empty mask have no L2, and m = C1 / (C H W); or they are left out. Throws ShapeError and UsageError.
 */
export function heatmapLoss(maps: Tensor, mask: Tensor, options: HeatmapLossOptions = {}): HeatmapLoss {
  const {
    w1 = 1,
    w2 = 1,
    d = 0.9,
    E = 1,
    C1 = 1,
    C2 = 25,
    foreground: form = 'L2',
    norm = 'absRoIMean',
    emptyMasks = 'all-background',
    mapCount,
  } = options;
  checkShapes(maps, mask);
  checkBounds(C1, C2, E);
  const [K, N, C, H, W] = maps.shape;
  const [low, high] = [boundOf('C1', C1, maps), boundOf('C2', C2, maps)];
  const magnitude = abs(maps);
  const { total, divisor, isThere } = foregroundOf(maps, magnitude, mask, norm, low);
  const outside = reshape(mul(magnitude, sub(1, mask)), [K, N, C, H * W]);
  // Ranked pooling scales with its input, so we divide K N C numbers instead of K N C H W.
  const g = div(gwrp(outside, d), reshape(divisor, [K, N, 1]));
  const background = mean(log1p(div(g, E)), [2]);
  const foreground = mul(rangeLoss(total, low, high, form), isThere);
  const perMap = add(mul(background, w1), mul(foreground, w2));
  if (emptyMasks === 'all-background') {
    const perSample = mapCount === undefined ? mean(perMap, [0]) : div(sum(perMap, [0]), mapCount);
    return { perSample, background, foreground, counts: null };
  }
  const weights = expand(isThere, [K, N]);
  const count = mapCount instanceof Tensor ? mapCount : sum(weights, [0]);
  const perSample = div(sumProduct(perMap, weights, [0]), maximum(count, 1));
  return { perSample, background, foreground, counts: step(count) };
}

/** Mean of losses [N] over the samples with weight 1 rather than 0, [N] too; 0 if there are none. Returns []. */
export function meanWhere(perSample: Tensor, weights: Tensor | null): Tensor {
  if (!weights) return mean(perSample);
  return div(sumProduct(perSample, weights), maximum(sum(weights), 1));
}
