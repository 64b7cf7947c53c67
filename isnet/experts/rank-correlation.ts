// Spearman's rank correlation of a sample whose pairs occur as often as they are said to: resamples of a bootstrap.

/**
 * Spearman's rank correlation of a and b [n] as a function of how often each pair occurs, ties by mean ranks. Null where
 * the values of b that occur are all equal, for then there is no order to agree with; 0 where only those of a are. Sorts
 * once, so that a call costs O(n).
 */
export function rankCorrelation(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): (weights: ArrayLike<number>) => number | null {
  const [ranksOfA, ranksOfB] = [weightedRanks(a), weightedRanks(b)];
  return (weights) => {
    const [x, y] = [ranksOfA(weights), ranksOfB(weights)];
    const [xx, xy, yy] = [moment(x, x, weights), moment(x, y, weights), moment(y, y, weights)];
    if (!(yy > 0)) return null;
    return xx > 0 ? Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy))) : 0;
  };
}

/** The ranks less their mean, which is always half of all that occur and a half: exact numbers, so that equal ones give 0. */
function weightedRanks(values: ArrayLike<number>): (weights: ArrayLike<number>) => Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, i) => i).sort(
    (i, j) => values[i] - values[j],
  );
  return (weights) => {
    const ranks = new Float64Array(values.length);
    let total = 0;
    for (let from = 0, to = 0; from < order.length; from = to) {
      let equal = 0;
      while (to < order.length && values[order[to]] === values[order[from]]) equal += weights[order[to++]];
      for (let k = from; k < to; k++) ranks[order[k]] = total + (equal + 1) / 2;
      total += equal;
    }
    return ranks.map((rank) => rank - (total + 1) / 2);
  };
}

function moment(x: Float64Array, y: Float64Array, weights: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += weights[i] * x[i] * y[i];
  return sum;
}
