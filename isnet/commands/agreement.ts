// `isnet agreement`: heatmaps against regions that an expert has drawn.
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { isnetComposite } from '../../lrp/composite.ts';
import { openExpertImages, readAnnotations } from '../data/files/expert-images.ts';
import { type Agreement, measureAgreement } from '../experts/agreement.ts';
import { imageConfigOf } from '../open-data.ts';
import { formatEstimate, inColumns, modelTitles } from '../report.ts';
import { attributionNamed, attributionNames } from './attribution-names.ts';
import { loadModels, targetOf } from './models.ts';
import { exitCodes, withDevice } from './session.ts';

const examples = `
Examples:
  isnet agreement runs/mine radiologist.json                  images beside the annotations
  isnet agreement runs/mine coco.json --images scans --target pneumonia
  isnet agreement runs/mine coco.json --method grad-cam
  isnet agreement runs/mine coco.json --json > agreement.json

The annotations are COCO's (segmentation or bbox; a severity as \`severity\` or \`attributes.severity\`) or ours:
  { "images": [{ "file": "a.png", "regions": [{ "box": [x, y, width, height], "severity": 2 }] }] }`;

interface AgreementCommandOptions {
  readonly images?: string;
  readonly target: string;
  readonly method: string;
  readonly weights: 'best' | 'last';
  readonly json?: boolean;
}

/** Adds `isnet agreement`; `done` takes the exit code. */
export function addAgreementCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('agreement')
    .description('how well heatmaps agree with regions that an expert has drawn, and with their severity')
    .argument('<run|weights>', 'run folder or .safetensors file')
    .argument('<annotations>', 'JSON file of regions')
    .option('--images <folder>', 'where the images lie (default: beside the annotations)')
    .option('--target <class>', 'class to explain, by name', 'predicted')
    .option('--method <name>', `how heatmaps are made: ${attributionNames.join(', ')}`, 'lrp')
    .addOption(
      new Option('--weights <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--json', 'print JSON, with each image')
    .addHelpText('after', examples)
    .action(async (path: string, annotations: string, options: AgreementCommandOptions) =>
      done(await agreement(path, annotations, options)),
    );
}

async function agreement(
  path: string,
  annotations: string,
  options: AgreementCommandOptions,
): Promise<number> {
  const log = options.json ? console.error : console.log;
  const { method } = options;
  const attribution = attributionNamed('agreement', method);
  const annotated = await readAnnotations(annotations);
  return withDevice(log, async (device) => {
    const models = await loadModels(device, path, options.weights);
    const { card } = models[0];
    const target = targetOf('agreement', options.target, card.input.classNames);
    const folder = options.images ?? dirname(annotations);
    const images = await openExpertImages(folder, annotated, imageConfigOf(card, folder), log);
    const composite = isnetComposite({ eps: card.eps });
    const found = new Map<string, Agreement & { readonly method: string }>();
    for (const { name, model } of models) {
      const agreement = await measureAgreement(device, model, images, { attribution, composite, target });
      found.set(modelTitles[name], { method, ...agreement });
    }
    log(`heatmaps by ${method}`);
    console.log(options.json ? JSON.stringify(Object.fromEntries(found), null, 2) : agreementTable(found));
    return exitCodes.success;
  });
}

/** One column per model, each number with its 95 % interval over images. */
function agreementTable(found: ReadonlyMap<string, Agreement>): string {
  const row = (title: string, text: (agreement: Agreement) => string): string[] => [
    title,
    ...[...found.values()].map(text),
  ];
  return inColumns([
    ['', ...found.keys()],
    row('images', ({ count }) => String(count)),
    row('relevance mass accuracy', ({ massAccuracy }) => formatEstimate(massAccuracy)),
    row('relevance rank accuracy', ({ rankAccuracy }) => formatEstimate(rankAccuracy)),
    row('pointing game', ({ pointingGame }) => formatEstimate(pointingGame)),
    row(
      'severity: rank correlation, mean of images',
      ({ severityCorrelation: mean, severityCount: count }) =>
        count === 0 ? '-' : `${formatEstimate(mean)} (${count} images)`,
    ),
    row('severity: rank correlation of all regions', (agreement) => {
      const { pooledSeverityCorrelation: pooled, pooledSeverityCount: count } = agreement;
      return pooled.value === null ? '-' : `${formatEstimate(pooled)} (${count} regions)`;
    }),
  ]);
}
