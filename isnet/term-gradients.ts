// The gradient of a loss whose terms come one after another, so that what each is made of need not be there at a time.
import { assign, constant } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { expand } from '../engine/ops/broadcast.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';

/** The gradients of terms, added up; for one step. */
export class TermGradients {
  readonly #parameters: readonly Tensor[];
  #sums: readonly Tensor[] = [];

  constructor(parameters: readonly Tensor[]) {
    this.#parameters = parameters;
  }

  /** Adds those of a term []. Its history stays: other terms share the forward pass. */
  take(term: Tensor): void {
    const { device } = term;
    withoutRecording(device, () =>
      scope(device, () => {
        const gradients = adjoint(term, this.#parameters, expand(constant(device, 1), term.shape));
        // Kept, since the term has a scope of its own; and overwritten, since a captured step would let a sum wait for its
        // last summand, with the gradients of all terms.
        if (this.#sums.length === 0) this.#sums = gradients.map((g) => keep(add(g, 0)));
        else for (const [i, sum] of this.#sums.entries()) assign(sum, add(sum, gradients[i]));
      }),
    );
  }

  /** These and the gradients of the rest of the loss, in the order of the parameters. */
  plus(rest: readonly Tensor[]): Tensor[] {
    if (this.#sums.length === 0) return [...rest];
    const sums = this.#sums;
    const all = withoutRecording(rest[0].device, () => rest.map((g, i) => add(sums[i], g)));
    for (const sum of sums) release(sum);
    this.#sums = [];
    return all;
  }
}
