// A comparison in Markdown, for documents, and in CSV, for further work.
import { stringify } from 'csv-stringify/sync';
import type { CellResult } from './cell.ts';
import type { MethodSummary, Spread } from './summary.ts';

/** What a method or benchmark is called in tables. */
export type Titles = Readonly<Record<string, string>>;

/** `95.1 ± 0.4`, in per cent: mean and standard deviation over seeds. A single seed has no deviation. */
export function percentText({ value, deviation }: Spread): string {
  if (value === null) return '-';
  const text = (x: number): string => (100 * x).toFixed(1);
  return deviation === null ? text(value) : `${text(value)} ± ${text(deviation)}`;
}

const numberText = ({ value }: Spread): string => (value === null ? '-' : value.toPrecision(3));

/** Summaries of one benchmark, and the names of its test sets. */
export function byBenchmark(
  summaries: readonly MethodSummary[],
): { benchmark: string; sets: string[]; rows: MethodSummary[] }[] {
  const names = [...new Set(summaries.map(({ benchmark }) => benchmark))];
  return names.map((benchmark) => {
    const rows = summaries.filter((summary) => summary.benchmark === benchmark);
    return { benchmark, sets: [...new Set(rows.flatMap(({ accuracy }) => Object.keys(accuracy)))], rows };
  });
}

/** One table for each benchmark: accuracies in per cent, mean and standard deviation over seeds, and what it costs. */
export function markdownTables(summaries: readonly MethodSummary[], titles: Titles): string {
  return byBenchmark(summaries)
    .map(({ benchmark, sets, rows }) => {
      const head = [
        'method',
        ...sets,
        'background relevance',
        'Grad-CAM background',
        'training ms per image',
        'inference ms',
        'parameters at run time',
        'seeds',
      ];
      const lines = rows.map((row) => [
        titles[row.method] ?? row.method,
        ...sets.map((set) => (row.accuracy[set] ? percentText(row.accuracy[set]) : '-')),
        row.backgroundShare ? percentText(row.backgroundShare) : '-',
        row.gradCamBackgroundShare ? percentText(row.gradCamBackgroundShare) : '-',
        numberText(row.trainMsPerImage),
        numberText(row.inferenceMs),
        row.parameters.runTime.toLocaleString('en'),
        String(row.seeds.length),
      ]);
      return `### ${titles[benchmark] ?? benchmark}\n\n${markdownTable([head, ...lines])}`;
    })
    .join('\n\n');
}

function markdownTable([head, ...lines]: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    row(head),
    `|${head.map((_, i) => (i === 0 ? ' --- |' : ' ---: |')).join('')}`,
    ...lines.map(row),
  ].join('\n');
}

/** One line for each cell and test set, and what repeats the cell. */
export function csvOfCells(cells: readonly CellResult[]): string {
  const columns = [
    'benchmark',
    'method',
    'seed',
    'test_set',
    'accuracy',
    'background_share',
    'grad_cam_background_share',
    'training_seconds_per_image',
    'inference_ms',
    'parameters_training',
    'parameters_run_time',
    'adapter',
    'date',
    'command',
  ];
  const lines = cells.flatMap((cell) =>
    Object.entries(cell.accuracy).map(([set, accuracy]) => [
      cell.benchmark,
      cell.method,
      cell.seed,
      set,
      accuracy,
      cell.backgroundShare ?? '',
      cell.gradCamBackgroundShare ?? '',
      cell.trainSecondsPerImage,
      cell.inferenceMs,
      cell.parameters.training,
      cell.parameters.runTime,
      cell.adapter,
      cell.date,
      cell.command,
    ]),
  );
  return stringify([columns, ...lines]);
}
