// `isnet export`: a trained model as an ONNX file, to be run by whatever runs ONNX.
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { CpuDevice } from '../../engine/cpu-device.ts';
import { CheckpointError, UsageError } from '../../engine/errors.ts';
import { writeFileAtomically } from '../../engine/files.ts';
import { packageVersion } from '../../engine/package-version.ts';
import type { ModelCard } from '../checkpoint.ts';
import type { DataConfig } from '../config.ts';
import { exportOnnx, OPSET, OUTPUT } from '../onnx/export.ts';
import { INPUT } from '../onnx/graph-writer.ts';
import { modelTitles } from '../report.ts';
import { exists, RunFolderError } from '../run-folder.ts';
import { type LoadedModel, loadModels } from './models.ts';
import { exitCodes } from './session.ts';

const examples = `
An ISNet is a plain classifier once it is trained: the file has no heatmaps in it. Of a run with an ISNet and a classifier
the ISNet is exported, unless --model says otherwise. Metadata of the file, all of it JSON: classNames, inputSize [C, H, W],
inputRange, outputActivation (softmax or sigmoid), source, and what isnet itself needs to read it again.

Examples:
  isnet export runs/mine
  isnet export runs/mine --model classifier --weights last --output plain.onnx
  isnet export runs/mine/weights/best.safetensors --output model.onnx --overwrite
  isnet explain model.onnx a.png b.png`;

interface ExportCommandOptions {
  readonly output?: string;
  readonly overwrite?: boolean;
  readonly weights: 'best' | 'last';
  readonly model?: ModelCard['method'];
}

/** Adds `isnet export`; `done` takes the exit code. */
export function addExportCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('export')
    .description('write a model as an ONNX file, for onnxruntime and its like')
    .argument('<run|weights>', 'run folder or .safetensors file')
    .option('--output <file>', 'file to write (default: <name of the run or file>.onnx)')
    .option('--overwrite', 'replace the file if it exists')
    .addOption(
      new Option('--weights <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .addOption(
      new Option('--model <method>', 'which model of a run (default: its ISNet)').choices([
        'isnet',
        'classifier',
      ]),
    )
    .addHelpText('after', examples)
    .action(async (path: string, options: ExportCommandOptions) => done(await exportModel(path, options)));
}

async function exportModel(path: string, options: ExportCommandOptions): Promise<number> {
  const { output = `${basename(path).replace(/\.(safetensors|onnx)$/, '')}.onnx`, overwrite } = options;
  if (!overwrite && (await exists(output))) {
    throw new RunFolderError(`export: '${output}' exists and is kept; pass --overwrite or another --output`);
  }
  // Nothing is computed: it works on machines without WebGPU, too.
  const loaded = chosen(await loadModels(new CpuDevice(), path, options.weights), options.model, path);
  const { channels, height, width, classNames } = loaded.card.input;
  const bytes = await exportOnnx(loaded.model, {
    input: [channels, height, width],
    metadata: metadataOf(loaded),
    producerVersion: packageVersion(),
  });
  await writeFileAtomically(output, bytes, { where: 'export', error: CheckpointError });
  const [low, high] = loaded.card.inputRange;
  const image = [channels, height, width].join(', ');
  console.log(`model: ${modelTitles[loaded.name]}, ${loaded.path}`);
  console.log(`file: ${output} (${sizeText(bytes.length)}, opset ${OPSET})`);
  console.log(`input: '${INPUT}' float32 [batch, ${image}], values from ${low} to ${high}`);
  console.log(
    `output: '${OUTPUT}' float32 [batch, ${classNames.length}], before ${activationOf(loaded.card)}`,
  );
  for (const line of pythonLines(output, image)) console.log(line);
  return exitCodes.success;
}

/** The ISNet if there is one, for it is what the run is about; or the model that was asked for. */
function chosen(models: readonly LoadedModel[], method: string | undefined, path: string): LoadedModel {
  const found = method
    ? models.find(({ name }) => name === method)
    : (models.find(({ name }) => name === 'isnet') ?? models[0]);
  if (found) return found;
  throw new UsageError(
    `export: '${path}' has no ${method}; it has ${models.map(({ name }) => name).join(' and ')}`,
  );
}

/** The card, entry by entry as in weights files, and what users of the file look for. All of it is JSON. */
function metadataOf({ card, path }: LoadedModel): Record<string, string> {
  const { channels, height, width, classNames } = card.input;
  const entries = {
    ...card,
    data: withoutPaths(card.data),
    classNames,
    inputSize: [channels, height, width],
    outputActivation: activationOf(card),
    source: path.split(/[\\/]/).slice(-3).join('/'),
  };
  return Object.fromEntries(Object.entries(entries).map(([key, value]) => [key, JSON.stringify(value)]));
}

/** Files are given away: where somebody keeps images is nobody else's business. */
function withoutPaths(data: DataConfig): DataConfig {
  if (data.dataset === 'images') return { ...data, source: basename(data.source) };
  return data.dataset === 'mnist-marker' ? { ...data, folder: null } : data;
}

const activationOf = ({ input }: ModelCard): string => (input.isMultiLabel ? 'sigmoid' : 'softmax');

function sizeText(count: number): string {
  const [unit, size]: [string, number] = count < 1e6 ? ['kB', 1e3] : ['MB', 1e6];
  return `${(count / size).toFixed(1)} ${unit}`;
}

const pythonLines = (file: string, image: string): string[] => [
  'in Python:',
  `  session = onnxruntime.InferenceSession(${JSON.stringify(file)})`,
  '  names = json.loads(session.get_modelmeta().custom_metadata_map["classNames"])',
  `  logits = session.run(None, {"${INPUT}": numpy.zeros((1, ${image}), "float32")})[0]`,
];
