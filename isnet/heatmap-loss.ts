// The ISNet's heatmap loss: little relevance on the background (L1), enough but not too much on the foreground (L2).
// Bassi et al. 2024 (Nature Communications 15:291) and 2024 (IEEE Access 12), in the form of the authors' code.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { add, div, mean, mul, square, sub, sumProduct } from '../engine/ops/arithmetic.ts';
import { reshape, sum } from '../engine/ops/broadcast.ts';
import { abs, log1p, relu, step } from '../engine/ops/pointwise.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { gwrp } from './gwrp.ts';

export interface HeatmapLossOptions {
  /** Weights of L1 and L2 (A and B in the authors' code). Default 1 and 1. */
  readonly w1?: number;
  readonly w2?: number;
  /** Decay of the ranked pooling: 1 / (1 - d) pixels count. Default 0.9. */
  readonly d?: number;
  /** Scale of the background term: log(1 + g / E). Default 1. */
  readonly E?: number;
  /** Natural range of the foreground relevance. Default 1 and 25. */
  readonly C1?: number;
  readonly C2?: number;
  /** 'hybrid' grows linearly above C1 + C2. Default 'L2'. */
  readonly foreground?: 'L2' | 'hybrid';
  /** What |R| is divided by: its foreground mean, that of the signed R, or nothing (times elements). */
  readonly norm?: 'absRoIMean' | 'RoIMean' | 'none';
}

/** Parts of the loss, per map and sample [K, N]. */
export interface HeatmapLoss {
  /** w1 background + w2 foreground, averaged over maps: [N]. */
  readonly perSample: Tensor;
  readonly background: Tensor;
  readonly foreground: Tensor;
}

// The authors' guards against division by zero.
const TINY = 1e-10;

function checkShapes(maps: Tensor, mask: Tensor): void {
  const [, N, , H, W] = maps.shape;
  const fits =
    maps.shape.length === 5 &&
    mask.shape.length === 4 &&
    mask.shape[0] === N &&
    mask.shape[1] === 1 &&
    mask.shape[2] === H &&
    mask.shape[3] === W;
  if (!fits) {
    throw new ShapeError(
      `heatmapLoss: maps are ${formatShape(maps.shape)} and the mask ${formatShape(mask.shape)}; they must be [K, N, C, H, W] and [N, 1, H, W]`,
    );
  }
}

/** Foreground sum f = sum |R| M and what |R| is divided by, both [K, N]. */
function foregroundOf(
  maps: Tensor,
  magnitude: Tensor,
  mask: Tensor,
  norm: NonNullable<HeatmapLossOptions['norm']>,
) {
  const [, , C, H, W] = maps.shape;
  const inMask = (t: Tensor) => sumProduct(t, mask, [2, 3, 4]);
  const total = inMask(magnitude);
  const count = add(mul(sum(mask, [1, 2, 3]), C), TINY);
  if (norm === 'none') return { total, divisor: div(add(mul(total, 0), 1), C * H * W) };
  const signed = norm === 'RoIMean' ? abs(div(inMask(maps), count)) : div(total, count);
  return { total, divisor: add(signed, TINY) };
}

/** max(0, 1 - f/C1)^2 + upper term; the hybrid one is linear above C1 + C2, continuous in value. */
function rangeLoss(f: Tensor, C1: number, C2: number, form: 'L2' | 'hybrid'): Tensor {
  const ratio = div(f, C1);
  const below = square(relu(sub(1, ratio)));
  const above = square(relu(sub(ratio, C2 / C1)));
  if (form === 'L2') return add(below, above);
  const isFar = step(sub(f, C1 + C2));
  const linear = add(sub(f, C1 + C2), 1);
  return add(below, add(mul(above, sub(1, isFar)), mul(linear, isFar)));
}

/**
 * L = w1 L1 + w2 L2 for maps R [K, N, C, H, W] and masks M [N, 1, H, W] (1 = foreground, 0 = background).
 *   L1 = mean over maps and channels of log(1 + GWRP_d(|R| (1 - M) / m) / E),  m = mean of |R| over the foreground
 *   L2 = mean over maps of max(0, 1 - f/C1)^2 + max(0, f/C1 - C2/C1)^2,        f = sum of |R| over the foreground
 * Unlike the authors' -log(1 - g / (g + E)) the first is log1p: equal in exact arithmetic, without a dead gradient.
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
  } = options;
  checkShapes(maps, mask);
  if (!(C1 > 0 && C2 > C1 && E > 0)) {
    throw new UsageError(
      `heatmapLoss: C1 = ${C1}, C2 = ${C2}, E = ${E}; they must satisfy 0 < C1 < C2 and E > 0`,
    );
  }
  const [K, N, C, H, W] = maps.shape;
  const magnitude = abs(maps);
  const { total, divisor } = foregroundOf(maps, magnitude, mask, norm);
  const outside = reshape(mul(magnitude, sub(1, mask)), [K, N, C, H * W]);
  // Ranked pooling scales with its input, so we divide K N C numbers instead of K N C H W.
  const g = div(gwrp(outside, d), reshape(divisor, [K, N, 1]));
  const background = mean(log1p(div(g, E)), [2]);
  const foreground = rangeLoss(total, C1, C2, form);
  const perSample = mean(add(mul(background, w1), mul(foreground, w2)), [0]);
  return { perSample, background, foreground };
}
