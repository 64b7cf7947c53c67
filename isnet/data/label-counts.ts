// How many images there are of each class, as numbers and as a table: the first question about any data set.
import type { DataSplits } from './splits.ts';

/** Counts of one split. */
export interface LabelCounts {
  readonly images: number;
  /** Images that show a class, by class name. */
  readonly classes: Readonly<Record<string, number>>;
  /** Images of which it is uncertain whether they show a class, by class name; classes without any are left out. */
  readonly uncertain: Readonly<Record<string, number>>;
}

/** Counts of labels [N, classes]: 1 shown, 0 not shown, -1 uncertain. */
export function labelCounts(labels: ArrayLike<number>, classNames: readonly string[]): LabelCounts {
  const K = classNames.length;
  const images = labels.length / K;
  const withLabel = (label: number): [string, number][] =>
    classNames.map((name, c) => {
      let count = 0;
      for (let n = 0; n < images; n++) if (labels[n * K + c] === label) count++;
      return [name, count];
    });
  return {
    images,
    classes: Object.fromEntries(withLabel(1)),
    uncertain: Object.fromEntries(withLabel(-1).filter(([, count]) => count > 0)),
  };
}

/** What a run is trained and tested on, in numbers: contents of data.json. */
export interface DataCounts {
  readonly classNames: readonly string[];
  /** [channels, height, width] of what the network gets. */
  readonly image: readonly [number, number, number];
  readonly isMultiLabel: boolean;
  /** `train`, `validation` if there is one, and the tests by name. */
  readonly splits: Readonly<Record<string, LabelCounts>>;
}

/** The numbers of a run's images. */
export function dataCounts({ train, validation, tests }: DataSplits): DataCounts {
  const { classNames, channels, height, width, isMultiLabel } = train;
  const sources = { train, ...(validation ? { validation } : {}), ...tests };
  const splits = Object.entries(sources).map(([name, { labels }]) => [name, labelCounts(labels, classNames)]);
  return {
    classNames,
    image: [channels, height, width],
    isMultiLabel,
    splits: Object.fromEntries(splits),
  };
}

/** Rows that stand below the classes: a title and a number for each split. */
export type ExtraRow = readonly [title: string, ...numbers: number[]];

/**
 * One line per class (of more than `most` the first ones), one column per split; `(+3?)` are uncertain labels. Splits that
 * a class is missing in have a 0.
 */
export function countTable(
  splits: Readonly<Record<string, LabelCounts>>,
  classNames: readonly string[],
  { extra = [], most = Number.POSITIVE_INFINITY }: { extra?: readonly ExtraRow[]; most?: number } = {},
): string[] {
  const names = Object.keys(splits);
  const cell = (split: string, className: string): string => {
    const uncertain = splits[split].uncertain[className] ?? 0;
    return `${splits[split].classes[className]}${uncertain > 0 ? ` (+${uncertain}?)` : ''}`;
  };
  const hidden = classNames.length - most;
  const rows = [
    ['class', ...names],
    ...classNames.slice(0, most).map((name) => [name, ...names.map((split) => cell(split, name))]),
    ...(hidden > 0 ? [[`and ${hidden} more classes`, ...names.map(() => '')]] : []),
    ['images', ...names.map((name) => String(splits[name].images))],
    ...extra.map((row) => row.map(String)),
  ];
  const widths = rows[0].map((_, c) => Math.max(...rows.map((row) => row[c].length)));
  return rows.map((row) =>
    row
      .map((text, c) => (c === 0 ? text.padEnd(widths[c]) : text.padStart(widths[c])))
      .join('   ')
      .trimEnd(),
  );
}
