// What a rule is. All z-rules are one equation with different parts, so the equation stands here once, and a rule says
// only what its parts are. The leak report reads the same parts: it cannot disagree with what was propagated.
import { add, mul } from '../engine/ops/arithmetic.ts';
import type { Tensor } from '../engine/tensor.ts';
import { transpose } from '../engine/transpose.ts';
import type { AffineCall, BiasPolicy } from './affine.ts';
import { perMap, relevanceShape } from './maps.ts';
import { dividedBy, type Stabilizer } from './stabilizer.ts';

/** One linear term L(x; weight) of a group: x [N or 1, ...] beside a weight of the layer's shape. */
export interface Part {
  readonly x: Tensor;
  readonly weight: Tensor;
}

/** Terms that share one denominator: z = sum_m L(x_m; W_m) + bias. */
export interface Group {
  /** Weight of the group among those of the rule; alpha and -beta. Default 1. */
  readonly factor?: number;
  readonly parts: readonly Part[];
  readonly bias: Tensor | null;
  /** Outputs [N, ...] that the group answers for, as 0 and 1; all by default. */
  readonly mask?: Tensor;
}

/** A rule with its options. `R` is [K N, ...] at the call's output; the result is at its input. */
export interface Rule {
  readonly name: string;
  readonly options: Readonly<Record<string, number | string>>;
  /** Null for rules that are no z-rule, such as `pass`. */
  readonly groups: ((call: AffineCall) => Group[]) | null;
  readonly stabilizer: Stabilizer;
  /** Policy for this rule alone; default the composite's. */
  readonly bias?: BiasPolicy;
  propagate(call: AffineCall, R: Tensor): Tensor;
}

/** The denominator of a group before it is stabilised. */
export function denominator({ apply }: AffineCall, { parts, bias }: Group): Tensor {
  return parts
    .map(({ x, weight }, m) => apply(x, { weight, bias: m === 0 ? bias : null }))
    .reduce((sum, z) => add(sum, z));
}

/** Relevance per unit of z: s = mask R / stab(z), times the group's factor. */
export function messages(call: AffineCall, group: Group, R: Tensor, stabilizer: Stabilizer): Tensor {
  const { factor = 1, mask } = group;
  const own = mask ? perMap(mul, R, mask) : R;
  const s = dividedBy(own, denominator(call, group), stabilizer);
  return factor === 1 ? s : mul(s, factor);
}

/** R_in = sum over groups and parts of x_m L^T(s; W_m). */
function propagateGroups(
  call: AffineCall,
  groups: readonly Group[],
  R: Tensor,
  stabilizer: Stabilizer,
): Tensor {
  const contributions = groups.flatMap((group) => {
    const s = messages(call, group, R, stabilizer);
    return group.parts.map(({ x, weight }) => {
      const pulled = transpose(
        (input) => call.apply(input, { weight, bias: null }),
        relevanceShape(s, call.x),
        s,
      );
      return perMap(mul, pulled, x);
    });
  });
  return contributions.reduce((sum, R_part) => add(sum, R_part));
}

/** A rule from its groups. */
export function zRule(
  name: string,
  options: Rule['options'],
  stabilizer: Stabilizer,
  groups: (call: AffineCall) => Group[],
): Rule {
  return {
    name,
    options: { ...options, stabilizer: stabilizer.kind, eps: stabilizer.eps },
    stabilizer,
    groups,
    propagate: (call, R) => propagateGroups(call, groups(call), R, stabilizer),
  };
}

/** The rule with a bias policy of its own, whatever the composite says. */
export function withBias(rule: Rule, bias: BiasPolicy): Rule {
  return { ...rule, options: { ...rule.options, bias }, bias };
}
