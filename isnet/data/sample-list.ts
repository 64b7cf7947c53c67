// What a data set on disk consists of, before any picture is opened: files, labels, masks and splits, and what is wrong
// with the list itself. Folders and manifests both become this.
import { DataError } from '../../engine/errors.ts';

/** One image file. */
export interface Sample {
  /** Path of the image. */
  readonly file: string;
  /** `train`, `val`, `test` or `test-<name>`. */
  readonly split: string;
  /** Per class 1 (shown), 0 (not shown) or -1 (uncertain: the loss leaves it out). */
  readonly labels: readonly (0 | 1 | -1)[];
  readonly mask: MaskFiles;
  /** Images of one group (a patient, say) must not be in two splits. */
  readonly group: string | null;
}

/** Mask files of an image. Without any, the alpha channel of a cut-out is its mask. */
export interface MaskFiles {
  /** Holds for every class that has no file of its own. */
  readonly whole: string | null;
  /** By class name. */
  readonly byClass: Readonly<Record<string, string>>;
}

/** No mask file. */
export const noMask: MaskFiles = { whole: null, byClass: {} };

/** All files of a mask. */
export const maskFiles = ({ whole, byClass }: MaskFiles): string[] =>
  whole === null ? Object.values(byClass) : [whole, ...Object.values(byClass)];

/** What a check can find; a name per cause, so that programs can count them. */
export type ProblemKind =
  | 'unreadable'
  | 'size-mismatch'
  | 'unknown-label'
  | 'class-missing-in-training'
  | 'duplicate-file'
  | 'duplicate-image'
  | 'duplicate-across-splits'
  | 'group-across-splits'
  | 'empty-mask'
  | 'full-mask'
  | 'soft-mask'
  | 'no-mask'
  | 'missing-file'
  | 'missing-split'
  | 'misplaced-file'
  | 'mask-without-image'
  | 'imbalance';

/** Something wrong with a data set; an error stops training, a warning does not. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly kind: ProblemKind;
  /** The file that it is about; null for the data set as a whole. */
  readonly file: string | null;
  /** What is wrong; what to do. */
  readonly text: string;
}

/** A data set on disk, images unopened. */
export interface SampleList {
  /** The folder or manifest that was asked for. */
  readonly source: string;
  readonly classNames: readonly string[];
  /** An image may show several classes, or none. */
  readonly isMultiLabel: boolean;
  readonly samples: readonly Sample[];
  readonly problems: readonly Problem[];
}

const knownSplit = /^(train|val|test(-.+)?)$/;

/** Whether a split has a name that means something: train, val, test or test-<name>. */
export const isSplitName = (name: string): boolean => knownSplit.test(name);

/** The splits that occur, training first and tests last. */
export function splitsOf(samples: readonly Sample[]): string[] {
  const rank = (split: string): number => ['train', 'val'].indexOf(split) + 1 || 3;
  return [...new Set(samples.map(({ split }) => split))].sort(
    (a, b) => rank(a) - rank(b) || (a < b ? -1 : Number(a > b)),
  );
}

// What training resembles comes first, and the harder tests later.
const testOrder = ['test', 'test-biased', 'test-unbiased', 'test-deceiving'];

/** The tests that occur: those of a bias benchmark in their order, then the others in theirs. Without any, validation. */
export function testSplitsOf(samples: readonly Sample[]): string[] {
  const splits = splitsOf(samples);
  const tests = splits.filter((split) => split.startsWith('test'));
  if (tests.length === 0) return splits.filter((split) => split === 'val');
  const known = testOrder.filter((split) => tests.includes(split));
  return [...known, ...tests.filter((split) => !known.includes(split))];
}

/** What the test of a split is called: `other` for `test-other`. */
export function testName(split: string): string {
  if (split === 'val') return 'validation';
  return split === 'test-test' ? split : split.replace(/^test-/, '');
}

/** Whether the splits hold files of the same names with the same labels, as the tests of a bias benchmark do. */
export function arePaired(samples: readonly Sample[], splits: readonly string[]): boolean {
  const [first, ...others] = splits.map((split) =>
    samples
      .filter((sample) => sample.split === split)
      .map(({ file, labels }) => `${labels.join()} ${file.replace(/^.*[\\/]/, '')}`)
      .join('\n'),
  );
  return others.length > 0 && others.every((names) => names === first);
}

/** Number of maps a mask has: one, or one per class if any image has masks by class. */
export const maskCountOf = ({ samples, classNames }: SampleList): number =>
  samples.some(({ mask }) => Object.keys(mask.byClass).length > 0) ? classNames.length : 1;

/**
 * The problems of the list as a whole, which both kinds of list share; `isForTests` if nothing is trained on it, as the
 * classes of a model are given.
 */
export function problemsOfWhole(
  { samples, classNames }: Omit<SampleList, 'problems'>,
  { isForTests }: { readonly isForTests: boolean },
): Problem[] {
  if (isForTests) return [];
  const problems: Problem[] = [];
  const splits = splitsOf(samples);
  for (const split of ['train', 'val', 'test']) {
    if (splits.some((name) => name === split || (split === 'test' && name.startsWith('test')))) continue;
    problems.push({
      severity: split === 'train' ? 'error' : 'warning',
      kind: 'missing-split',
      file: null,
      text: `there are no ${split} images; add them to the split ${split}`,
    });
  }
  const training = samples.filter(({ split }) => split === 'train');
  for (const [c, name] of classNames.entries()) {
    if (training.length === 0 || training.some(({ labels }) => labels[c] === 1)) continue;
    problems.push({
      severity: 'error',
      kind: 'class-missing-in-training',
      file: null,
      text: `no training image shows '${name}', so it cannot be learnt; add some, or remove the class`,
    });
  }
  return [...problems, ...groupProblems(samples)];
}

function groupProblems(samples: readonly Sample[]): Problem[] {
  const splits = new Map<string, Set<string>>();
  for (const { group, split } of samples) {
    if (group !== null) splits.set(group, (splits.get(group) ?? new Set()).add(split));
  }
  return [...splits]
    .filter(([, names]) => isLeak([...names]))
    .map(([group, names]) => ({
      severity: 'error',
      kind: 'group-across-splits',
      file: null,
      text: `group '${group}' is in ${[...names].join(' and ')}; put all images of a group into one split`,
    }));
}

/** Whether what is in all of these splits makes a test meaningless; several tests may share images. */
export const isLeak = (splits: readonly string[]): boolean =>
  new Set(splits.map((split) => (split.startsWith('test') ? 'test' : split))).size > 1;

/** The list, if it has no error. Throws DataError with the first error otherwise, and says how many there are. */
export function soundList(list: SampleList): SampleList {
  const errors = list.problems.filter(({ severity }) => severity === 'error');
  if (errors.length === 0) return list;
  const [{ file, text }] = errors;
  const others =
    errors.length > 1 ? ` (and ${errors.length - 1} more: isnet data check '${list.source}')` : '';
  throw new DataError(`data: ${file === null ? '' : `'${file}': `}${text}${others}`);
}
