// `isnet data import`: published data sets, in the layout they are published in, as a manifest and a configuration.
import type { Command } from 'commander';
import { publishedData, publishedNamed } from '../data/files/published/index.ts';
import { drawnMasks, writeManifest } from '../data/files/published/write-manifest.ts';
import { exists, RunFolderError, writeJson } from '../run-folder.ts';
import { once, wholeNumber } from './parse.ts';
import { progressLine } from './progress.ts';
import { commandLine, exitCodes } from './session.ts';

const examples = `
Data sets:
${[...publishedData].map(([name, { title, masks }]) => `  ${name.padEnd(14)} ${title}; masks: ${masks}`).join('\n')}

Writes the manifest, a configuration to begin with beside it, and masks where the published ones are no files of the
images' size. The data themselves are not copied; nothing is downloaded.

Examples:
  isnet data import chexpert CheXpert-v1.0-small --masks lungs --output chexpert.csv
  isnet data import tuberculosis NLM --output tuberculosis.csv
  isnet train --config tuberculosis.json`;

/** Adds the command to `isnet data`; `done` takes the exit code. */
export function addImportCommand(data: Command, done: (exitCode: number) => void): void {
  data
    .command('import')
    .description('list a published data set, as it was published, in a manifest')
    .argument('<name>', [...publishedData.keys()].join(', '))
    .argument('<folder>', 'where it lies')
    .requiredOption('--output <file>', 'CSV file to write')
    .option('--classes <names>', 'classes to keep, separated by commas')
    .option('--masks <folder>', 'masks of your own: the paths of the images, with the ending .png')
    .option('--seed <n>', 'seed of the splits that are not published', once(wholeNumber), 0)
    .option('--overwrite', 'replace the files if they exist')
    .addHelpText('after', examples)
    .action(async (name: string, folder: string, options: ImportOptions) =>
      done(await importData(name, folder, options)),
    );
}

interface ImportOptions {
  readonly output: string;
  readonly classes?: string;
  readonly masks?: string;
  readonly seed: number;
  readonly overwrite?: boolean;
}

async function importData(name: string, folder: string, options: ImportOptions): Promise<number> {
  const { output, classes, masks, seed, overwrite } = options;
  const { title, read, settings } = publishedNamed(name);
  const config = `${output.replace(/\.csv$/i, '')}.json`;
  for (const path of [output, config]) {
    if (overwrite || !(await exists(path))) continue;
    throw new RunFolderError(`import: '${path}' exists and is kept; pass --overwrite or another --output`);
  }
  const data = await read(folder, {
    seed,
    ...(classes === undefined ? {} : { classes: classes.split(',').map((each) => each.trim()) }),
    ...(masks === undefined ? {} : { masks }),
  });
  const progress = progressLine('images');
  await writeManifest(data, { source: folder, output, onProgress: progress.show }).finally(progress.stop);
  await writeJson(config, settings(output));
  console.log(`${title}: ${data.images.length} images, ${data.classNames.length} classes`);
  for (const note of data.notes) console.log(`  ${note}`);
  const unmasked = data.images.filter(({ mask }) => mask === null).length;
  if (unmasked > 0) console.log(`  ${unmasked} images have no mask: they count for classification only`);
  console.log(`manifest: ${output}, configuration: ${config}`);
  if (await exists(drawnMasks(output))) console.log(`masks: ${drawnMasks(output)}`);
  console.log(`check it with: ${commandLine(`data check ${output}`)}`);
  return exitCodes.success;
}
