// Finds the name that was probably meant: messages about an unknown setting or class are half as long to act on.
import { UsageError } from './errors.ts';

/** Number of letters to insert, leave out, replace or swap with their neighbour to get from one text to the other. */
function distance(a: string, b: string): number {
  // Rows of the table of optimal string alignment: [i][j] is the distance of the first i and j letters.
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      row[j] = Math.min(row[j - 1] + 1, rows[i - 1][j] + 1, rows[i - 1][j - 1] + (isSame ? 0 : 1));
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}

/**
 * The known name that is most like the given one, or that begins with it, capitals aside; null if none is at least half
 * like it.
 */
export function nearestName(given: string, known: readonly string[]): string | null {
  const begun = known.find((name) => given.length > 2 && name.toLowerCase().startsWith(given.toLowerCase()));
  if (begun !== undefined) return begun;
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const d = distance(given.toLowerCase(), name.toLowerCase());
    if (d < least && d <= Math.max(given.length, name.length) / 2) [best, least] = [name, d];
  }
  return best;
}

/** ` (did you mean 'x'?)` for a message, or nothing. */
export function didYouMean(given: string, known: readonly string[]): string {
  const name = nearestName(given, known);
  return name === null ? '' : ` (did you mean '${name}'?)`;
}

/** `<problem> 'given' (did you mean 'x'?); use one of ..`, where `problem` ends in `there is no` or what there is none of. */
export function unknownName(problem: string, given: string, known: readonly string[]): UsageError {
  return new UsageError(`${problem} '${given}'${didYouMean(given, known)}; use one of ${known.join(', ')}`);
}
