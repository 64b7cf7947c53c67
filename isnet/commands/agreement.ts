// `isnet agreement`: heatmaps against regions that an expert has drawn.
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { DataError, UsageError } from '../../engine/errors.ts';
import { unknownName } from '../../engine/nearest-name.ts';
import { isnetComposite } from '../../lrp/composite.ts';
import { openExpertImages, readAnnotations } from '../data/files/expert-images.ts';
import { type Agreement, measureAgreement } from '../experts/agreement.ts';
import type { AnnotatedImage } from '../experts/annotations.ts';
import { classOfLabel } from '../experts/labels.ts';
import { imageConfigOf } from '../open-data.ts';
import { formatEstimate, inColumns, modelTitles } from '../report.ts';
import { attributionNamed, attributionNames } from './attribution-names.ts';
import { loadModels, targetOf } from './models.ts';
import { names, once } from './parse.ts';
import { exitCodes, withDevice } from './session.ts';

const examples = `
Examples:
  isnet agreement runs/mine radiologist.json                  images beside the annotations
  isnet agreement runs/mine coco.json --images scans --target pneumonia
  isnet agreement runs/mine coco.json --labels opacity,effusion
  isnet agreement runs/mine coco.json --method grad-cam
  isnet agreement runs/mine coco.json --json > agreement.json

The annotations are COCO's (segmentation or bbox; a severity as \`severity\` or \`attributes.severity\`) or ours:
  { "images": [{ "file": "a.png", "regions": [{ "box": [x, y, width, height], "severity": 2 }] }] }

A region with a label (COCO's category, or "label") counts where its class is explained, given by name, or by number from 0.
Regions without a label always count. An image without a region that counts is left out; how much is left out is printed.`;

interface AgreementCommandOptions {
  readonly images?: string;
  readonly target: string;
  readonly labels?: string[];
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
    .option(
      '--labels <names>',
      'regions that count, whatever class is explained (default: those labelled as that class)',
      once(names),
    )
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
  const { method, labels } = options;
  const attribution = attributionNamed('agreement', method);
  const annotated = await readAnnotations(annotations);
  if (labels) checkLabels(labels, labelsIn(annotated));
  return withDevice(log, async (device) => {
    const models = await loadModels(device, path, options.weights);
    const { card } = models[0];
    const target = targetOf('agreement', options.target, card.input.classNames);
    const folder = options.images ?? dirname(annotations);
    const images = await openExpertImages(folder, annotated, imageConfigOf(card, folder), log);
    const composite = isnetComposite({ eps: card.eps });
    const { classNames } = card.input;
    const strange = labelsIn(annotated).filter(
      (label) => (classOfLabel(label, classNames) ?? classNames.length) >= classNames.length,
    );
    if (!labels && strange.length > 0) {
      log(`labels that are no class: ${strange.join(', ')}; they count where --labels names them`);
    }
    const how = { attribution, composite, target, classNames, labels };
    const found = new Map<string, Agreement & { readonly method: string }>();
    for (const { name, model } of models) {
      const agreement = await measureAgreement(device, model, images, how);
      const lost = leftOutLine(agreement);
      if (lost) log(`${modelTitles[name]}: ${lost}`);
      found.set(modelTitles[name], { method, ...agreement });
    }
    if ([...found.values()].every(({ count }) => count === 0)) {
      throw new DataError(
        `agreement: no region is labelled as what is explained, but as ${labelsIn(annotated).join(', ')}; name those that count with --labels`,
      );
    }
    log(`heatmaps by ${method}`);
    console.log(options.json ? JSON.stringify(Object.fromEntries(found), null, 2) : agreementTable(found));
    return exitCodes.success;
  });
}

/** All labels that there are, each once. */
const labelsIn = (annotated: readonly AnnotatedImage[]): string[] => [
  ...new Set(annotated.flatMap(({ regions }) => regions.flatMap(({ label }) => label ?? []))),
];

function checkLabels(asked: readonly string[], known: readonly string[]): void {
  const unknown = asked.find((label) => !known.includes(label));
  if (unknown === undefined) return;
  if (known.length === 0) {
    throw new UsageError(`agreement: --labels ${unknown}, but no region has a label; leave out --labels`);
  }
  throw unknownName('agreement: no region has the label', unknown, known);
}

/** What other labels cost; null for nothing. */
function leftOutLine({ leftOut: { regions, images }, count }: Agreement): string | null {
  if (regions === 0) return null;
  return `regions left out for other labels: ${regions}; images without any that count: ${images} of ${images + count}`;
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
    ...([...found.values()].some(({ emptyCount }) => emptyCount > 0)
      ? [row('empty heatmaps among them', ({ emptyCount }) => String(emptyCount))]
      : []),
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
