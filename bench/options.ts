// What the bench commands take on the command line: numbers, and parts of names. What would measure nothing, or something
// other than what was meant, is refused before anything is measured.
import { InvalidArgumentError } from 'commander';
import { UsageError } from '../engine/errors.ts';
import { decimal, wholeNumber } from '../isnet/commands/parse.ts';

/** `5`: of rounds or steps. */
export function count(text: string): number {
  if (/^0*$/.test(text)) throw new InvalidArgumentError('Use a whole number from 1 up.');
  return wholeNumber(text);
}

// A timer that is set for longer rings at once.
const MOST_SECONDS = Math.floor((2 ** 31 - 1) / 1000);

/** `300` or `0.5` */
export function seconds(text: string): number {
  const value = decimal(text);
  if (value > 0 && value <= MOST_SECONDS) return value;
  throw new InvalidArgumentError(`Use a number above 0 and up to ${MOST_SECONDS}.`);
}

/**
 * Whether a name has one of the parts of `filter`, which commas separate; without a filter any has. Throws UsageError for a
 * part that is empty, and so in every name, or in none of `names`.
 */
export function selector(
  where: string,
  names: readonly string[],
  filter: string | undefined,
): (name: string) => boolean {
  if (filter === undefined) return () => true;
  const parts = filter.split(',');
  if (parts.includes(''))
    throw new UsageError(
      `${where}: filter '${filter}' has an empty part; write it as texts with a comma between them`,
    );
  const unknown = parts.find((part) => !names.some((name) => name.includes(part)));
  if (unknown !== undefined)
    throw new UsageError(`${where}: no case has '${unknown}' in its name; use a part of ${names.join(', ')}`);
  return (name) => parts.some((part) => name.includes(part));
}

/** The names in `list`, which commas separate, each once; without a list all. Throws UsageError, beginning with `problem`, for others. */
export function namesIn<T extends string>(
  problem: string,
  known: readonly T[],
  list: string | undefined,
): readonly T[] {
  if (list === undefined) return known;
  const names = new Set<T>();
  for (const text of list.split(',')) {
    const name = known.find((each) => each === text);
    if (name === undefined) throw new UsageError(`${problem} '${text}'; use some of ${known.join(', ')}`);
    names.add(name);
  }
  return [...names];
}
