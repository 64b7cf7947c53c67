// Layers whose relevance goes back in shares that are known from the forward pass: gates and log-sum-exp pools.
import { mul } from '../../engine/ops/arithmetic.ts';
import { expand, reshape } from '../../engine/ops/broadcast.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { Gate } from '../../nn/gate.ts';
import { LogSumExpPool } from '../../nn/log-sum-exp-pool.ts';
import { perMap, relevanceShape } from '../maps.ts';

/**
 * Relevance R [K N, ...] of what a gate or a log-sum-exp pool has made of x, at x; null for what others have made.
 *   y = c x:                         R_i = R_i, the coefficients counting as weights (CP-LRP, Ali et al. 2022)
 *   y = log mean exp(r x) / r:       R_i = softmax(r x)_i R, so that all of it arrives
 */
export function sharesRule({ call }: Tensor): ((R: Tensor) => Tensor) | null {
  if (call?.layer instanceof Gate) return (R) => R;
  if (!(call?.layer instanceof LogSumExpPool)) return null;
  const { layer, input } = call;
  const pool = layer as LogSumExpPool;
  return (R) => {
    const at = relevanceShape(R, input);
    return perMap(mul, expand(reshape(R, [at[0], at[1], 1, 1]), at), pool.shares(input));
  };
}
