// `isnet explain`: heatmaps of images from files or from a test set, as one picture.
import { type Command, Option } from 'commander';
import { DataError, UsageError } from '../../engine/errors.ts';
import { isnetComposite } from '../../lrp/composite.ts';
import { mosaic, type Picture } from '../../lrp/picture.ts';
import { readPng, writePng } from '../../lrp/png.ts';
import { compareModels, describeRow } from '../comparison-picture.ts';
import type { Dataset } from '../data/dataset.ts';
import type { ModelInput } from '../from-config.ts';
import { modelTitles, type TestSet, testSets } from '../report.ts';
import { exists, RunFolderError } from '../run-folder.ts';
import { type LoadedModel, loadModels, testDataOf } from './models.ts';
import { once, wholeNumbers } from './parse.ts';
import { exitCodes, withDevice } from './session.ts';
import { parseUnit, printWhy, type UnitName } from './why.ts';

const examples = `
Examples:
  isnet explain runs/quickstart --test-set deceiving --indices 0,1,2
  isnet explain runs/quickstart seven.png --target 7 --output seven-heatmaps.png
  isnet explain runs/quickstart/weights/best.safetensors a.png b.png
  isnet explain runs/quickstart --test-set biased --indices 0 --why classifier.3:3`;

interface ExplainCommandOptions {
  readonly target: string;
  readonly output: string;
  readonly overwrite?: boolean;
  readonly testSet?: TestSet;
  readonly indices: number[];
  readonly weights: 'best' | 'last';
  readonly mnistFolder?: string;
  readonly why?: UnitName;
}

/** Adds `isnet explain`; `done` takes the exit code. */
export function addExplainCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('explain')
    .description('draw where a model looks: one row per image, one heatmap per model')
    .argument('<run|weights>', 'run folder or .safetensors file')
    .argument('[images...]', 'PNG files of the size that the model was trained on')
    .addOption(new Option('--test-set <name>', 'take images from a test set').choices(testSets))
    .option(
      '--indices <numbers>',
      'which images of the test set',
      once(wholeNumbers),
      [0, 1, 2, 3, 4, 5, 6, 7],
    )
    .option('--target <class>', 'class to explain, by name', 'predicted')
    .option('--output <file>', 'picture to write', 'explanation.png')
    .option('--overwrite', 'replace the picture if it exists')
    .addOption(
      new Option('--weights <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--mnist-folder <path>', 'folder of the four MNIST files (default: as in training)')
    .option(
      '--why <layer:unit>',
      'print how the relevance of one unit is shared among its inputs, for the first image',
      once(parseUnit),
    )
    .addHelpText('after', examples)
    .action(async (path: string, images: string[], options: ExplainCommandOptions) =>
      done(await explainImages(path, images, options)),
    );
}

async function explainImages(
  path: string,
  images: string[],
  options: ExplainCommandOptions,
): Promise<number> {
  const { testSet, output, overwrite } = options;
  if (images.length > 0 === (testSet !== undefined)) {
    throw new UsageError('explain: name PNG files or a --test-set, one of the two; see isnet explain --help');
  }
  if (!overwrite && (await exists(output))) {
    throw new RunFolderError(`explain: '${output}' exists and is kept; pass --overwrite or another --output`);
  }
  return withDevice(console.log, async (device) => {
    const models = await loadModels(device, path, options.weights);
    const { dataset, indices, titles } = await imagesOf(models[0], images, options);
    const named = models.map(({ name, model }) => ({ name: modelTitles[name], model }));
    const composite = isnetComposite({ eps: models[0].card.eps });
    const rows = await compareModels(device, named, dataset, {
      indices,
      target: targetOf(options.target, dataset.classNames),
      composite,
      hasContour: testSet !== undefined,
    });
    await writePng(
      output,
      mosaic(
        rows.map(({ pictures }) => pictures),
        { gap: 4, background: [128, 128, 128] },
      ),
    );
    console.log(
      `columns: image${testSet ? ' with its mask' : ''}, ${named.map(({ name }) => `heatmap of the ${name}`).join(', ')}`,
    );
    console.log(
      'heatmaps: red for the explained class, blue against it, white is zero; each on its own symmetric scale',
    );
    for (const [i, row] of rows.entries()) for (const line of describeRow(titles[i], row)) console.log(line);
    console.log(`picture: ${output}`);
    if (options.why) {
      const target = targetOf(options.target, dataset.classNames);
      for (const { name, model } of named) {
        const request = { ...options.why, model, dataset, index: indices[0], target, composite };
        await printWhy(device, `${name}, ${titles[0]}:`, request);
      }
    }
    return exitCodes.success;
  });
}

function targetOf(name: string, classNames: readonly string[]): number | 'predicted' {
  if (name === 'predicted') return name;
  const target = classNames.indexOf(name);
  if (target < 0) {
    throw new UsageError(
      `explain: there is no class '${name}'; use predicted or one of ${classNames.join(', ')}`,
    );
  }
  return target;
}

interface Images {
  readonly dataset: Dataset;
  readonly indices: readonly number[];
  readonly titles: readonly string[];
}

async function imagesOf(
  { card }: LoadedModel,
  images: string[],
  options: ExplainCommandOptions,
): Promise<Images> {
  const { testSet, indices } = options;
  if (testSet === undefined) {
    const dataset = await datasetOfFiles(images, card.input);
    return { dataset, indices: images.map((_, i) => i), titles: images };
  }
  const dataset = testDataOf(card, options)[testSet];
  const outside = indices.find((index) => index >= dataset.count);
  if (outside !== undefined) {
    throw new UsageError(
      `explain: --indices ${outside} is beyond the ${dataset.count} test images; use 0 to ${dataset.count - 1}`,
    );
  }
  return {
    dataset,
    indices,
    titles: indices.map((index) => `${testSet} ${index}, a ${dataset.classNames[dataset.labels[index]]}`),
  };
}

/** PNG files as images in [0, 1], without labels or masks. */
async function datasetOfFiles(paths: readonly string[], input: ModelInput): Promise<Dataset> {
  const { channels, height, width, classNames } = input;
  const size = channels * height * width;
  const images = new Float32Array(paths.length * size);
  for (const [n, path] of paths.entries()) {
    const picture = await readPng(path);
    if (picture.width !== width || picture.height !== height) {
      throw new DataError(
        `explain: '${path}' is ${picture.width}x${picture.height} but the model takes ${width}x${height}; resize the picture`,
      );
    }
    images.set(pixelsOf(picture, channels), n * size);
  }
  const masks = new Float32Array(paths.length * height * width);
  const labels = new Uint8Array(paths.length);
  return { images, masks, labels, count: paths.length, channels, height, width, classNames: [...classNames] };
}

/** [C, H, W] in [0, 1]: the colours over black, or their mean for a model with one channel. */
function pixelsOf({ rgba }: Picture, channels: number): Float32Array {
  const count = rgba.length / 4;
  const pixels = new Float32Array(channels * count);
  for (let i = 0; i < count; i++) {
    const alpha = rgba[4 * i + 3] / 255;
    const [r, g, b] = [0, 1, 2].map((c) => (alpha * rgba[4 * i + c]) / 255);
    if (channels === 3) for (const [c, value] of [r, g, b].entries()) pixels[c * count + i] = value;
    else pixels[i] = (r + g + b) / 3;
  }
  return pixels;
}
