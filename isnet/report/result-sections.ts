// The sections of a report about answers: accuracy, classes, confusion, calibration, training curves.
import { deadestLayer } from '../collapse.ts';
import type { Classification } from '../evaluation/classification.ts';
import type { ModelEvaluation } from '../evaluation/model.ts';
import { modelTitles } from '../report.ts';
import { intervalChart, type Line, lineChart, reliabilityChart } from './charts.ts';
import { type Html, type HtmlValue, html } from './html.ts';
import type { EpochLosses } from './input.ts';
import { numberCell, percent, pointsCell, shareCell } from './numbers.ts';
import { isBiasBenchmark, tellingGap } from './verdict.ts';

/** A table that scrolls by itself where the page is narrow. */
export const table = (head: HtmlValue, rows: HtmlValue): Html =>
  html`<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>`;

/** Name of a model with its colour. */
export const modelCell = ({ name }: ModelEvaluation, color: number): Html =>
  html`<td><span class="dot s${color}"></span>${modelTitles[name]}</td>`;

/** Heads of columns of numbers. */
export const numberHeads = (...titles: readonly string[]): Html[] =>
  titles.map((title) => html`<th class="n">${title}</th>`);

/** Accuracy on every set as a chart, then all short numbers. */
export function accuracySection(models: readonly ModelEvaluation[]): Html {
  const groups = models.map(({ name, sets }, color) => ({
    title: modelTitles[name],
    rows: Object.entries(sets).map(([title, { accuracy }]) => ({ title, estimate: accuracy, color })),
  }));
  const rows = models.flatMap((model, color) =>
    Object.entries(model.sets).map(
      ([set, found]) => html`<tr>${modelCell(model, color)}<td>${set}</td>${setCells(found)}</tr>`,
    ),
  );
  return html`<section><h2>Accuracy</h2>
<p class="note">Points are shares of right answers, bars their 95 % intervals. ${countNote(models[0])}</p>
${intervalChart(groups)}
${table(html`<th>model</th><th>test set</th>${numberHeads('accuracy', 'balanced', 'macro F1', 'AUC', 'Hand–Till', 'calibration error', 'Brier')}`, rows)}
${gapTable(models)}</section>`;
}

const setCells = ({
  accuracy,
  balancedAccuracy,
  macroF1,
  macroAuc,
  handTill,
  calibration,
}: Classification): Html =>
  html`${shareCell(accuracy)}${shareCell(balancedAccuracy)}${numberCell(macroF1)}${numberCell(macroAuc)}${numberCell(handTill)}${numberCell(calibration.ece)}${numberCell(calibration.brier)}`;

const countNote = ({ sets }: ModelEvaluation): string =>
  `${Object.entries(sets)
    .map(([set, { count }]) => `${set}: ${count}`)
    .join(', ')} images.`;

function gapTable(models: readonly ModelEvaluation[]): Html {
  const rows = models.flatMap((model, color) =>
    model.gaps.map(
      ({ from, to, accuracy }) =>
        html`<tr>${modelCell(model, color)}<td>${from} − ${to}</td>${pointsCell(accuracy)}</tr>`,
    ),
  );
  const worst = models.flatMap((model, color) => {
    const { worstGroup } = model;
    if (!worstGroup) return [];
    const { set, className, accuracy, count } = worstGroup;
    return [
      html`<tr>${modelCell(model, color)}<td>class ${className} on ${set} (${count} images)</td>${shareCell(accuracy)}</tr>`,
    ];
  });
  return html`<div class="pair">${rows.length > 0 && html`<div><h3>${isBiasBenchmark(Object.keys(models[0].sets)) ? 'Bias gap: accuracy lost' : 'Accuracy lost between test sets'}</h3>${table(html`<th>model</th><th>from − to</th>${numberHeads('difference')}`, rows)}</div>`}
${worst.length > 0 && html`<div><h3>Worst group</h3>${table(html`<th>model</th><th>group</th>${numberHeads('accuracy')}`, worst)}</div>`}</div>`;
}

/** A number of an epoch, drawn as one line for each model. */
interface Curve {
  readonly title: string;
  readonly of: (line: EpochLosses) => number | null | undefined;
  readonly isDashed?: boolean;
}

/** Losses over epochs, of training and validation, and what tells a network that has given up. */
export function trainingSection(log: readonly EpochLosses[]): Html | null {
  const names = ['classifier', 'isnet', 'range-copy'];
  const titles: Readonly<Record<string, string>> = { ...modelTitles, 'range-copy': 'copy for C1, C2' };
  const present = names.filter((name) => log.some(({ model }) => model === name));
  const linesOf = (curves: readonly Curve[]): Line[] =>
    present.flatMap((name) => {
      const own = log.filter(({ model }) => model === name);
      const color = present.filter((other) => other !== 'range-copy').indexOf(name);
      return curves
        .map(({ title, of, isDashed }) => ({
          title: title === '' ? titles[name] : `${titles[name]}, ${title}`,
          points: own.flatMap((line): [number, number][] => {
            const value = of(line);
            return value === null || value === undefined ? [] : [[line.epoch, value]];
          }),
          color: color < 0 ? 2 : color,
          isDashed,
        }))
        .filter((line) => line.points.length > 0);
    });
  const lossCurves = (key: 'classification' | 'heatmap'): Curve[] => [
    { title: 'training', of: ({ train }) => train[key] },
    { title: 'validation', of: ({ validation }) => validation?.[key], isDashed: true },
  ];
  const logitCurves: Curve[] = [
    { title: 'whole images', of: ({ collapse }) => collapse?.logitNorm },
    { title: 'background black', of: ({ collapse }) => collapse?.foregroundLogitNorm, isDashed: true },
  ];
  const deadPercent = ({ collapse }: EpochLosses): number | null => {
    const worst = collapse ? deadestLayer(collapse) : null;
    return worst && 100 * worst.share;
  };
  const charts = [
    lineChart('Classification loss', linesOf(lossCurves('classification')), 'epoch'),
    lineChart('Heatmap loss', linesOf(lossCurves('heatmap')), 'epoch'),
    lineChart('Length of the logits', linesOf(logitCurves), 'epoch'),
    lineChart(
      'Channels that never fire in the worst layer, %',
      linesOf([{ title: '', of: deadPercent }]),
      'epoch',
    ),
  ].filter((chart) => chart !== null);
  return charts.length > 0
    ? html`<section><h2>Training</h2><div class="charts">${charts}</div></section>`
    : null;
}

/** The set that tells most, and the one that training resembles. */
function setsToShow(model: ModelEvaluation): string[] {
  const gap = tellingGap(model);
  return gap ? [gap.to, gap.from] : Object.keys(model.sets).slice(0, 1);
}

// A matrix of more classes is a carpet: then the most frequent confusions are named instead.
const MOST_MATRIX_CLASSES = 20;
const MOST_CONFUSIONS = 15;

/** Confusion matrices on the telling set, and precision and recall by class. */
export function classSection(models: readonly ModelEvaluation[]): Html {
  const [set] = setsToShow(models[0]);
  const matrices = models.map((model, color) => {
    const found = model.sets[set];
    return html`<div><h3><span class="dot s${color}"></span>${modelTitles[model.name]} on ${set}</h3>${confusionOf(found, color)}</div>`;
  });
  const details = models.flatMap((model) =>
    setsToShow(model).map(
      (name) =>
        html`<details><summary>${modelTitles[model.name]} on ${name}, class by class</summary>${classTable(model.sets[name])}</details>`,
    ),
  );
  return html`<section><h2>Classes</h2><p class="note">Rows are the classes that are shown, columns what the model says. Outlined: right.</p>
<div class="pair">${matrices}</div>${details}</section>`;
}

function confusionOf({ confusion, classes }: Classification, color: number): Html | null {
  if (!confusion) return html`<p class="note">Images with several labels have no confusion matrix.</p>`;
  if (classes.length > MOST_MATRIX_CLASSES) return frequentConfusions(confusion, classes);
  const rows = confusion.map((row, k) => {
    const shown = Math.max(1, classes[k].shown);
    return html`<tr><th>${classes[k].name}</th>${row.map(
      (n, j) =>
        html`<td class="${j === k ? `s${color} hit` : `s${color}`}" style="--a:${(n / shown).toFixed(3)}"><b>${n === 0 ? '·' : n}</b></td>`,
    )}</tr>`;
  });
  return html`<div class="scroll"><table class="matrix"><thead><tr><th></th>${classes.map(({ name }) => html`<th>${name}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

function frequentConfusions(
  confusion: readonly (readonly number[])[],
  classes: Classification['classes'],
): Html {
  const pairs = confusion.flatMap((row, k) => row.map((n, j) => ({ n, k, j })));
  const wrong = pairs.filter(({ n, k, j }) => k !== j && n > 0).toSorted((a, b) => b.n - a.n);
  const rows = wrong
    .slice(0, MOST_CONFUSIONS)
    .map(
      ({ n, k, j }) =>
        html`<tr><td>${classes[k].name}</td><td>${classes[j].name}</td><td class="n">${n}</td></tr>`,
    );
  return table(html`<th>shown</th><th>said</th>${numberHeads('images')}`, rows);
}

function classTable({ classes }: Classification): Html {
  const rows = classes.map(
    ({ name, shown, predicted, precision, recall, f1, auc }) =>
      html`<tr><td>${name}</td><td class="n">${shown}</td><td class="n">${predicted}</td>${shareCell(precision)}${shareCell(recall)}${numberCell(f1)}${numberCell(auc)}</tr>`,
  );
  return table(html`<th>class</th>${numberHeads('shown', 'said', 'precision', 'recall', 'F1', 'AUC')}`, rows);
}

/** Reliability on the set that training resembles and on the telling one. */
export function calibrationSection(models: readonly ModelEvaluation[]): Html {
  const charts = setsToShow(models[0])
    .toReversed()
    .map((set) =>
      reliabilityChart(
        set,
        models.map(({ name, sets }, color) => ({
          title: modelTitles[name],
          bins: sets[set].calibration.bins,
          color,
        })),
      ),
    );
  const worst = models.map(({ name, sets }) => {
    const errors = Object.entries(sets).map(
      ([set, { calibration }]) => `${percent(calibration.ece.value)} on ${set}`,
    );
    return `${modelTitles[name]}: ${errors.join(', ')}`;
  });
  return html`<section><h2>Calibration</h2><p class="note">Expected calibration error. ${worst.join('. ')}.</p><div class="charts">${charts}</div></section>`;
}
