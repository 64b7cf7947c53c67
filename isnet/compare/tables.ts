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

/** The same with the 95 % interval of the mean behind it, if there is one: `95.1 ± 0.4 (94.1 to 96.1)`. */
function percentWithInterval(spread: Spread): string {
  const interval = intervalText(spread);
  return interval === null ? percentText(spread) : `${percentText(spread)} (${interval})`;
}

/** `94.1 to 96.1`, in per cent: the 95 % interval of the mean; null for a single seed. */
export const intervalText = ({ low, high }: Spread): string | null =>
  low === null || high === null ? null : `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`;

/** `3.02 ± 0.12`: mean and standard deviation over seeds. */
export function spreadText({ value, deviation }: Spread): string {
  if (value === null) return '-';
  return deviation === null ? value.toPrecision(3) : `${value.toPrecision(3)} ± ${deviation.toPrecision(2)}`;
}

/** A time with its mark, if others were training beside. */
export const timeText = (time: Spread, { isTimedAlone }: MethodSummary): string =>
  `${spreadText(time)}${isTimedAlone ? '' : ' *'}`;

/** How many trainings ran at a time, and what the mark of times means. */
export function jobsText(cells: readonly Pick<CellResult, 'jobs'>[]): string {
  const counts = [...new Set(cells.map(({ jobs }) => jobs ?? 'unknown'))].toSorted();
  const mark =
    ' Times marked * were taken while other trainings ran, or may have been: they can be several times too long.';
  return `Trainings at a time: ${counts.join(', ')}.${counts.some((count) => count !== 1) ? mark : ''}`;
}

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

/**
 * One table for each benchmark: accuracies in per cent, mean and standard deviation over seeds with the interval of the mean,
 * and what it costs.
 */
export function markdownTables(summaries: readonly MethodSummary[], titles: Titles): string {
  return byBenchmark(summaries)
    .map(({ benchmark, sets, rows }) => {
      const head = [
        'method',
        ...sets,
        'training ms per image',
        'inference ms',
        'parameters at run time',
        'seeds',
      ];
      const lines = rows.map((row) => [
        titles[row.method] ?? row.method,
        ...sets.map((set) => (row.accuracy[set] ? percentWithInterval(row.accuracy[set]) : '-')),
        timeText(row.trainMsPerImage, row),
        timeText(row.inferenceMs, row),
        row.parameters.runTime.toLocaleString('en'),
        String(row.seeds.length),
      ]);
      return `### ${titles[benchmark] ?? benchmark}\n\n${markdownTable([head, ...lines])}`;
    })
    .join('\n\n');
}

/** `7.0`, in per cent: the maps of Grad-CAM that are zero everywhere, of all seeds. A dash where they were not counted. */
export const emptyText = ({ gradCamMaps: maps }: MethodSummary): string =>
  maps && maps.explained > 0 ? ((100 * maps.empty) / maps.explained).toFixed(1) : '-';

/** What is to be said below shares of which some are by older versions; null if none is. */
export const emptyNote = (rows: readonly MethodSummary[]): string | null =>
  rows.some(({ gradCamBackgroundShare: share, gradCamMaps: maps }) => share && !maps)
    ? 'Where the empty maps of Grad-CAM are not known, some cell is by an older version: there they count as all background.'
    : null;

/**
 * Where heatmaps lie, a row for each benchmark and method: the share of the background in relevance by LRP and, beside it, in
 * Grad-CAM, both as the accuracies are given. A map that a network does not have is a dash. Empty maps of Grad-CAM are in no
 * background and have a column of their own.
 */
export function markdownShares(summaries: readonly MethodSummary[], titles: Titles): string {
  const share = (spread: Spread | null): string => (spread ? percentWithInterval(spread) : '-');
  const lines = byBenchmark(summaries).flatMap(({ benchmark, rows }) =>
    rows.map((row) => [
      titles[benchmark] ?? benchmark,
      titles[row.method] ?? row.method,
      share(row.backgroundShare),
      share(row.gradCamBackgroundShare),
      emptyText(row),
      String(row.seeds.length),
    ]),
  );
  const head = ['benchmark', 'method', 'LRP', 'Grad-CAM', 'empty maps of Grad-CAM', 'seeds'];
  const note = emptyNote(summaries);
  return [
    '### Share of heatmaps in the background',
    markdownTable([head, ...lines], 2),
    ...(note ? [note] : []),
  ].join('\n\n');
}

/** What repeats the rows, for below the tables: one command for each row, or for each cell where they differ in more than seeds. */
export function markdownCommands(summaries: readonly MethodSummary[]): string {
  const commands = summaries.flatMap((row) => {
    const whole = row.commands.map((command) =>
      command.replace(/ --seeds \S+/, ` --seeds ${row.seeds.join(',')}`),
    );
    return new Set(whole).size === 1 ? [whole[0]] : row.commands;
  });
  return ['Commands that repeat the rows:', '', ...commands.map((command) => `    ${command}`)].join('\n');
}

/** The columns after the first ones, which are text, are numbers. */
function markdownTable([head, ...lines]: readonly (readonly string[])[], textColumns = 1): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    row(head),
    `|${head.map((_, i) => (i < textColumns ? ' --- |' : ' ---: |')).join('')}`,
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
    'grad_cam_maps',
    'grad_cam_empty_maps',
    'training_seconds_per_image',
    'inference_ms',
    'parameters_training',
    'parameters_run_time',
    'adapter',
    'date',
    'jobs',
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
      cell.gradCamMaps?.explained ?? '',
      cell.gradCamMaps?.empty ?? '',
      cell.trainSecondsPerImage,
      cell.inferenceMs,
      cell.parameters.training,
      cell.parameters.runTime,
      cell.adapter,
      cell.date,
      cell.jobs ?? '',
      cell.command,
    ]),
  );
  return stringify([columns, ...lines]);
}
