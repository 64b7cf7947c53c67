// Every case that runs on a device, in the order of the table.
import type { AdapterProfile } from '../engine/dispatch.ts';
import type { BenchCase } from './case.ts';
import { convCases } from './conv.ts';
import { dispatchCases } from './dispatch.ts';
import { elementwiseCases } from './elementwise.ts';
import { explainCases } from './explain.ts';
import { matmulCases } from './matmul.ts';
import { selector } from './options.ts';
import { poolCases } from './pool.ts';
import { reduceCases } from './reduce.ts';
import { sortCases } from './sort.ts';
import { startupCases } from './startup.ts';
import { stepCases } from './step.ts';
import { transferCases } from './transfer.ts';

export const allCases: readonly BenchCase[] = [
  ...matmulCases,
  ...convCases,
  ...elementwiseCases,
  ...reduceCases,
  ...poolCases,
  ...sortCases,
  ...dispatchCases,
  ...transferCases,
  ...explainCases,
  ...stepCases,
];

/** What can be selected: a case on a device, or a start-up in processes of its own. */
interface Named {
  readonly family: string;
  readonly name: string;
}

export const pathOf = ({ family, name }: Named): string => `${family}/${name}`;

/** The cases with a part of `filter` in family/name. Throws UsageError, naming all, for a part that none has. */
export function selectCases(filter?: string) {
  const isWanted = selector('bench', [...allCases, ...startupCases].map(pathOf), filter);
  const isSelected = (item: Named) => isWanted(pathOf(item));
  return { cases: allCases.filter(isSelected), startups: startupCases.filter(isSelected) };
}

/** The cases that are measured on adapters of this family: large ones on GPUs only. */
export const casesFor = (
  family: AdapterProfile['family'],
  cases: readonly BenchCase[],
): readonly BenchCase[] => cases.filter(({ isLarge }) => family === 'gpu' || !isLarge);
