// `isnet explain`: heatmaps of images from files or from a test set, as one picture.
import { type Command, Option } from 'commander';
import { UsageError } from '../../engine/errors.ts';
import { didYouMean } from '../../engine/nearest-name.ts';
import { isnetComposite } from '../../lrp/composite.ts';
import { mosaic } from '../../lrp/picture.ts';
import { writePng } from '../../lrp/png.ts';
import { type ComparisonRow, compareModels, describeRow } from '../comparison-picture.ts';
import { exactPictures, framedPictures } from '../data/files/pictures.ts';
import { type BatchSource, memorySource } from '../data/source.ts';
import { firstOfEachClass } from '../data/splits.ts';
import { openTests } from '../open-data.ts';
import { modelTitles } from '../report.ts';
import { exists, RunFolderError } from '../run-folder.ts';
import { attributionNamed, attributionNames } from './attribution-names.ts';
import { type LoadedModel, loadModels, targetOf } from './models.ts';
import { once, wholeNumbers } from './parse.ts';
import { exitCodes, withDevice } from './session.ts';
import { parseUnit, type UnitName, whyText } from './why.ts';

// More rows than fit on a screen are not looked at, unless they are asked for.
const MOST_IMAGES = 12;

const examples = `
Examples:
  isnet explain runs/quickstart --test-set deceiving --indices 0,1,2
  isnet explain runs/quickstart seven.png --target 7 --output seven-heatmaps.png
  isnet explain runs/quickstart/weights/best.safetensors a.png b.png
  isnet explain runs/quickstart --test-set biased --method integrated-gradients
  isnet explain runs/quickstart --test-set biased --indices 0 --why classifier.3:3`;

interface ExplainCommandOptions {
  readonly target: string;
  readonly method: string;
  readonly output: string;
  readonly overwrite?: boolean;
  readonly testSet?: string;
  readonly indices?: number[];
  readonly data?: string;
  readonly weights: 'best' | 'last';
  readonly mnistFolder?: string;
  readonly why?: UnitName;
}

/** Adds `isnet explain`; `done` takes the exit code. */
export function addExplainCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('explain')
    .description('draw where a model looks: one row per image, one heatmap per model')
    .argument('<run|weights>', 'run folder, .safetensors file, or .onnx file of isnet export')
    .argument(
      '[images...]',
      'picture files; made as large as the model takes them, if it has learnt from such',
    )
    .option(
      '--test-set <name>',
      'take images from a test set: biased, unbiased, deceiving, out-of-distribution; test, or test-<name>',
    )
    .option(
      '--indices <numbers>',
      'which images of the test set (default: one of each class)',
      once(wholeNumbers),
    )
    .option('--target <class>', 'class to explain, by name', 'predicted')
    .option('--method <name>', `how heatmaps are made: ${attributionNames.join(', ')}`, 'lrp')
    .option('--output <file>', 'picture to write', 'explanation.png')
    .option('--overwrite', 'replace the picture if it exists')
    .addOption(
      new Option('--weights <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--data <folder|csv>', 'take the test set from other images of the same classes')
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
  const { testSet, output, overwrite, method } = options;
  const attribution = attributionNamed('explain', method);
  if (options.why && method !== 'lrp') {
    throw new UsageError(
      `explain: --why shows what LRP does, and --method is ${method}; leave out one of them`,
    );
  }
  if (images.length > 0 === (testSet !== undefined)) {
    throw new UsageError(
      'explain: name picture files or a --test-set, one of the two; see isnet explain --help',
    );
  }
  if (!overwrite && (await exists(output))) {
    throw new RunFolderError(`explain: '${output}' exists and is kept; pass --overwrite or another --output`);
  }
  return withDevice(console.log, async (device) => {
    const models = await loadModels(device, path, options.weights);
    const { card } = models[0];
    const { source, indices, titles, close } =
      testSet === undefined ? await imagesOfFiles(card, images) : await imagesOfTest(card, testSet, options);
    try {
      const named = models.map(({ name, model }) => ({ name: modelTitles[name], model }));
      const composite = isnetComposite({ eps: card.eps });
      const target = targetOf('explain', options.target, source.classNames);
      const shown = { indices, target, attribution, composite, hasContour: testSet !== undefined };
      const rows = await compareModels(device, named, source, shown);
      // Before anything is written: a unit that there is not must not cost a second run with --overwrite.
      const tables: string[] = [];
      for (const { name, model } of options.why ? named : []) {
        const request = { ...(options.why as UnitName), model, source, index: indices[0], target, composite };
        tables.push(await whyText(device, `${name}, ${titles(rows[0], 0)}:`, request));
      }
      const pictures = rows.map((row) => row.pictures);
      await writePng(output, mosaic(pictures, { gap: 4, background: [128, 128, 128] }));
      console.log(
        `columns: image${testSet ? ' with its mask' : ''}, ${named.map(({ name }) => `heatmap of the ${name}`).join(', ')}`,
      );
      console.log(
        `heatmaps by ${method}: red for the explained class, blue against it, white is zero; each on its own symmetric scale`,
      );
      for (const [i, row] of rows.entries()) {
        for (const line of describeRow(titles(row, i), row)) console.log(line);
      }
      console.log(`picture: ${output}`);
      for (const table of tables) console.log(table);
    } finally {
      await close();
    }
    return exitCodes.success;
  });
}

interface Images {
  readonly source: BatchSource;
  readonly indices: readonly number[];
  readonly titles: (row: ComparisonRow, i: number) => string;
  readonly close: () => Promise<void>;
}

async function imagesOfTest(
  card: LoadedModel['card'],
  testSet: string,
  { indices: wanted, data, mnistFolder }: ExplainCommandOptions,
): Promise<Images> {
  const { tests, close } = await openTests(card, { data, mnistFolder, log: console.log });
  try {
    const names = Object.keys(tests);
    if (!names.includes(testSet)) {
      throw new UsageError(
        `explain: there is no test set '${testSet}'${didYouMean(testSet, names)}; use ${names.join(', ')}`,
      );
    }
    const source = tests[testSet];
    const indices = wanted ?? firstOfEachClass(source).slice(0, MOST_IMAGES);
    const outside = indices.find((index) => index >= source.count);
    if (outside !== undefined) {
      throw new UsageError(
        `explain: --indices ${outside} is beyond the ${source.count} test images; use 0 to ${source.count - 1}`,
      );
    }
    return { source, indices, titles: ({ index, label }) => `${testSet} ${index}, ${label}`, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Picture files without labels or masks, brought into the form that the model was trained on. */
async function imagesOfFiles(card: LoadedModel['card'], paths: readonly string[]): Promise<Images> {
  const { data, input } = card;
  const source = memorySource(
    data.dataset === 'images'
      ? await framedPictures(paths, data, input.classNames)
      : await exactPictures(paths, input),
  );
  return {
    source: { ...source, isMultiLabel: input.isMultiLabel === true },
    indices: paths.map((_, i) => i),
    titles: (_, i) => paths[i],
    close: async () => {},
  };
}
