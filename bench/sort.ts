// Ranks and the ranked pooling of the heatmap loss, at the size of the quickstart's maps.
import { rank } from '../engine/ops/sort.ts';
import { gwrp } from '../isnet/gwrp.ts';
import { type BenchCase, opCase } from './case.ts';

const shape = [32, 784];
const common = { family: 'sort', unit: 'million numbers/s', workPerCall: (32 * 784) / 1e6, shapes: [shape] };

/** Each row of 784 is ranked on its own. */
export const sortCases: readonly BenchCase[] = [
  opCase({ ...common, name: 'rank', run: ([x]) => rank(x) }),
  opCase({ ...common, name: 'gwrp', run: ([x]) => gwrp(x, 0.9) }),
];
