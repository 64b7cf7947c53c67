// In which of four ways each direction of conv2d runs: as a product of matrices, as one by taps, directly or by windows.
import type { AdapterProfile, ConvDirection, ConvGeometry, ConvVariant, KernelPlan } from '../dispatch.ts';
import { canBeDirect, isFastestDirect, planDirect } from './conv-direct.ts';
import { canBeWindows, isFastestByWindows, planWindows } from './conv-windows.ts';
import { canGoByTaps, isCheaperByTaps, planConvProduct, planInputByTaps } from './gemm-conv.ts';

/**
 * One direction of conv2d. The output and the inputs, in order:
 *   forward  y [N, O, OH, OW] of x, w      input  dx [N, C, H, W] of dy, w      weight  dw [O, C/groups, kernel] of x, dy
 */
export function planConv2d(direction: ConvDirection, g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  // Sums of nothing.
  if (g.N * g.C * g.O === 0) return { steps: [{ clear: 'output' }] };
  const variant = chooseVariant(direction, g, adapter);
  if (variant === 'direct') return planDirect(direction, g, adapter);
  if (variant === 'windows') return planWindows(direction, g, adapter);
  return variant === 'taps' ? planInputByTaps(g, adapter) : planConvProduct(direction, g, adapter);
}

/** The ways in which a direction can be computed. */
export function possibleConvVariants(direction: ConvDirection, g: ConvGeometry): ConvVariant[] {
  const isPossible: Record<ConvVariant, boolean> = {
    product: true,
    taps: direction === 'input' && canGoByTaps(g),
    direct: canBeDirect(direction, g),
    windows: canBeWindows(direction, g),
  };
  return (Object.keys(isPossible) as ConvVariant[]).filter((variant) => isPossible[variant]);
}

/** The way that `adapter.chooseConv` names, if it is possible, else the one by rule. */
function chooseVariant(direction: ConvDirection, g: ConvGeometry, adapter: AdapterProfile): ConvVariant {
  const override = adapter.chooseConv?.(direction, g);
  const isPossible = override && possibleConvVariants(direction, g).includes(override);
  return isPossible ? override : convVariantByRule(direction, g, adapter);
}

/** The fastest way as far as a rule can tell, whatever `adapter.chooseConv` says. */
export function convVariantByRule(
  direction: ConvDirection,
  g: ConvGeometry,
  adapter: AdapterProfile,
): ConvVariant {
  const possible = possibleConvVariants(direction, g);
  if (possible.includes('windows') && isFastestByWindows(direction, g, adapter)) return 'windows';
  if (possible.includes('direct') && isFastestDirect(direction, g, adapter)) return 'direct';
  return possible.includes('taps') && isCheaperByTaps(g) ? 'taps' : 'product';
}
