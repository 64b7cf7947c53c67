// Every op, in families. A new op is listed here once; the tests find it by itself.
import type { Op } from '../tensor.ts';
import * as arithmetic from './arithmetic.ts';
import * as broadcast from './broadcast.ts';
import * as layout from './layout.ts';
import * as pointwise from './pointwise.ts';

const families = [arithmetic, broadcast, layout, pointwise];

/** All ops of the engine, each with its reference, kernel, slopes and examples. */
export const allOps: readonly Op<unknown>[] = families.flatMap((family) =>
  Object.entries(family)
    .filter(([name]) => name.endsWith('Op'))
    .map(([, op]) => op as unknown as Op<unknown>),
);
