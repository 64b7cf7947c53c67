// The model card of a run (Mitchell et al. 2019): what the weights are, what they are good for, and what they were measured at.
import type { RunConfig } from '../config.ts';
import type { ModelEvaluation } from '../evaluation/model.ts';
import { formatEstimate, modelTitles } from '../report.ts';
import type { ReportInput } from './input.ts';
import { percent } from './numbers.ts';
import { verdictSentences } from './verdict.ts';

/** A report's data with the configuration of its run. */
export type CardInput = Omit<ReportInput, 'heatmaps' | 'log'> & { readonly config: RunConfig };

/** Text that Markdown takes as text, in a table cell too. */
export const escapeMarkdown = (text: string): string => text.replace(/[\\`*_{}[\]<>#|~]/g, (c) => `\\${c}`);

const tableOf = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** The card as Markdown. */
export function modelCard({ name, date, adapter, weights, models, config, environment }: CardInput): string {
  const main = models[models.length - 1];
  const title = modelTitles[main.name];
  const { data, model, seed, method, isnet } = config;
  const training = main.name === 'isnet' ? config.isnet : config.classifier;
  const classes = Object.values(main.sets)[0].classes.map((each) => escapeMarkdown(each.name));
  const setting = (label: string, value: string): string => `- **${label}:** ${value}`;
  return `# Model card: ${escapeMarkdown(name)}

${verdictSentences(models, modelTitles).map(escapeMarkdown).join(' ')}

## Model

${[
  setting('Weights', `\`weights/${weights}.safetensors\`, the ${title} of this run`),
  setting('Network', escapeMarkdown(describe(model))),
  setting(
    'Trained as',
    method === 'both' ? `${title}, beside an ordinary classifier with the same first weights` : title,
  ),
  setting(
    'Optimiser',
    `${training.optimizer}, learning rate ${training.learningRate}, ${training.epochs} ${training.epochs === 1 ? 'epoch' : 'epochs'} of batches of ${training.batchSize}, seed ${seed}`,
  ),
  ...(main.name === 'isnet'
    ? [
        setting(
          'Heatmap loss',
          escapeMarkdown(
            `variant ${isnet.variant}, P = ${describe(isnet.P)}, d = ${isnet.d}, eps = ${isnet.eps}`,
          ),
        ),
      ]
    : []),
  setting(
    'Software',
    `isnet-webgpu ${environment.version}${environment.commit ? `, commit ${environment.commit.slice(0, 10)}` : ''}, on ${escapeMarkdown(adapter)}`,
  ),
  setting('Licence', 'that of the code does not cover weights; say under which terms you share them'),
].join('\n')}

## Use

- **Meant for:** experiments with classifiers that ignore backgrounds, on images like those it was trained on.
- **Not meant for:** decisions about people. It is not a medical device, and no clinical data went into this software.
- **Input:** values in [0, 1], of the size it was trained on. **Output:** one logit for each of ${classes.length} classes: ${classes.join(', ')}.

## Data

${escapeMarkdown(describe(data))}

## Results

Evaluated ${date.slice(0, 10)} with the ${weights} weights. In brackets: 95 % intervals, which say how sure a number is for these
weights and these images, and nothing about other seeds.

${resultTable(models)}

${gapText(models)}

## Limits

${limits(main)
  .map((line) => `- ${line}`)
  .join('\n')}

The whole report, with its definitions: \`report.html\`.
`;
}

function resultTable(models: readonly ModelEvaluation[]): string {
  const rows = models.flatMap((model) =>
    Object.entries(model.sets).map(([set, { accuracy, macroF1, macroAuc, calibration, count }]) => [
      modelTitles[model.name],
      escapeMarkdown(set),
      String(count),
      ...[accuracy, macroF1, macroAuc, calibration.ece].map((estimate) =>
        escapeMarkdown(formatEstimate(estimate)),
      ),
    ]),
  );
  return tableOf(['model', 'test set', 'images', 'accuracy', 'macro F1', 'AUC', 'calibration error'], rows);
}

function gapText(models: readonly ModelEvaluation[]): string {
  const rows = models.flatMap((model) => [
    ...model.gaps.map(({ from, to, accuracy }) => [
      modelTitles[model.name],
      escapeMarkdown(`accuracy, ${from} - ${to}`),
      escapeMarkdown(formatEstimate(accuracy)),
    ]),
    ...(model.worstGroup
      ? [
          [
            modelTitles[model.name],
            escapeMarkdown(
              `accuracy of the worst group, ${model.worstGroup.className} on ${model.worstGroup.set}`,
            ),
            escapeMarkdown(formatEstimate(model.worstGroup.accuracy)),
          ],
        ]
      : []),
    ...(model.localisation
      ? [
          [
            modelTitles[model.name],
            'background share of the relevance',
            escapeMarkdown(formatEstimate(model.localisation.backgroundShare, 4)),
          ],
        ]
      : []),
  ]);
  return tableOf(['model', 'number', 'value'], rows);
}

function limits({ worstGroup, deletion, localisation }: ModelEvaluation): string[] {
  const noise = deletion?.find(({ replacement }) => replacement === 'noise');
  return [
    'One run with one seed. Other seeds give other weights; compare several before ranking methods.',
    ...(worstGroup
      ? [
          `Worst on class ${escapeMarkdown(worstGroup.className)} of ${escapeMarkdown(worstGroup.set)} images: ${percent(worstGroup.accuracy.value)}.`,
        ]
      : []),
    ...(noise
      ? [
          `With uniform noise for a background, another answer for ${percent(noise.changedPredictions.value)} of the images: backgrounds that training never showed are not covered.`,
        ]
      : []),
    ...(localisation && localisation.withoutMask > 0
      ? [`${localisation.withoutMask} test images have no mask; nothing is known about their background.`]
      : []),
    'Little background relevance is measured by the same kind of heatmap that training minimised; the accuracies and the deletion test are the independent evidence.',
  ];
}

/** Settings in one line: `a 1, b 2, c (d 3)`. */
function describe(value: unknown): string {
  if (Array.isArray(value))
    return value
      .map((item) => (item && typeof item === 'object' ? `(${describe(item)})` : String(item)))
      .join(' ');
  if (value === null || typeof value !== 'object') return String(value);
  return Object.entries(value)
    .filter(([, inner]) => inner !== null)
    .map(
      ([key, inner]) =>
        `${key} ${inner && typeof inner === 'object' && !Array.isArray(inner) ? `(${describe(inner)})` : describe(inner)}`,
    )
    .join(', ');
}
