// The report of a check, as a person reads it.
import type { Problem } from '../sample-list.ts';
import type { DataReport } from './check.ts';

// A thousand files with the same fault need one correction; --json has them all.
const SHOWN_PER_KIND = 5;
const SHOWN_SIZES = 4;

/** Counts as a table, then errors and warnings, grouped. */
export function reportText(report: DataReport): string {
  const { source, sizes, foregroundShare, problems } = report;
  const listed = sizes
    .slice(0, SHOWN_SIZES)
    .map(({ width, height, images }) => `${width}x${height} (${images})`);
  const others = sizes.length > SHOWN_SIZES ? ` and ${sizes.length - SHOWN_SIZES} other sizes` : '';
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.filter(({ severity }) => severity === 'warning');
  return [
    source,
    '',
    ...countTable(report),
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

function countTable({ splits, classNames }: DataReport): string[] {
  const names = Object.keys(splits);
  const hasUncertain = names.some((name) => Object.keys(splits[name].uncertain).length > 0);
  const cell = (split: string, className: string): string => {
    const uncertain = splits[split].uncertain[className] ?? 0;
    return `${splits[split].classes[className]}${hasUncertain && uncertain > 0 ? ` (+${uncertain}?)` : ''}`;
  };
  const rows = [
    ['class', ...names],
    ...classNames.map((name) => [name, ...names.map((split) => cell(split, name))]),
    ['images', ...names.map((name) => String(splits[name].images))],
    ['with mask', ...names.map((name) => String(splits[name].masked))],
  ];
  const widths = rows[0].map((_, c) => Math.max(...rows.map((row) => row[c].length)));
  return rows.map((row) =>
    row
      .map((text, c) => (c === 0 ? text.padEnd(widths[c]) : text.padStart(widths[c])))
      .join('   ')
      .trimEnd(),
  );
}

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
