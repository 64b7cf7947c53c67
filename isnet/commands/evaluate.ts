// `isnet evaluate`: the table of a run or of one weights file, computed again.
import { type Command, Option } from 'commander';
import { isnetComposite } from '../../lrp/composite.ts';
import { evaluateModel, type ModelMetrics, metricsTable, modelTitles } from '../report.ts';
import { loadModels, testDataOf } from './models.ts';
import { once, wholeNumber } from './parse.ts';
import { exitCodes, withDevice } from './session.ts';

const examples = `
Examples:
  isnet evaluate runs/quickstart
  isnet evaluate runs/quickstart --weights last
  isnet evaluate runs/quickstart/weights/best.safetensors --test-count 10000 --json`;

interface EvaluateCommandOptions {
  readonly weights: 'best' | 'last';
  readonly testCount?: number;
  readonly mnistFolder?: string;
  readonly json?: boolean;
}

/** Adds `isnet evaluate`; `done` takes the exit code. */
export function addEvaluateCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('evaluate')
    .description('accuracy on biased, unbiased and deceiving test images, and background relevance')
    .argument('<run|weights>', 'run folder or .safetensors file')
    .addOption(
      new Option('--weights <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--test-count <n>', 'test images (default: as many as in training)', once(wholeNumber))
    .option('--mnist-folder <path>', 'folder of the four MNIST files (default: as in training)')
    .option('--json', 'print JSON')
    .addHelpText('after', examples)
    .action(async (path: string, options: EvaluateCommandOptions) => done(await evaluate(path, options)));
}

async function evaluate(path: string, options: EvaluateCommandOptions): Promise<number> {
  // With --json standard output holds the JSON alone.
  const log = options.json ? console.error : console.log;
  return withDevice(log, async (device) => {
    const loaded = await loadModels(device, path, options.weights);
    const results: ModelMetrics[] = [];
    for (const { name, model, card } of loaded) {
      const data = testDataOf(card, options);
      results.push(
        await evaluateModel(device, name, model, data, {
          composite: isnetComposite({ eps: card.eps }),
          onPart: (part) => log(`${modelTitles[name]}: ${part} ...`),
        }),
      );
    }
    if (options.json) console.log(JSON.stringify({ models: results, adapter: device.description }, null, 2));
    else console.log(`\n${metricsTable(results)}`);
    return exitCodes.success;
  });
}
