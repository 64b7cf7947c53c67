// `isnet quickstart`, which is `npm start`: the whole method on real digits with nothing to decide.
import { join } from 'node:path';
import type { Command } from 'commander';
import { completeConfig } from '../quickstart-config.ts';
import { createRunFolder, exists } from '../run-folder.ts';
import { once, wholeNumber } from './parse.ts';
import { runInTerminal } from './run.ts';
import { addOutputDir } from './train-options.ts';

const examples = `
Examples:
  isnet quickstart                         writes runs/quickstart, or runs/quickstart-2 if there is one already
  isnet quickstart --overwrite             replaces runs/quickstart
  isnet quickstart --seed 1 --name seed-1  another seed, under another name`;

interface QuickstartOptions {
  readonly seed?: number;
  readonly name?: string;
  readonly outputDir: string;
  readonly overwrite?: boolean;
}

/** Adds `isnet quickstart`; `done` takes the exit code. */
export function addQuickstartCommand(program: Command, done: (exitCode: number) => void): void {
  const command = program
    .command('quickstart')
    .description('train a classifier and an ISNet on MNIST with a background bias (what `npm start` does)')
    .option('--seed <n>', 'seed of weights, data and order (default: 0)', once(wholeNumber))
    .option('--name <name>', 'name of the run and its folder (default: quickstart)');
  addOutputDir(command)
    .option('--overwrite', 'replace a run of the same name')
    .addHelpText('after', examples)
    .action(async (options: QuickstartOptions) => done(await quickstart(options)));
}

async function quickstart({ seed, name, outputDir, overwrite }: QuickstartOptions): Promise<number> {
  const isChosen = name !== undefined || overwrite === true;
  const config = completeConfig([{ seed, name: isChosen ? name : await freeName(outputDir) }], 'quickstart');
  const folder = await createRunFolder(join(outputDir, config.name), { overwrite });
  return runInTerminal(config, folder);
}

/** `quickstart`, or the first of quickstart-2, -3, .. that is free: a newcomer's second try must just work. */
async function freeName(outputDir: string): Promise<string> {
  let name = 'quickstart';
  for (let i = 2; await exists(join(outputDir, name)); i++) name = `quickstart-${i}`;
  if (name !== 'quickstart') {
    console.log(`${join(outputDir, 'quickstart')} exists and is kept; pass --overwrite to replace it`);
  }
  return name;
}
