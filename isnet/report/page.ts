// The report of a run as one HTML file: the verdict first, then what it rests on, then how it came about.
import type { Environment } from '../environment-facts.ts';
import { modelTitles } from '../report.ts';
import { Html, type HtmlValue, html } from './html.ts';
import type { ReportInput } from './input.ts';
import {
  conservationSection,
  deletionSection,
  heatmapSection,
  localisationSection,
  logitsSection,
  silencedSection,
} from './relevance-sections.ts';
import { accuracySection, calibrationSection, classSection, trainingSection } from './result-sections.ts';
import { style } from './style.ts';
import { isBiasBenchmark, verdictOf, verdictSentences } from './verdict.ts';

/** A whole page that needs nothing but itself: styles, charts and pictures are inside, and scripts are forbidden. */
export function reportHtml(input: ReportInput): string {
  const { models, name, date, adapter, weights } = input;
  const main = models[models.length - 1];
  const sentences = verdictSentences(models, modelTitles);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${name}: ${sentences[0]}</title>
<style>${styleSheet}</style></head><body>
<header><h1>Run ${name}</h1>
${models.toReversed().map((model, i) => html`<p class="verdict ${verdictOf(model) ?? ''}">${sentences[i]}</p>`)}
<p class="note">${weights} weights, evaluated ${date.slice(0, 10)} on ${adapter}. Intervals are 95 % intervals throughout.</p></header>
${accuracySection(models)}
${heatmapSection(input.heatmaps, modelTitles[main.name])}
${localisationSection(models)}
${deletionSection(models)}
${silencedSection(input.silenced ?? [], models)}
${logitsSection(input.logits ?? [], models)}
${classSection(models)}
${calibrationSection(models)}
${trainingSection(input.log)}
${conservationSection(models)}
${setupSection(input)}
${glossary(Object.keys(main.sets))}
</body></html>
`;
  return page.text;
}

/** The style sheet is ours and holds nothing that HTML would take for its own. */
const styleSheet = new Html(style);

function setupSection({ config, environment }: ReportInput): Html {
  return html`<section><h2>How it was made</h2>
<details><summary>Configuration</summary>${facts(flattened(config))}</details>
<details><summary>Environment</summary>${facts(environmentFacts(environment))}</details></section>`;
}

const facts = (entries: readonly (readonly [string, HtmlValue])[]): Html =>
  html`<div class="scroll"><table><tbody>${entries.map(([key, value]) => html`<tr><td class="key">${key}</td><td>${value}</td></tr>`)}</tbody></table></div>`;

function environmentFacts(environment: Environment): [string, string][] {
  return flattened(environment)
    .filter(([key]) => key !== 'memoryBytes')
    .concat([['memory', `${(environment.memoryBytes / 2 ** 30).toFixed(1)} GiB`]]);
}

/** Settings by their dotted names. */
export function flattened(value: unknown, path = ''): [string, string][] {
  const isLeaf =
    value === null || typeof value !== 'object' || (Array.isArray(value) && value.every(isPlain));
  if (isLeaf) return [[path, Array.isArray(value) ? value.join(' ') : String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flattened(inner, path ? `${path}.${key}` : key));
}

const isPlain = (value: unknown): boolean => value === null || typeof value !== 'object';

const biasSets = html`<dt>biased, unbiased, deceiving</dt><dd>The same test images with the background that betrays their class, as in training; with none, or one that says nothing of it; with that of another class. Whoever ignores backgrounds scores the same on all three.</dd>
<dt>bias gap</dt><dd>Accuracy on biased images minus accuracy on others, image by image (Newcombe 1998).</dd>
`;

const otherSets = html`<dt>gap</dt><dd>Accuracy on the first test set, which training resembles, minus accuracy on another (Newcombe 1998). If the sets differ in more than their backgrounds, so may the reasons for it.</dd>
`;

const glossary = (sets: readonly string[]): Html => html`<section><h2>What the numbers mean</h2><dl>
${isBiasBenchmark(sets) ? biasSets : sets.length > 1 && otherSets}<dt>worst group</dt><dd>The class and test set with the lowest accuracy.</dd>
<dt>balanced accuracy, macro F1</dt><dd>Means over classes of the recall, and of the harmonic mean of precision and recall.</dd>
<dt>AUC</dt><dd>Chance that an image of a class scores above one of the rest, mean over classes; single classes with DeLong's interval. Hand–Till: the mean over pairs of classes.</dd>
<dt>calibration error, Brier</dt><dd>Mean distance of accuracy from confidence in 15 bins (ECE); mean squared error of the probabilities.</dd>
<dt>background share</dt><dd>Mean over images of the share of |relevance| outside the mask, for the predicted class. Mass inside counts positive relevance only.</dd>
<dt>rank accuracy, pointing game</dt><dd>Share of the |mask| most relevant pixels that lie inside; share of images whose most relevant pixel does.</dd>
<dt>intervals</dt><dd>Wilson's for shares, DeLong's for the AUC of a class, Newcombe's for gaps, bootstrap percentiles (1,000 resamples of images, by class) for the rest; normal for means over images. They say how sure a number is for these weights, and nothing about other seeds.</dd>
</dl></section>`;
