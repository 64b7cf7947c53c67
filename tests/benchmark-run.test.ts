// A benchmark of background bias by its name, from end to end on the command line: trained on, evaluated, explained, exported.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testNames } from '../isnet/benchmarks/benchmark.ts';
import { benchmarks, loadBenchmark } from '../isnet/benchmarks/index.ts';
import { benchmarkNames } from '../isnet/benchmarks/names.ts';
import type { Picture } from '../lrp/picture.ts';
import { readPng } from '../lrp/png.ts';
import { isnet, newFolder, type Outcome, tiny } from './command-line.ts';
import { hasGpu } from './gpu.ts';
import { isSame } from './marker-images.ts';

const hasAdapter = await hasGpu();

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));
const folder = join(runs, 'noise');
const train = (...args: string[]): Promise<Outcome> => isnet('train', '--output-dir', runs, ...tiny, ...args);

test('every benchmark of the catalogue may be named, and no other', () => {
  expect([...benchmarks.keys()]).toEqual(benchmarkNames);
});

test('the tests of a benchmark do not depend on how much it is trained on', async () => {
  const of = (trainCount: number) =>
    loadBenchmark('mnist-marker-noise', { trainCount, validationCount: trainCount, testCount: 20, seed: 4 });
  const [one, many] = await Promise.all([of(1), of(30)]);
  for (const name of testNames) expect(isSame(one.tests[name].images, many.tests[name].images)).toBe(true);
});

describe.skipIf(!hasAdapter)('a run on a benchmark', () => {
  let outcome: Outcome;
  const json = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));

  beforeAll(async () => {
    const settings = ['--method', 'isnet', '--range', '1,25', '--seed', '3', '--mask-margin', '2'];
    outcome = await train('--dataset', 'mnist-marker-noise', '--name', 'noise', ...settings);
  }, 120_000);

  test('says what it is trained on and has its four tests', () => {
    expect(outcome.errors).toBe('');
    expect(outcome.output).toContain(
      'data: mnist-marker-noise (MNIST with a marker on noise), 200 training, 20 validation and 20 test images\n',
    );
    for (const { accuracy } of json('metrics.json').models) expect(Object.keys(accuracy)).toEqual(testNames);
    expect(json('config.json').data).toEqual({
      dataset: 'mnist-marker-noise',
      trainCount: 200,
      validationCount: 20,
      testCount: 20,
      maskMargin: 2,
    });
  });

  test('gives the same numbers when it is evaluated again, and others on other images', async () => {
    const { exitCode, output } = await isnet('evaluate', folder, '--json', '--no-report');
    expect(exitCode).toBe(0);
    expect(JSON.parse(output).models).toEqual(json('metrics.json').models);
    const few = await isnet('evaluate', folder, '--json', '--no-report', '--test-count', '3');
    expect(JSON.parse(few.output).evaluation[0].sets['out-of-distribution'].count).toBe(3);
  });

  test('is explained on all of its tests, by any attribution', async () => {
    const picture = (method: string) => join(runs, `${method}.png`);
    const bytesOf = ({ rgba }: Picture) => Buffer.from(rgba);
    const explain = (method: string) => {
      const images = ['--test-set', 'out-of-distribution', '--indices', '1,2'];
      return isnet('explain', folder, ...images, '--method', method, '--output', picture(method));
    };
    for (const method of ['lrp', 'grad-cam']) {
      const { exitCode, output, errors } = await explain(method);
      expect(errors).toBe('');
      expect(output).toContain(`heatmaps by ${method}: red for the explained class`);
      expect(exitCode).toBe(0);
    }
    const [lrp, gradCam] = await Promise.all([picture('lrp'), picture('grad-cam')].map(readPng));
    expect([lrp.width, lrp.height]).toEqual([gradCam.width, gradCam.height]);
    expect(bytesOf(lrp).equals(bytesOf(gradCam))).toBe(false);
    const plain = join(runs, 'plain.png');
    const images = ['--test-set', 'out-of-distribution', '--indices', '1,2'];
    await isnet('explain', folder, ...images, '--output', plain);
    expect(bytesOf(await readPng(plain)).equals(bytesOf(lrp))).toBe(true);
  });

  test('is exported', async () => {
    const { exitCode, output } = await isnet('export', folder, '--output', join(runs, 'noise.onnx'));
    expect(output).toContain("input: 'input' float32 [batch, 1, 28, 28]");
    expect(exitCode).toBe(0);
  });

  test.each<[string[], string]>([
    [['evaluate', '--mnist-folder', 'x'], '--mnist-folder is for models of mnist-marker; leave it out'],
    [
      ['explain', 'a.png', '--method', 'smoothGrad'],
      "there is no method 'smoothGrad' (did you mean 'smooth-grad'?); use one of lrp, lrp-flex, gradient",
    ],
    [
      ['explain', 'a.png', '--method', 'gradient', '--why', 'classifier.1:0'],
      '--why shows what LRP does, and --method is gradient; leave out one of them',
    ],
  ])('%j is refused', async ([command, ...args], says) => {
    const { exitCode, errors } = await isnet(command, folder, ...args);
    expect(errors).toContain(says);
    expect(exitCode).toBe(2);
  });
});

test.each<[string[], string]>([
  [
    ['fashion-grating'],
    'is "fashion-grating" (did you mean \'fashion-gratings\'?); use one of mnist-marker, mnist-',
  ],
  [['fashion-photos', '--data', 'x'], "'--dataset <name>' cannot be used with option '--data"],
  [
    ['emoji-photos', '--marker-size', '3'],
    "'--marker-size <n>' is for dataset mnist-marker; leave it out with dataset emoji-photos",
  ],
])('isnet train --dataset %j is refused', async (args, says) => {
  const { exitCode, errors } = await train('--name', 'none', '--dataset', ...args);
  expect(errors).toContain(says);
  expect(exitCode).toBe(2);
});

// Data is opened once there is a device for it.
test.skipIf(!hasAdapter)('isnet train on more digits than there are is refused', async () => {
  const args = ['--dataset', 'mnist-marker-grey', '--train-count', '70000'];
  const { exitCode, errors } = await train('--name', 'none', ...args);
  expect(errors).toContain('ask for 70020 of 60000 training digits; ask for fewer');
  expect(exitCode).toBe(2);
});
