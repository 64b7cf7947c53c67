// `isnet evaluate` from end to end, on the smallest run there is: what it prints, what it writes, what it leaves alone.
import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodePng } from '../lrp/png.ts';
import { isnet, newFolder, tiny } from './command-line.ts';
import { hasGpu } from './gpu.ts';

const hasAdapter = await hasGpu();

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

describe.skipIf(!hasAdapter)('isnet evaluate', () => {
  const folder = join(runs, 'alone');
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

  // Trains on a software adapter, hence slow.
  beforeAll(async () => {
    await isnet('train', '--output-dir', runs, ...tiny, '--method', 'classifier', '--name', 'alone');
  }, 60_000);

  test('finds what the run has found, and says so in JSON as before', async () => {
    const before = JSON.parse(read('evaluation.json'));
    const { exitCode, output, errors } = await isnet('evaluate', folder, '--silenced', '--logits', '--json');
    expect(exitCode, errors).toBe(0);
    const printed = JSON.parse(output);
    expect(printed.silenced).toMatchObject([{ name: 'classifier', set: 'deceiving' }]);
    expect(printed.logits).toMatchObject([{ name: 'classifier', set: 'biased' }]);
    const { silenced, logits } = JSON.parse(read('evaluation.json'));
    expect({ silenced, logits }).toEqual({ silenced: printed.silenced, logits: printed.logits });
    expect(read('report.html')).toContain('What the background silences');
    expect(read('report.html')).toContain('What the background adds to each logit');
    expect(printed.models).toEqual(JSON.parse(read('metrics.json')).models);
    expect(printed.adapter).toBe(before.adapter);
    expect(printed.evaluation).toEqual(before.models);
    expect(JSON.parse(read('evaluation.json')).models).toEqual(before.models);
    expect(read('report.html')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
    expect(read('MODEL_CARD.md')).toMatch(/^# Model card: alone\n/);
  });

  test('prints the table with intervals, and leaves the files alone if it is told to', async () => {
    rmSync(join(folder, 'report.html'));
    const written = statSync(join(folder, 'evaluation.json')).mtimeMs;
    const { exitCode, output } = await isnet(
      'evaluate',
      folder,
      '--weights',
      'last',
      '--no-report',
      '--logits',
    );
    expect(exitCode).toBe(0);
    expect(output).toMatch(/^accuracy, deceiving +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]$/m);
    expect(output).toMatch(/^largest +-?[\d.]+ \[.*\] +0\.\d{3} \[/m);
    expect(output).toMatch(/^biased - deceiving +-?0\.\d{3} \[/m);
    expect(existsSync(join(folder, 'report.html'))).toBe(false);
    expect(statSync(join(folder, 'evaluation.json')).mtimeMs).toBe(written);
  });

  test('of a weights file writes nothing', async () => {
    const path = join(folder, 'weights', 'best.safetensors');
    const { exitCode, output } = await isnet('evaluate', path, '--test-count', '10', '--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(output).evaluation[0].sets.biased.count).toBe(10);
    expect(existsSync(join(folder, 'report.html'))).toBe(false);
    expect(existsSync(join(folder, 'weights', 'report.html'))).toBe(false);
  });

  test('works without the log and the environment of the training', async () => {
    const copy = join(runs, 'copy');
    cpSync(folder, copy, { recursive: true });
    for (const name of ['metrics.jsonl', 'environment.json']) rmSync(join(copy, name));
    const { exitCode } = await isnet('evaluate', copy);
    expect(exitCode).toBe(0);
    expect(readFileSync(join(copy, 'report.html'), 'utf8')).not.toContain('<h2>Training</h2>');
  });

  test('with a damaged log is one sentence, and the old report stays', async () => {
    const copy = join(runs, 'damaged');
    cpSync(folder, copy, { recursive: true });
    writeFileSync(join(copy, 'report.html'), 'old');
    writeFileSync(join(copy, 'metrics.jsonl'), 'not JSON\n');
    const { exitCode, errors } = await isnet('evaluate', copy);
    expect(exitCode).toBe(1);
    expect(errors).toMatch(/^error: run folder: '.*metrics\.jsonl' is no JSON .*; restore the file\n$/);
    expect(readFileSync(join(copy, 'report.html'), 'utf8')).toBe('old');
  });

  /** The file of regions on a picture beside it. */
  function annotate(drawn: readonly object[]): string {
    const rgba = new Uint8ClampedArray(28 * 28 * 4).map((_, i) => (i % 4 === 3 || i % 112 > 50 ? 255 : 0));
    writeFileSync(join(runs, 'half.png'), encodePng({ width: 28, height: 28, rgba }));
    const path = join(runs, 'regions.json');
    writeFileSync(path, JSON.stringify({ images: [{ file: 'half.png', regions: drawn }] }));
    return path;
  }
  const regions = [0, 9, 18].map((y, i) => ({ box: [0, y, 28, 9], severity: i }));

  test('and `isnet agreement` judges its heatmaps by drawn regions', async () => {
    const annotations = annotate(regions);
    const { exitCode, output, errors } = await isnet('agreement', folder, annotations, '--json');
    expect(exitCode, errors).toBe(0);
    const { classifier } = JSON.parse(output);
    // The boxes leave out the last row alone.
    expect(classifier.massAccuracy.value).toBeGreaterThan(0.8);
    expect(classifier.severityCount).toBe(1);
    const table = await isnet('agreement', folder, annotations, '--target', '3');
    expect(table.output).toMatch(/^heatmaps by lrp$/m);
    expect(table.output).toMatch(/^severity: rank correlation, mean of images +-?[\d.]+ \(1 images\)$/m);
    expect(table.output).toMatch(/^severity: rank correlation of all regions +-?[\d.]+ \(3 regions\)$/m);
    const gradCam = await isnet('agreement', folder, annotations, '--json', '--method', 'grad-cam');
    const byGradCam = JSON.parse(gradCam.output).classifier;
    expect([classifier.method, byGradCam.method]).toEqual(['lrp', 'grad-cam']);
    expect(byGradCam.massAccuracy.value).not.toBe(classifier.massAccuracy.value);
    const misspelt = await isnet('agreement', folder, annotations, '--method', 'gradcam');
    expect(misspelt.exitCode).toBe(2);
    expect(misspelt.errors).toMatch(/agreement: there is no method 'gradcam' \(did you mean 'grad-cam'\?\)/);
    const unknown = await isnet('agreement', folder, annotations, '--target', 'three');
    expect(unknown.exitCode).toBe(2);
    expect(unknown.errors).toMatch(/there is no class 'three'/);
  });

  test('or by those of the explained class, if they have labels', async () => {
    const labels = ['3', null, 'lesion'];
    const annotations = annotate(regions.map((region, i) => ({ ...region, label: labels[i] })));
    const ofThree = await isnet('agreement', folder, annotations, '--target', '3', '--json');
    const byLabel = JSON.parse(ofThree.output).classifier;
    expect(byLabel).toMatchObject({ leftOut: { regions: 1, images: 0 }, images: [{ explained: 3 }] });
    expect(byLabel.images[0].regions.map(({ severity }: { severity: number }) => severity)).toEqual([0, 1]);
    expect(ofThree.errors).toMatch(
      /^labels that are no class: lesion; they count where --labels names them$/m,
    );
    expect(ofThree.errors).toMatch(
      /^classifier: regions left out for other labels: 1; images without any that count: 0 of 1$/m,
    );
    const lesions = await isnet('agreement', folder, annotations, '--labels', 'lesion', '--json');
    expect(lesions.errors).not.toMatch(/no class/);
    expect(JSON.parse(lesions.output).classifier.images[0].regions).toMatchObject([
      { severity: 1 },
      { severity: 2 },
    ]);
    const none = annotate([{ ...regions[0], label: '7' }]);
    const ofOthers = await isnet('agreement', folder, none, '--target', '1');
    expect(ofOthers.exitCode).toBe(1);
    expect(ofOthers.errors).toMatch(
      /agreement: no region is labelled as what is explained, but as 7; name those that count with --labels/,
    );
    const wrongLabel = await isnet('agreement', folder, none, '--labels', '7,lesions');
    expect(wrongLabel.exitCode).toBe(2);
    expect(wrongLabel.errors).toMatch(/agreement: no region has the label 'lesions'.*; use one of 7/);
  });
});
