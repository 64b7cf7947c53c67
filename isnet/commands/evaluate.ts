// `isnet evaluate`: everything that is measured at the end of a run, measured again, for a run or for one weights file.
import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { GpuDevice } from '../../engine/gpu-device.ts';
import { isnetComposite } from '../../lrp/composite.ts';
import type { TestSets } from '../data/splits.ts';
import { describeEnvironment, type Environment } from '../environment.ts';
import { logitBackgrounds } from '../evaluation/logit-backgrounds.ts';
import { evaluateOnSets, tellingSet } from '../evaluation/model.ts';
import { silencing } from '../evaluation/silencing.ts';
import { readRunConfig } from '../experiment.ts';
import { openTests } from '../open-data.ts';
import { type EvaluatedModel, writeReport } from '../report/write.ts';
import {
  type AskedFor,
  evaluationTable,
  type LogitsOfModel,
  logitsText,
  metricsOf,
  modelTitles,
  type SilencedModel,
  silencingText,
} from '../report.ts';
import { exists, openRunFolder, type RunFolder, readJson, runFolder } from '../run-folder.ts';
import { type LoadedModel, loadModels } from './models.ts';
import { once, wholeNumber } from './parse.ts';
import { exitCodes, withDevice } from './session.ts';

const examples = `
Examples:
  isnet evaluate runs/quickstart                       prints the table, writes evaluation.json and report.html
  isnet evaluate runs/quickstart --weights last
  isnet evaluate runs/quickstart --silenced            which units the background silences, which no heatmap shows
  isnet evaluate runs/quickstart --logits              what the background adds to each logit, not only the largest
  isnet evaluate runs/mine --data other-hospital        other images of the same classes; the report stays
  isnet evaluate runs/quickstart/weights/best.safetensors --test-count 10000 --json`;

interface EvaluateCommandOptions {
  readonly weights: 'best' | 'last';
  readonly data?: string;
  readonly testCount?: number;
  readonly mnistFolder?: string;
  readonly silenced?: boolean;
  readonly logits?: boolean;
  readonly json?: boolean;
  /** False with --no-report. */
  readonly report: boolean;
}

/** Adds `isnet evaluate`; `done` takes the exit code. */
export function addEvaluateCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('evaluate')
    .description(
      'accuracy with intervals on each test set, background relevance, and what the background does',
    )
    .argument('<run|weights>', 'run folder or .safetensors file')
    .addOption(
      new Option('--weights <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--data <folder|csv>', 'other images of the same classes, in the splits test or test-<name>')
    .option(
      '--test-count <n>',
      'images in each test of a benchmark (default: as in the run)',
      once(wholeNumber),
    )
    .option('--mnist-folder <path>', 'folder of the four MNIST files (default: as in training)')
    .option(
      '--silenced',
      'also what the background silences, layer by layer, on the test set that tells most',
    )
    .option('--logits', 'also what the background adds to each logit, on the test set that is like training')
    .option('--no-report', 'leave the files of the run as they are')
    .option('--json', 'print JSON')
    .addHelpText('after', examples)
    .action(async (path: string, options: EvaluateCommandOptions) => done(await evaluate(path, options)));
}

async function evaluate(path: string, options: EvaluateCommandOptions): Promise<number> {
  // With --json standard output holds the JSON alone.
  const log = options.json ? console.error : console.log;
  return withDevice(log, async (device) => {
    const { evaluated, silenced, logits } = await evaluateAll(device, path, options, log);
    const evaluations = evaluated.map(({ evaluation }) => evaluation);
    if (options.json) {
      const models = evaluations.map(metricsOf);
      const results = { models, adapter: device.description, evaluation: evaluations, silenced, logits };
      console.log(JSON.stringify(results, null, 2));
    } else {
      console.log(`\n${evaluationTable(evaluations)}`);
      for (const each of silenced ?? []) console.log(`\n${silencingText(each)}`);
      for (const each of logits ?? []) console.log(`\n${logitsText(each)}`);
    }
    return exitCodes.success;
  });
}

interface Evaluated extends AskedFor {
  readonly evaluated: readonly EvaluatedModel[];
}

/** Evaluates the models at the path, and writes the files of their run if it is one. */
async function evaluateAll(
  device: GpuDevice,
  path: string,
  options: EvaluateCommandOptions,
  log: (line: string) => void,
): Promise<Evaluated> {
  const loaded = await loadModels(device, path, options.weights);
  const data = await openTests(loaded[0].card, { ...options, log });
  try {
    const evaluated = await evaluateModels(device, loaded, data, log);
    const silenced = options.silenced ? await silencedOf(device, loaded, data, log) : undefined;
    const logits = options.logits ? await logitsOf(device, loaded, data, log) : undefined;
    const found = { evaluated, silenced, logits };
    // The report of a run is about its own tests.
    if (options.report && options.data === undefined && (await stat(path)).isDirectory()) {
      const { card } = loaded[loaded.length - 1];
      await updateReport(device, await openRunFolder(path), found, { card, data, options });
      log(`report: ${runFolder(path).report}`);
    }
    return found;
  } finally {
    await data.close();
  }
}

async function evaluateModels(
  device: GpuDevice,
  loaded: readonly LoadedModel[],
  { tests, isPaired }: TestSets,
  log: (line: string) => void,
): Promise<EvaluatedModel[]> {
  const evaluated: EvaluatedModel[] = [];
  for (const { name, model, card } of loaded) {
    const result = await evaluateOnSets(device, name, model, tests, {
      isPaired,
      composite: isnetComposite({ eps: card.eps }),
      onPart: (part) => log(`${modelTitles[name]}: ${part} ...`),
    });
    if (result) evaluated.push({ ...result, model });
  }
  return evaluated;
}

/** The answers of all models to a question, in turn. */
async function askEach<T>(
  loaded: readonly LoadedModel[],
  question: string,
  log: (line: string) => void,
  ask: (model: LoadedModel) => Promise<T>,
): Promise<(T & { readonly name: LoadedModel['name'] })[]> {
  const answers = [];
  for (const each of loaded) {
    log(`${modelTitles[each.name]}: ${question} ...`);
    answers.push({ name: each.name, ...(await ask(each)) });
  }
  return answers;
}

/** What the background silences in each model, on the test set that tells most. */
function silencedOf(
  device: GpuDevice,
  loaded: readonly LoadedModel[],
  { tests }: TestSets,
  log: (line: string) => void,
): Promise<SilencedModel[]> {
  const names = Object.keys(tests);
  const set = tellingSet(names) ?? names[0];
  return askEach(loaded, `what the background silences on ${set}`, log, async ({ model }) => ({
    set,
    silencing: await silencing(device, model, tests[set]),
  }));
}

/** What the background adds to the logits of each model, on the first test set. */
function logitsOf(
  device: GpuDevice,
  loaded: readonly LoadedModel[],
  { tests }: TestSets,
  log: (line: string) => void,
): Promise<LogitsOfModel[]> {
  const [[set, source]] = Object.entries(tests);
  return askEach(
    loaded,
    `what the background adds to each logit on ${set}`,
    log,
    async ({ model, card }) => ({
      set,
      logits: await logitBackgrounds(device, model, source, { composite: isnetComposite({ eps: card.eps }) }),
    }),
  );
}

interface ReportFacts {
  readonly card: LoadedModel['card'];
  readonly data: TestSets;
  readonly options: EvaluateCommandOptions;
}

async function updateReport(
  device: GpuDevice,
  folder: RunFolder,
  { evaluated, silenced, logits }: Evaluated,
  { card, data, options }: ReportFacts,
): Promise<void> {
  await writeReport(folder, {
    device,
    models: evaluated,
    silenced,
    logits,
    source: Object.values(data.tests)[0],
    composite: isnetComposite({ eps: card.eps }),
    weights: options.weights,
    config: await readRunConfig(folder),
    environment: await environmentOf(folder, device),
  });
}

/** Of the training; of this evaluation where that is lost. */
async function environmentOf(folder: RunFolder, device: GpuDevice): Promise<Environment> {
  if (!(await exists(folder.environment))) return describeEnvironment(device);
  return (await readJson(folder.environment)) as Environment;
}
