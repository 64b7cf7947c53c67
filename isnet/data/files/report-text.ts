// The report of a check, as a person reads it.
import { countTable } from '../label-counts.ts';
import type { Problem } from '../sample-list.ts';
import type { DataReport } from './check.ts';

// A thousand files with the same fault need one correction; --json has them all.
const SHOWN_PER_KIND = 5;
const SHOWN_SIZES = 4;

/** Counts as a table, then errors and warnings, grouped. */
export function reportText(report: DataReport): string {
  const { source, sizes, foregroundShare, problems, splits, classNames } = report;
  const masked = Object.values(splits).map((split) => split.masked);
  const listed = sizes
    .slice(0, SHOWN_SIZES)
    .map(({ width, height, images }) => `${width}x${height} (${images})`);
  const others = sizes.length > SHOWN_SIZES ? ` and ${sizes.length - SHOWN_SIZES} other sizes` : '';
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.filter(({ severity }) => severity === 'warning');
  return [
    source,
    '',
    ...countTable(splits, classNames, { extra: [['with mask', ...masked]] }),
    '',
    `sizes: ${listed.join(', ') || 'none'}${others}`,
    `masks: ${foregroundShare === null ? 'none' : `${(100 * foregroundShare).toFixed(1)} % foreground on average`}`,
    ...grouped('errors', errors),
    ...grouped('warnings', warnings),
    '',
    `${counted(errors.length, 'error')}, ${counted(warnings.length, 'warning')}`,
  ].join('\n');
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

function grouped(title: string, problems: readonly Problem[]): string[] {
  const kinds = [...new Set(problems.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => {
    const own = problems.filter((problem) => problem.kind === kind);
    const lines = own
      .slice(0, SHOWN_PER_KIND)
      .map(({ file, text }) => `  ${file === null ? '' : `'${file}' `}${text}`);
    const more = own.length > SHOWN_PER_KIND ? [`  and ${own.length - SHOWN_PER_KIND} more; see --json`] : [];
    return ['', `${title}: ${kind.replaceAll('-', ' ')} (${own.length})`, ...lines, ...more];
  });
}
