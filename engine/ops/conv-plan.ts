// How the three directions of conv2d run: as products of matrices, or directly where those would have too few rows.
import type { AdapterProfile, KernelPlan } from '../dispatch.ts';
import { isDirect, planDirect } from './conv-direct.ts';
import { type ConvDirection, type ConvGeometry, planConvProduct } from './gemm-conv.ts';

/**
 * One direction of conv2d. The output and the inputs, in order:
 *   forward  y [N, O, OH, OW] of x, w      input  dx [N, C, H, W] of dy, w      weight  dw [O, C/groups, kernel] of x, dy
 */
export function planConv2d(direction: ConvDirection, g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  return isDirect(direction, g, adapter)
    ? planDirect(direction, g, adapter)
    : planConvProduct(direction, g, adapter);
}
