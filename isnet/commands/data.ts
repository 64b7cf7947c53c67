// `isnet data`: look at one's own images before training on them, or get others to try everything with.
import { type Command, Option } from 'commander';
import { DataError, UsageError } from '../../engine/errors.ts';
import { didYouMean } from '../../engine/nearest-name.ts';
import { randomStream } from '../../engine/random-bits.ts';
import { writePng } from '../../lrp/png.ts';
import { type ImageDataConfig, parseImageDataConfig } from '../config.ts';
import { choices } from '../config-schemas.ts';
import { checkFiles } from '../data/files/check.ts';
import { listSamples } from '../data/files/list-samples.ts';
import { previewMosaic } from '../data/files/preview.ts';
import { reportText } from '../data/files/report-text.ts';
import { writePhantomSet } from '../data/files/write-phantom.ts';
import type { SampleList } from '../data/sample-list.ts';
import { imageDefaults } from '../quickstart-config.ts';
import { exists, RunFolderError } from '../run-folder.ts';
import { addBenchmarkCommands } from './data-benchmarks.ts';
import { addImportCommand } from './data-import.ts';
import { decimal, once, type Size, size as sizeOf, wholeNumber } from './parse.ts';
import { progressLine } from './progress.ts';
import { commandLine, exitCodes } from './session.ts';

const layout = `
A data set is a folder or a CSV file.
  data/<train|val|test|test-..>/<class>/<image>.png   also .jpg .jpeg .webp .dcm
  masks/<split>/<class>/<image>.png                   white is foreground; or <image>/<class>.png, one mask per class
  An image without a mask file whose background is transparent is its own mask.
CSV columns: file, split, label (or labels, or label:<class> with 1, 0, -1 or blank); also mask, mask:<class>, group.`;

const examples = {
  data: `${layout}

Examples:
  isnet data phantom --out phantom
  isnet data check phantom
  isnet data preview phantom --output phantom.png`,
  check: `${layout}

Exit code 1 if there are errors, 0 if there are warnings only.

Examples:
  isnet data check my-images
  isnet data check manifest.csv --json > report.json`,
  preview: `
Examples:
  isnet data preview my-images
  isnet data preview my-images --split val --channels 3 --size 224 --output val.png
  isnet data preview my-images --epoch 0 --rotate 10 --brightness 0.1 --crop-margin 16`,
  phantom: `
Examples:
  isnet data phantom --out phantom
  isnet data phantom --out phantom --train-count 2000 --size 256`,
};

/** Adds `isnet data` and what it can do; `done` takes the exit code. */
export function addDataCommand(program: Command, done: (exitCode: number) => void): void {
  const data = program
    .command('data')
    .description(
      "check and preview images of one's own, draw synthetic ones, fetch and write benchmarks, import published data sets",
    )
    .addHelpText('after', examples.data);
  data
    .command('check')
    .description('open every file of a data set; counts, masks, duplicates, and what is wrong')
    .argument('<folder|csv>', 'data set')
    .addOption(emptyMasksOption())
    .option('--json', 'print JSON')
    .addHelpText('after', examples.check)
    .action(async (source: string, options: CheckOptions) => done(await check(source, options)));
  addPreview(data).action(async (source: string, options: PreviewOptions) =>
    done(await preview(source, options)),
  );
  data
    .command('phantom')
    .description('write synthetic chest phantoms whose marker betrays the class; not patients')
    .requiredOption('--out <folder>', 'new folder')
    .option('--train-count <n>', 'training images', once(wholeNumber), 400)
    .option('--validation-count <n>', 'validation images', once(wholeNumber), 80)
    .option('--test-count <n>', 'images of each of the three tests', once(wholeNumber), 100)
    .option('--size <n>', 'side in pixels, from 64 up', once(wholeNumber), 128)
    .option('--seed <n>', 'seed', once(wholeNumber), 0)
    .addHelpText('after', examples.phantom)
    .action(async (options: PhantomOptions) => done(await phantom(options)));
  addBenchmarkCommands(data, done);
  addImportCommand(data, done);
}

const emptyMasksOption = (): Option =>
  new Option('--empty-masks <policy>', 'what an empty mask means')
    .choices(choices.emptyMasks)
    .default(imageDefaults.emptyMasks);

interface CheckOptions {
  readonly emptyMasks: ImageDataConfig['emptyMasks'];
  readonly json?: boolean;
}

async function check(source: string, { emptyMasks, json }: CheckOptions): Promise<number> {
  const list = await listSamples(source);
  const progress = progressLine('files opened');
  const report = await checkFiles(list, { emptyMasks, onProgress: progress.show }).finally(progress.stop);
  console.log(json ? JSON.stringify(report, null, 2) : reportText(report));
  const hasErrors = report.problems.some(({ severity }) => severity === 'error');
  return hasErrors ? exitCodes.failure : exitCodes.success;
}

interface PreviewOptions {
  readonly split: string;
  readonly count: number;
  readonly columns: number;
  readonly output: string;
  readonly overwrite?: boolean;
  readonly seed: number;
  readonly epoch?: number;
  readonly size?: Size;
  readonly channels: number;
  readonly resize: ImageDataConfig['resize'];
  readonly cropMargin: number;
  readonly maskMargin: number;
  readonly emptyMasks: ImageDataConfig['emptyMasks'];
  readonly flip?: boolean;
  readonly rotate: number;
  readonly brightness: number;
  readonly contrast: number;
}

function addPreview(data: Command): Command {
  const { height, width, channels, resize, cropMargin, maskMargin, augment } = imageDefaults;
  return data
    .command('preview')
    .description('draw what training will see: images in their frame with the outlines of their masks')
    .argument('<folder|csv>', 'data set')
    .option('--split <name>', 'split to draw', 'train')
    .option('--count <n>', 'images, chosen at random', once(wholeNumber), 32)
    .option('--columns <n>', 'images side by side', once(wholeNumber), 8)
    .option('--output <file>', 'picture to write', 'preview.png')
    .option('--overwrite', 'replace the picture if it exists')
    .option('--seed <n>', 'seed of the choice and of the variations', once(wholeNumber), 0)
    .option('--size <WxH>', `size of the network input (default: ${width}x${height})`, once(sizeOf))
    .option('--channels <n>', '1 (grey) or 3 (colours)', once(wholeNumber), channels)
    .addOption(
      new Option('--resize <mode>', 'how images of another shape fit')
        .choices(choices.resize)
        .default(resize),
    )
    .option('--crop-margin <n>', 'pixels to cut off, at random in training', once(wholeNumber), cropMargin)
    .option('--mask-margin <n>', 'pixels to grow masks by', once(wholeNumber), maskMargin)
    .addOption(emptyMasksOption())
    .option('--epoch <n>', 'vary the images as in this epoch of training', once(wholeNumber))
    .option('--flip', 'mirror every second image')
    .option('--rotate <degrees>', 'most degrees to turn by', once(decimal), augment.rotate)
    .option('--brightness <x>', 'most to add or take away, 0 to 1', once(decimal), augment.brightness)
    .option('--contrast <x>', 'most to stretch by, 0 to 1', once(decimal), augment.contrast)
    .addHelpText('after', examples.preview);
}

async function preview(source: string, options: PreviewOptions): Promise<number> {
  const { split, count, columns, output, overwrite, seed, epoch, size, resize } = options;
  const { channels, cropMargin, maskMargin, emptyMasks, flip = false, rotate } = options;
  const { brightness, contrast } = options;
  if (!overwrite && (await exists(output))) {
    throw new RunFolderError(
      `data preview: '${output}' exists and is kept; pass --overwrite or another --output`,
    );
  }
  if (count < 1 || columns < 1) {
    throw new UsageError(
      `data preview: --count ${count} in ${columns} columns is nothing to draw; use 1 or more of each`,
    );
  }
  const augment = { flip, rotate, brightness, contrast };
  const given = { source, ...size, channels, resize, cropMargin, maskMargin, emptyMasks, augment };
  const config = parseImageDataConfig({ ...imageDefaults, ...given }, 'data preview');
  const list = await listSamples(source);
  const indices = chosen(list, split, count, seed);
  await writePng(output, await previewMosaic(list, config, { indices, columns, epoch, seed }));
  console.log(`${indices.length} images of ${split}, row by row; magenta is the outline of the mask`);
  for (const index of indices) {
    const { file, labels } = list.samples[index];
    const shown = list.classNames.filter((_, c) => labels[c] === 1).join(', ') || 'no class';
    console.log(`  ${shown}: ${file}`);
  }
  console.log(`picture: ${output}`);
  return exitCodes.success;
}

/** Random samples of a split, in the order of the list. */
function chosen({ samples, source }: SampleList, split: string, count: number, seed: number): number[] {
  const own = [...samples.keys()].filter((n) => samples[n].split === split);
  if (samples.length === 0) {
    throw new DataError(
      `data preview: '${source}' has no images at all; isnet data check '${source}' says what it found`,
    );
  }
  if (own.length === 0) {
    const splits = [...new Set(samples.map((sample) => sample.split))];
    throw new UsageError(
      `data preview: '${source}' has no images in '${split}'${didYouMean(split, splits)}; use one of ${splits.join(', ')}`,
    );
  }
  const order = randomStream(seed, 'preview').permutation(own.length);
  return [...order.slice(0, count)].map((i) => own[i]).sort((a, b) => a - b);
}

interface PhantomOptions {
  readonly out: string;
  readonly trainCount: number;
  readonly validationCount: number;
  readonly testCount: number;
  readonly size: number;
  readonly seed: number;
}

async function phantom({ out, ...options }: PhantomOptions): Promise<number> {
  const progress = progressLine('images written');
  await writePhantomSet(out, { ...options, onProgress: progress.show }).finally(progress.stop);
  console.log(`synthetic phantoms, not patients: ${out}`);
  console.log(`look at them with: ${commandLine(`data preview ${out}`)}`);
  return exitCodes.success;
}
