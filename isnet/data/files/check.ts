// Opens every file of a data set before anybody trains on it, and counts and compares what it finds.
import { createHash } from 'node:crypto';
import { type LabelCounts, labelCounts } from '../label-counts.ts';
import type { Raster } from '../raster.ts';
import { isLeak, maskFiles, type Problem, type Sample, type SampleList, splitsOf } from '../sample-list.ts';
import { PictureError } from './decode.ts';
import { type EmptyFilePolicy, type OpenedSample, openSample, SizeMismatchError } from './prepare.ts';

/** Counts of one split. */
export interface SplitCount extends LabelCounts {
  /** Images with a mask; the others count for classification only. */
  readonly masked: number;
}

/** What a check found, as `isnet data check --json` prints it. */
export interface DataReport {
  readonly source: string;
  readonly classNames: readonly string[];
  readonly isMultiLabel: boolean;
  readonly splits: Readonly<Record<string, SplitCount>>;
  /** Sizes of the readable images, the most frequent first. */
  readonly sizes: readonly { readonly width: number; readonly height: number; readonly images: number }[];
  /** Mean share of the pixels that are foreground, of the readable masks; null if there are none. */
  readonly foregroundShare: number | null;
  readonly problems: readonly Problem[];
}

export interface CheckFilesOptions {
  /** What an empty mask means; see `EmptyFilePolicy`. */
  readonly emptyMasks?: EmptyFilePolicy;
  readonly onProgress?: (done: number, total: number) => void;
}

// libvips has threads of its own; this many files at a time keep them busy and bound the memory.
const FILES_AT_A_TIME = 4;
/** A class that is this many times rarer than the most frequent one is hardly learnt. */
const IMBALANCE = 10;

/** What remains of a sample that was opened. */
interface Seen {
  readonly sample: Sample;
  readonly width: number;
  readonly height: number;
  readonly hash: string;
  readonly hasMask: boolean;
  readonly foregroundShare: number;
}

/** Opens all files of the list. Rejects only for a fault of this program: what is wrong with the data is in the report. */
export async function checkFiles(
  list: SampleList,
  { emptyMasks = 'error', onProgress }: CheckFilesOptions = {},
): Promise<DataReport> {
  const problems: Problem[] = [...list.problems];
  const seen: (Seen | null)[] = new Array(list.samples.length).fill(null);
  const missing = new Set(problems.filter(({ kind }) => kind === 'missing-file').map(({ file }) => file));
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < list.samples.length) {
      const n = next++;
      const sample = list.samples[n];
      const isMissing = [sample.file, ...maskFiles(sample.mask)].some((file) => missing.has(file));
      if (!isMissing) seen[n] = await look(sample, emptyMasks, problems);
      onProgress?.(++done, list.samples.length);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_A_TIME }, work));
  const readable = seen.filter((entry) => entry !== null);
  const masked = readable.filter(({ hasMask }) => hasMask);
  return {
    source: list.source,
    classNames: list.classNames,
    isMultiLabel: list.isMultiLabel,
    splits: countSplits(list, seen),
    sizes: countSizes(readable),
    foregroundShare:
      masked.length === 0
        ? null
        : masked.reduce((sum, { foregroundShare }) => sum + foregroundShare, 0) / masked.length,
    // Files are opened in no fixed order, reports are.
    problems: [...problems, ...duplicates(readable), ...maskGaps(list, readable), ...imbalances(list)].sort(
      byWeight,
    ),
  };
}

const byWeight = (a: Problem, b: Problem): number =>
  a.severity.localeCompare(b.severity) ||
  a.kind.localeCompare(b.kind) ||
  (a.file ?? '').localeCompare(b.file ?? '') ||
  a.text.localeCompare(b.text);

async function look(sample: Sample, emptyMasks: EmptyFilePolicy, problems: Problem[]): Promise<Seen | null> {
  let opened: OpenedSample;
  try {
    opened = await openSample(sample);
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    const kind = error instanceof SizeMismatchError ? 'size-mismatch' : 'unreadable';
    problems.push({ severity: 'error', kind, file: error.file, text: error.reason });
    return null;
  }
  const { image, masks } = opened;
  const pixels = image.width * image.height;
  for (const { file, foregroundCount, softCount } of masks) {
    if (foregroundCount === 0) {
      const severity = emptyMasks === 'error' ? 'error' : 'warning';
      const text = 'is empty; draw it, remove it, or choose what empty masks mean (emptyMasks)';
      problems.push({ severity, kind: 'empty-mask', file, text });
    }
    if (foregroundCount === pixels) {
      const text = 'is all foreground, there is nothing to ignore; give it a background or remove it';
      problems.push({ severity: 'error', kind: 'full-mask', file, text });
    }
    if (softCount > 0) {
      const text = `has soft edges (${softCount} of ${pixels} pixels); they are cut at one half`;
      problems.push({ severity: 'warning', kind: 'soft-mask', file, text });
    }
  }
  const largest = Math.max(0, ...masks.map(({ foregroundCount }) => foregroundCount));
  return {
    sample,
    width: image.width,
    height: image.height,
    hash: hashOf(image),
    hasMask: masks.length > 0,
    foregroundShare: largest / pixels,
  };
}

/** Of the pixels, so that a copy in another file format is found too (unless it lost something on the way). */
function hashOf({ width, height, channels, data }: Raster): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return createHash('sha256').update(`${width} ${height} ${channels} `).update(bytes).digest('hex');
}

function duplicates(seen: readonly Seen[]): Problem[] {
  const byHash = new Map<string, Seen[]>();
  for (const entry of seen) byHash.set(entry.hash, [...(byHash.get(entry.hash) ?? []), entry]);
  return [...byHash.values()]
    .filter((same) => same.length > 1)
    .map((same): Problem => {
      const [first, ...others] = same.map(({ sample }) => sample);
      const names = others.map(({ file, split }) => `'${file}' (${split})`).join(', ');
      const { file } = first;
      if (isLeak(same.map(({ sample }) => sample.split))) {
        const text = `(${first.split}) shows the same image as ${names}; a test must not know training images, remove one`;
        return { severity: 'error', kind: 'duplicate-across-splits', file, text };
      }
      return {
        severity: 'warning',
        kind: 'duplicate-image',
        file,
        text: `shows the same image as ${names}; remove one`,
      };
    });
}

/** Training images without a mask are allowed, and worth knowing about. */
function maskGaps({ samples }: SampleList, seen: readonly Seen[]): Problem[] {
  const training = seen.filter(({ sample }) => sample.split === 'train');
  const without = training.filter(({ hasMask }) => !hasMask);
  if (without.length === 0) return [];
  const total = samples.filter(({ split }) => split === 'train').length;
  const text = `${without.length} of ${total} training images have no mask (the first is '${without[0].sample.file}'); they count for classification only`;
  return [{ severity: 'warning', kind: 'no-mask', file: null, text }];
}

function imbalances({ samples, classNames }: SampleList): Problem[] {
  const training = samples.filter(({ split }) => split === 'train');
  const counts = classNames.map((_, c) => training.filter(({ labels }) => labels[c] === 1).length);
  const most = Math.max(0, ...counts);
  return classNames.flatMap((name, c) => {
    if (counts[c] === 0 || counts[c] * IMBALANCE > most) return [];
    const text = `class '${name}' has ${counts[c]} training images where '${classNames[counts.indexOf(most)]}' has ${most}; collect more, or expect it to be missed`;
    return [{ severity: 'warning', kind: 'imbalance', file: null, text }];
  });
}

function countSplits(
  { samples, classNames }: SampleList,
  seen: readonly (Seen | null)[],
): DataReport['splits'] {
  const counts = splitsOf(samples).map((split): [string, SplitCount] => {
    const own = samples.filter((sample) => sample.split === split);
    const labels = own.flatMap((sample) => sample.labels);
    const masked = seen.filter((entry) => entry?.sample.split === split && entry.hasMask).length;
    return [split, { ...labelCounts(labels, classNames), masked }];
  });
  return Object.fromEntries(counts);
}

function countSizes(seen: readonly Seen[]): DataReport['sizes'] {
  const counts = new Map<string, { width: number; height: number; images: number }>();
  for (const { width, height } of seen) {
    const key = `${width}x${height}`;
    counts.set(key, { width, height, images: (counts.get(key)?.images ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.images - a.images || a.width - b.width || a.height - b.height);
}
