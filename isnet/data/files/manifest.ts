// Reads a data set from a CSV file: one line per image, for files that do not lie in folders by class, for images of
// several classes, and for labels that are uncertain.
import { dirname, resolve } from 'node:path';
import { parse } from 'csv-parse/sync';
import { DataError } from '../../../engine/errors.ts';
import { readFileBytes } from '../../../engine/files.ts';
import { didYouMean } from '../../../engine/nearest-name.ts';
import {
  isSplitName,
  type MaskFiles,
  type Problem,
  type ProblemKind,
  problemsOfWhole,
  type Sample,
  type SampleList,
} from '../sample-list.ts';

type Label = Sample['labels'][number];

/** Values of one line by column name. */
type Cells = Readonly<Record<string, string>>;

interface Line {
  readonly number: number;
  readonly cells: Cells;
}

const plainColumns = ['file', 'label', 'labels', 'mask', 'split', 'group'];
const LABEL = 'label:';
const MASK = 'mask:';

/**
 * Lists the images of a manifest. Columns: `file` and `split`; one of `label` (a class name), `labels` (class names with
 * `;` between, `name=-1` if uncertain, `none` for none) or one `label:<class>` per class (1, 0, and -1 or blank if
 * uncertain); if wanted `mask`, `mask:<class>` and `group`. Paths are relative to the manifest. Bad lines are listed in
 * `problems`; throws DataError if the file cannot be read as a table with these columns.
 */
export async function listManifest(source: string, known?: readonly string[]): Promise<SampleList> {
  const text = new TextDecoder().decode(await readFileBytes(source, { where: 'data' }));
  return parseManifest(source, text, known);
}

/** `listManifest` on the text of the file. */
export function parseManifest(source: string, text: string, known?: readonly string[]): SampleList {
  const { columns, lines } = tableOf(source, text);
  checkColumns(source, columns);
  const problems: Problem[] = [];
  const classNames = known ?? classNamesOf(columns, lines);
  const isMultiLabel = !columns.includes('label');
  const samples: Sample[] = [];
  const lineOfFile = new Map<string, number>();
  for (const { number, cells } of lines) {
    const add = (kind: ProblemKind, what: string): void => {
      problems.push({ severity: 'error', kind, file: source, text: `line ${number} ${what}` });
    };
    if (cells.file === '') {
      add('missing-file', 'names no file; fill in the column file');
      continue;
    }
    const file = resolve(dirname(source), cells.file);
    const before = lineOfFile.get(file);
    if (before !== undefined) {
      add('duplicate-file', `names '${cells.file}' as line ${before} does; remove one`);
      continue;
    }
    lineOfFile.set(file, number);
    if (!isSplitName(cells.split)) {
      const hint = didYouMean(cells.split, ['train', 'val', 'test']);
      add('misplaced-file', `has the split '${cells.split}'${hint}; use train, val, test or test-<name>`);
      continue;
    }
    const labels = labelsOf(cells, classNames, add);
    if (!labels) continue;
    const group = cells.group || null;
    samples.push({ file, split: cells.split, labels, mask: maskOf(source, cells), group });
  }
  const unknown = columns.filter(
    (name) => /^(mask|label):/.test(name) && !classNames.includes(name.slice(name.indexOf(':') + 1)),
  );
  for (const name of unknown) {
    const [kind, className] = [name.slice(0, name.indexOf(':')), name.slice(name.indexOf(':') + 1)];
    const hint = didYouMean(className, classNames);
    const what = `its column '${name}' is the ${kind} of no class${hint}; use one of ${classNames.join(', ')}`;
    problems.push({ severity: 'error', kind: 'unknown-label', file: source, text: what });
  }
  const list = { source, classNames, isMultiLabel, samples };
  return { ...list, problems: [...problems, ...problemsOfWhole(list, { isForTests: known !== undefined })] };
}

function tableOf(source: string, text: string): { columns: string[]; lines: Line[] } {
  let rows: { record: string[]; info: { lines: number } }[];
  try {
    rows = parse(text, { bom: true, info: true, trim: true, skip_empty_lines: true }) as never;
  } catch (cause) {
    throw new DataError(`data: '${source}' is no CSV table (${(cause as Error).message}); correct the file`, {
      cause,
    });
  }
  if (rows.length < 2) {
    throw new DataError(
      `data: '${source}' lists no images; give it a line of column names and one line per image`,
    );
  }
  const columns = rows[0].record;
  const lines = rows.slice(1).map(({ record, info }) => ({
    number: info.lines,
    cells: Object.fromEntries(columns.map((name, i) => [name, record[i]])),
  }));
  return { columns, lines };
}

function checkColumns(source: string, columns: readonly string[]): void {
  const isKnown = (name: string) =>
    plainColumns.includes(name) || name.startsWith(LABEL) || name.startsWith(MASK);
  for (const required of ['file', 'split']) {
    if (columns.includes(required)) continue;
    const meant = columns.filter((name) => !isKnown(name));
    const hint = meant.length > 0 ? ` (it has ${meant.join(', ')})` : '';
    throw new DataError(`data: '${source}' has no column '${required}'${hint}; add it`);
  }
  const twice = columns.find((name, i) => columns.indexOf(name) !== i);
  if (twice !== undefined) throw new DataError(`data: '${source}' has two columns '${twice}'; remove one`);
  const ways = ['label', 'labels', LABEL].filter((way) =>
    way === LABEL ? columns.some((name) => name.startsWith(LABEL)) : columns.includes(way),
  );
  if (ways.length !== 1) {
    throw new DataError(
      `data: '${source}' has ${ways.length === 0 ? 'no labels' : `labels in ${ways.join(' and ')}`}; ` +
        `use one of the columns label, labels, or label:<class> for each class`,
    );
  }
}

const isUncertain = (text: string): boolean => text === '' || Number(text) === -1;

/** Classes are named by the columns, or by the training images. */
function classNamesOf(columns: readonly string[], lines: readonly Line[]): string[] {
  const named = columns.filter((name) => name.startsWith(LABEL)).map((name) => name.slice(LABEL.length));
  if (named.length > 0) return named;
  const training = lines.filter(({ cells }) => cells.split === 'train');
  const names = training.flatMap(({ cells: { label, labels } }) => {
    if (label !== undefined) return isUncertain(label) ? [] : [label];
    return entriesOf(labels).map(([name]) => name);
  });
  return [...new Set(names)].sort();
}

/** `a;b=-1` as names and values; nothing for `none` and for a blank cell. */
function entriesOf(labels: string): [name: string, value: string][] {
  if (labels === '' || labels === 'none' || labels === '-1') return [];
  return labels.split(';').map((part) => {
    const [name, value = '1'] = part.split('=').map((word) => word.trim());
    return [name, value];
  });
}

type Add = (kind: ProblemKind, what: string) => void;

function labelsOf(cells: Cells, classNames: readonly string[], add: Add): Label[] | null {
  if (cells.label !== undefined) return fromNames(isUncertain(cells.label) ? null : [[cells.label, '1']]);
  if (cells.labels !== undefined)
    return fromNames(isUncertain(cells.labels) ? null : entriesOf(cells.labels));
  const values = classNames.map((name) => labelOf(cells[LABEL + name] ?? ''));
  const bad = values.indexOf(null);
  if (bad < 0) return values as Label[];
  add(
    'unknown-label',
    `has '${cells[LABEL + classNames[bad]]}' for ${classNames[bad]}; use 1, 0, or -1 or blank if it is uncertain`,
  );
  return null;

  function fromNames(entries: readonly [string, string][] | null): Label[] | null {
    if (!entries) return classNames.map(() => -1);
    const labels: Label[] = classNames.map(() => 0);
    for (const [name, text] of entries) {
      const c = classNames.indexOf(name);
      const value = labelOf(text);
      if (c < 0) {
        const known =
          classNames.length > 0 ? `known are ${classNames.join(', ')}` : 'there are no training images';
        add('unknown-label', `has the label '${name}'${didYouMean(name, classNames)}; ${known}`);
        return null;
      }
      if (value === null) {
        add('unknown-label', `has '${name}=${text}'; use 1, 0, or -1 if it is uncertain`);
        return null;
      }
      labels[c] = value;
    }
    return labels;
  }
}

/** 1, 0 or -1; CheXpert writes `1.0`. Null for anything else. */
function labelOf(text: string): Label | null {
  if (isUncertain(text)) return -1;
  const value = Number(text);
  return value === 0 || value === 1 ? value : null;
}

function maskOf(source: string, cells: Cells): MaskFiles {
  const pathOf = (text: string) => resolve(dirname(source), text);
  const byClass = Object.entries(cells)
    .filter(([name, text]) => name.startsWith(MASK) && text !== '')
    .map(([name, text]) => [name.slice(MASK.length), pathOf(text)]);
  return { whole: cells.mask ? pathOf(cells.mask) : null, byClass: Object.fromEntries(byClass) };
}
