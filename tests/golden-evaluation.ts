// Expected numbers of the evaluation, made by tests/golden-tools/evaluation_numbers.py, and how they are compared.
import { readFileSync } from 'node:fs';
import type { Estimate } from '../isnet/evaluation/estimate.ts';

export const evaluationGolden = JSON.parse(
  readFileSync(new URL('golden/evaluation.json', import.meta.url), 'utf8'),
);

export const round = (x: number, digits: number): number => Math.round(x * 10 ** digits) / 10 ** digits;

/** Value and ends of the interval; NaN where there is none. */
export const tripleOf = ({ value, low, high }: Estimate): number[] =>
  [value, low, high].map((x) => x ?? Number.NaN);
