// The sections of a report about reasons: heatmaps, where relevance lies, what replacing the background does, conservation.

import { leakCauses } from '../../lrp/leak.ts';
import type { Conservation } from '../evaluation/conservation.ts';
import type { Replacement } from '../evaluation/deletion.ts';
import type { Localisation } from '../evaluation/localisation.ts';
import type { ModelEvaluation } from '../evaluation/model.ts';
import { type LogitsOfModel, logitTitle, modelTitles, type SilencedModel } from '../report.ts';
import { type Html, html } from './html.ts';
import type { HeatmapRow } from './input.ts';
import { numberCell, percent, plain, shareCell } from './numbers.ts';
import { modelCell, numberHeads, table } from './result-sections.ts';

const groupTitles = {
  least: 'Least background relevance',
  most: 'Most background relevance',
  first: 'First image of each class',
} as const;

/** The images on which the main model looks least and most at the background. */
export function heatmapSection(rows: readonly HeatmapRow[], mainTitle: string): Html | null {
  if (rows.length === 0) return null;
  const groups = (['least', 'most', 'first'] as const).map((group) => {
    const own = rows.filter((row) => row.group === group);
    return own.length === 0
      ? null
      : html`<h3>${groupTitles[group]}${group === 'first' ? null : `, ${mainTitle}`}</h3><div class="heatmaps">${own.map(heatmapRow)}</div>`;
  });
  return html`<section><h2>Heatmaps</h2>
<p class="note">Relevance of the predicted class: red speaks for it, blue against it, white is exactly zero; each heatmap has its own scale. The outline on the image is its mask, where it has one.</p>
${groups}</section>`;
}

const heatmapRow = ({ title, cells }: HeatmapRow): Html =>
  html`<figure><div class="row">${cells.map(
    (cell) =>
      html`<div class="cell"><img src="${cell.uri}" alt="${`${cell.title}, ${cell.note}`}">${cell.title}<br>${cell.note}</div>`,
  )}</div><figcaption>${title}</figcaption></figure>`;

const localisationHeads = numberHeads(
  'images',
  'background share',
  'mass inside',
  'rank accuracy',
  'pointing game',
);

const localisationCells = (found: Localisation): Html =>
  html`<td class="n">${found.count}</td>${shareCell(found.backgroundShare, 2)}${shareCell(found.massAccuracy)}${shareCell(found.rankAccuracy)}${shareCell(found.pointingGame)}`;

/** Background share, mass, rank and pointing: at the image, by layer and by class. */
export function localisationSection(models: readonly ModelEvaluation[]): Html | null {
  const measured = models.filter(({ localisation }) => localisation !== null);
  if (measured.length === 0) return null;
  const [set] = Object.keys(models[0].sets);
  const layers = models.flatMap((model, color) =>
    (model.localisation?.layers ?? []).map(
      (layer) =>
        html`<tr>${modelCell(model, color)}<td>${layer.name} <small>${layer.shape.join(' × ')}</small></td>${localisationCells(layer)}</tr>`,
    ),
  );
  const classes = models.map(
    ({ name, localisation }) =>
      localisation &&
      html`<details><summary>${modelTitles[name]}, class by class</summary>${table(
        html`<th>class</th>${localisationHeads}`,
        localisation.classes.map((each) => html`<tr><td>${each.name}</td>${localisationCells(each)}</tr>`),
      )}</details>`,
  );
  const without = measured[0].localisation?.withoutMask ?? 0;
  return html`<section><h2>Where the relevance lies</h2>
<p class="note">Test images of ${set}, at the image and at the output of each layer.${without > 0 && ` ${without} images without a mask are left out.`}</p>
${table(html`<th>model</th><th>layer</th>${localisationHeads}`, layers)}${classes}</section>`;
}

const replacementTitles: Readonly<Record<Replacement, string>> = {
  black: 'black',
  noise: 'uniform noise',
  other: "another image's",
};

/** What replacing the background does to the logits. */
export function deletionSection(models: readonly ModelEvaluation[]): Html | null {
  const rows = models.flatMap((model, color) =>
    (model.deletion ?? []).map(
      (found) => html`<tr>${modelCell(model, color)}<td>${replacementTitles[found.replacement]}</td>
${shareCell(found.changedPredictions)}${numberCell(found.predictedLogitChange, 2)}${numberCell(found.logitChange, 2)}<td class="n">${percent(found.relativeChange)}</td>
${found.accuracyAfter ? shareCell(found.accuracyAfter) : html`<td class="n">–</td>`}</tr>`,
    ),
  );
  if (rows.length === 0) return null;
  const [set] = Object.keys(models[0].sets);
  return html`<section><h2>Deletion test</h2>
<p class="note">The background of the test images of ${set} is replaced and the model is asked again: no heatmap is involved. A background that training never showed may change answers by itself.</p>
${table(html`<th>model</th><th>background</th>${numberHeads('other answer', "predicted logit's change", 'mean |change|', 'relative to spread', 'accuracy after')}`, rows)}</section>`;
}

/** The first cell of rows about one of the models, with its colour. */
function modelCellOf(name: ModelEvaluation['name'], models: readonly ModelEvaluation[]): Html {
  const color = models.findIndex((model) => model.name === name);
  return modelCell(models[color], color);
}

/** Which units of the object the background silences, which no heatmap shows. */
export function silencedSection(
  silenced: readonly SilencedModel[],
  models: readonly ModelEvaluation[],
): Html | null {
  const rows = silenced.flatMap(({ name, silencing }) => {
    const cell = modelCellOf(name, models);
    return (silencing?.layers ?? []).map(
      ({ layer, firing, silenced: share, accuracyRestored }) =>
        html`<tr>${cell}<td>${layer}</td><td class="n">${percent(firing)}</td><td class="n">${percent(share)}</td>${shareCell(accuracyRestored)}${shareCell(silencing?.accuracy ?? null)}${shareCell(silencing?.objectAccuracy ?? null)}</tr>`,
    );
  });
  if (rows.length === 0) return null;
  return html`<section><h2>What the background silences</h2>
<p class="note">Images of ${silenced[0].set}, whole and with their background black. A unit that fires for the object and not once the background is there is silenced; behind a plain ReLU it is 0, has no relevance, and no heatmap shows what silenced it. Where restoring the silenced units of a layer brings the accuracy of the objects back, the background works through them.</p>
${table(html`<th>model</th><th>ReLU behind</th>${numberHeads('units that fire', 'of these silenced', 'accuracy with these restored', 'as they are', 'objects on black')}`, rows)}</section>`;
}

/** What the background adds to each logit, of which a heatmap shows one. */
export function logitsSection(
  found: readonly LogitsOfModel[],
  models: readonly ModelEvaluation[],
): Html | null {
  const rows = found.flatMap(({ name, logits }) => {
    const cell = modelCellOf(name, models);
    return (logits?.ranks ?? []).map(
      ({ relevance, share }, rank) =>
        html`<tr>${cell}<td>${logitTitle(rank)}</td>${numberCell(relevance, 2)}${shareCell(share, 2)}</tr>`,
    );
  });
  if (rows.length === 0) return null;
  return html`<section><h2>What the background adds to each logit</h2>
<p class="note">Images of ${found[0].set}; logits by rank, in each image the largest first. A heatmap is that of one logit: what raises several of them alike, or lowers the others, decides too.</p>
${table(html`<th>model</th><th>logit</th>${numberHeads('relevance outside the mask', 'share of all |R|')}`, rows)}</section>`;
}

/** The leak report of each model as bars. */
export function conservationSection(models: readonly ModelEvaluation[]): Html {
  return html`<section><h2>Conservation of relevance</h2>
<p class="note">From the logits down to the image, what each step passes on and what it loses, summed over ${models[0].conservation.count} images. Biases and stabilisers absorb relevance by design; where a bias adds relevance, its colour is paler. "Unexplained" is rounding.</p>
<p class="note legend"><i class="passed"></i>passed on${leakCauses.map((cause) => html`<i class="${cause}"></i>${cause}`)}</p>
${models.map(
  ({ name, conservation }, color) =>
    html`<details${color === models.length - 1 ? html` open` : null}><summary>${modelTitles[name]}: ${arrives(conservation)}</summary>${conservationTable(conservation)}</details>`,
)}</section>`;
}

function arrives({ rows }: Conservation): string {
  if (rows.length === 0) return 'no steps';
  const [first, last] = [rows[0].atOutput, rows[rows.length - 1].atInput];
  return `${plain(last)} of ${plain(first)} arrive at the image${first === 0 ? '' : ` (${percent(last / first)})`}`;
}

function conservationTable({ rows }: Conservation): Html {
  const body = rows.map((row) => {
    const parts = [row.atInput, ...leakCauses.map((cause) => row.leaks[cause])];
    const total = parts.reduce((sum, part) => sum + Math.abs(part), 0);
    const isGain = (part: number): boolean => part * row.atOutput < 0;
    const bar = ['passed', ...leakCauses].map(
      (part, i) =>
        parts[i] !== 0 &&
        html`<i class="${part}${isGain(parts[i]) && ' gain'}" style="width:${((100 * Math.abs(parts[i])) / total).toFixed(2)}%"></i>`,
    );
    const losses = leakCauses
      .filter((cause) => row.leaks[cause] !== 0)
      .map((cause) => `${cause} ${plain(row.leaks[cause])}`);
    return html`<tr><td>${row.name || '–'}</td><td>${row.kind}</td><td>${row.rule || 'op'}</td><td><div class="leak">${bar}</div><small>${losses.join(', ')}</small></td><td class="n">${plain(row.atOutput)}</td><td class="n">${plain(row.atInput)}</td><td class="n">${plain(row.unexplained)}</td></tr>`;
  });
  return table(
    html`<th>layer</th><th>kind</th><th>rule</th><th>shares</th>${numberHeads('at output', 'at input', 'unexplained')}`,
    body,
  );
}
