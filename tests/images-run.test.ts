// Images of one's own from end to end on the command line: a folder of PNG files with masks is checked, trained on, stopped,
// gone on with, evaluated, explained and exported.
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPicture } from '../isnet/data/files/decode.ts';
import { imagePlanes } from '../isnet/data/raster.ts';
import { readPng } from '../lrp/png.ts';
import { readWeightsFile } from '../nn/weights-file.ts';
import { isnet, isnetProcess, lossesIn, newFolder, type Outcome } from './command-line.ts';
import { hasGpu } from './gpu.ts';
import { encoded, pattern, temporaryFolder, write, writeImages, writePicture } from './image-files.ts';
import { runOnnx } from './onnx-runtime.ts';
import { writeTexturedDigits } from './textured-digits.ts';

const hasAdapter = await hasGpu();

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));
const folder = temporaryFolder();
const images = join(folder, 'digits');
const counts = { train: 36, val: 9, 'test-biased': 12, 'test-deceiving': 12 };

beforeAll(async () => {
  await writeTexturedDigits(images, { counts, size: 32 });
});

// Everything that varies images, so that a resume has to get it right. One thread: each takes half a second to start.
const small = [
  ...['--size', '30', '--channels', '3', '--crop-margin', '2', '--rotate', '8', '--brightness', '0.1'],
  ...['--hidden', '8', '--batch-size', '6', '--workers', '1', '--method', 'isnet', '--range', '1,25'],
];
const trainArgs = (source: string, name: string, ...args: string[]): string[] => [
  ...['train', '--output-dir', runs, '--data', source, '--name', name],
  ...small,
  ...args,
];
const train = (...args: Parameters<typeof trainArgs>): Promise<Outcome> => isnet(...trainArgs(...args));

describe.skipIf(!hasAdapter)('a run on a folder of images', () => {
  const run = join(runs, 'cut');
  const bytesOf = (name: string, file: string): Buffer => readFileSync(join(runs, name, file));
  const json = (name: string, file: string) => JSON.parse(bytesOf(name, file).toString());
  let cut: Outcome;
  let resumed: Outcome;

  // A process that is stopped, the rest of its run, and a twin that nobody stops.
  beforeAll(async () => {
    cut = await isnetProcess(trainArgs(images, 'cut', '--epochs', '3'), 'epoch 1/3 done');
    expect(existsSync(join(run, 'metrics.json')), cut.output).toBe(false);
    resumed = await isnet('train', '--resume', run);
    await train(images, 'whole', '--epochs', '3');
  }, 300_000);

  test('first says what it will train on', () => {
    expect(cut.output).toContain(`data: ${images}, 3 classes, images made 30x30 in colours\n`);
    expect(cut.output).toMatch(/^ {2}class +train +validation +biased +deceiving$/m);
    expect(cut.output).toMatch(/^ {2}digit-5 +12 +3 +4 +4$/m);
    expect(cut.output).toMatch(/^ {2}images +36 +9 +12 +12$/m);
  });

  test('that is interrupted exits with 130 and says how to go on', () => {
    expect(cut.output).toContain(`saved; go on with: npm run isnet -- train --resume ${run}\n`);
    expect(cut.exitCode).toBe(130);
  });

  test('goes on to the same weights and losses as one that was never interrupted', () => {
    expect([resumed.errors, resumed.exitCode]).toEqual(['', 0]);
    for (const name of ['best', 'last']) {
      const file = `weights/${name}.safetensors`;
      expect(bytesOf('cut', file).equals(bytesOf('whole', file)), file).toBe(true);
    }
    const losses = (name: string) => lossesIn(bytesOf(name, 'metrics.jsonl'));
    expect(losses('cut')).toEqual(losses('whole'));
    expect(losses('cut')).toHaveLength(3);
    expect(json('cut', 'metrics.json').models).toEqual(json('whole', 'metrics.json').models);
  });

  test('fills its folder, and names the sets in its numbers and reports', () => {
    const files = ['MODEL_CARD.md', 'config.json', 'data.json', 'evaluation.json', 'report.html'];
    expect(readdirSync(run)).toEqual(expect.arrayContaining(files));
    const share = expect.toSatisfy((x) => typeof x === 'number' && x >= 0 && x <= 1);
    const accuracy = { biased: share, deceiving: share };
    expect(json('cut', 'metrics.json').models).toEqual([
      { name: 'isnet', accuracy, backgroundRelevance: { biased: share } },
    ]);
    expect(json('cut', 'data.json').splits.train).toMatchObject({ images: 36, classes: { 'digit-8': 12 } });
    expect(bytesOf('cut', 'report.html').toString()).toMatch(/biased: 12, deceiving: 12 images/);
    expect(bytesOf('cut', 'MODEL_CARD.md').toString()).toContain('| ISNet | deceiving | 12 |');
    // The sets show the same digits, so their difference is taken image by image.
    expect(json('cut', 'evaluation.json').models[0].gaps[0]).toMatchObject({
      from: 'biased',
      to: 'deceiving',
    });
  });

  test('draws the first image of each class in both sets', async () => {
    const { width, height } = await readPng(join(run, 'heatmaps', 'test-images.png'));
    // Two pictures for each set, 30 pixels enlarged to 120.
    expect([width, height]).toEqual([4 * 120 + 4 * 4, 3 * 120 + 2 * 4]);
    expect(bytesOf('cut', 'heatmaps/test-images.txt').toString()).toMatch(
      /^row 3, digit-8, deceiving, ISNet: /m,
    );
  });

  test('gives the same numbers when it is evaluated again, and others on other images', async () => {
    const again = await isnet('evaluate', run, '--json');
    expect(JSON.parse(again.output).models).toEqual(json('cut', 'metrics.json').models);
    const others = join(folder, 'others');
    cpSync(join(images, 'data', 'test-deceiving'), join(others, 'data', 'test-clinic'), { recursive: true });
    const report = bytesOf('cut', 'report.html');
    const { output, errors } = await isnet('evaluate', run, '--data', others, '--json');
    expect(errors).not.toMatch(/error/);
    const { models, evaluation } = JSON.parse(output);
    const { deceiving } = json('cut', 'metrics.json').models[0].accuracy;
    // The same images under another name; without their masks nothing is said about relevance.
    expect(models[0]).toEqual({ name: 'isnet', accuracy: { clinic: deceiving }, backgroundRelevance: {} });
    expect([evaluation[0].localisation, evaluation[0].deletion]).toEqual([null, null]);
    expect(bytesOf('cut', 'report.html').equals(report)).toBe(true);
  });

  test('explains test images by set and number, and picture files of any size', async () => {
    const output = join(runs, 'grid.png');
    const args = ['explain', run, '--overwrite', '--output', output];
    const bySet = await isnet(...args, '--test-set', 'deceiving', '--indices', '0,5');
    expect(bySet.output).toMatch(/^deceiving 5, digit-5, ISNet: predicts digit-\d \(.* %\)/m);
    expect((await readPng(output)).height).toBe(2 * 120 + 4);
    const photo = write(join(folder, 'photo.jpg'), await encoded(pattern(3, 48), 64, 1, 'jpeg'));
    const byFile = await isnet(...args, photo);
    expect(byFile.output).toContain(`${photo}, ISNet: predicts `);
    expect((await readPng(output)).width).toBe(2 * 120 + 4);
    const unknown = await isnet(...args, '--test-set', 'decieving');
    expect(unknown.errors).toContain(
      "no test set 'decieving' (did you mean 'deceiving'?); use biased, deceiving",
    );
    expect(unknown.exitCode).toBe(2);
  });

  test('is exported to ONNX, where it predicts and is explained as before', async () => {
    const file = join(runs, 'cut.onnx');
    const { exitCode, errors } = await isnet('export', run, '--output', file);
    expect(exitCode, errors).toBe(0);
    const photo = write(join(folder, 'exported.png'), await encoded(pattern(3, 30), 30, 1, 'png'));
    const output = join(runs, 'exported-heatmap.png');
    const explained = async (model: string): Promise<string> => {
      const { output: said } = await isnet('explain', model, photo, '--overwrite', '--output', output);
      return said
        .split('\n')
        .filter((line) => line.startsWith(photo))
        .join('\n');
    };
    expect(await explained(file)).toBe(await explained(run));
    const raster = await openPicture(photo);
    const planes = imagePlanes(raster, { channels: 3, height: 30, width: 30, resize: 'stretch' }, 'black');
    const { dims, data } = await runOnnx(
      readFileSync(file),
      Float32Array.from(planes, (x) => x / 255),
      [1, 3, 30, 30],
    );
    expect(dims).toEqual([1, 3]);
    const best = data.indexOf(Math.max(...data));
    expect(await explained(run)).toContain(`predicts ${json('cut', 'data.json').classNames[best]} `);
  });

  test('does not go on with other images than it began with', async () => {
    const copy = join(runs, 'moved');
    cpSync(run, copy, { recursive: true });
    rmSync(join(copy, 'metrics.json'));
    const fewer = join(folder, 'fewer');
    cpSync(images, fewer, { recursive: true });
    rmSync(join(fewer, 'data', 'train', 'digit-3', '0000.png'));
    const config = json('cut', 'config.json');
    writeFileSync(
      join(copy, 'config.json'),
      JSON.stringify({ ...config, data: { ...config.data, source: fewer } }),
    );
    const { exitCode, errors } = await isnet('train', '--resume', copy);
    expect(errors).toMatch(/^error: run folder: the images are not those that '.*moved' began with .*\n$/);
    expect(exitCode).toBe(1);
  });

  // Makes a ResNet-18, hence slow.
  test('begins with the weights of another run, all but its last layer', { timeout: 120_000 }, async () => {
    const first = join(run, 'weights', 'last.safetensors');
    const args = ['--weights', first, '--epochs', '1', '--lr', '1e-30', '--method', 'classifier'];
    expect((await train(images, 'second', ...args)).errors).toBe('');
    const [before, after] = await Promise.all(
      [first, join(runs, 'second/weights/last.safetensors')].map(tensorsOf),
    );
    const same = [...before].map(([name, values]) => [name, values.join() === after.get(name)?.join()]);
    expect(same).toEqual([...before.keys()].map((name) => [name, !name.startsWith('classifier.3')]));
    const other = await train(images, 'third', '--weights', first, '--model', 'resnet18');
    // small-cnn's own settings are no settings of resnet18.
    expect(other.errors).toContain(
      "there is no setting 'hidden' in 'model'; use kind, dropout, negativeSlope, weights",
    );
    const args18 = trainArgs(images, 'third', '--weights', first, '--model', 'resnet18');
    const misfit = await isnet(...without(args18, '--hidden'));
    expect(misfit.errors).toMatch(/^error: load '.*last.safetensors': \d+ missing \(conv1\.weight, .*\n$/);
    expect(misfit.exitCode).toBe(1);
    expect(existsSync(join(runs, 'third'))).toBe(false);
  });
});

/** The arguments without an option and its value. */
function without(args: readonly string[], option: string): string[] {
  const at = args.indexOf(option);
  return [...args.slice(0, at), ...args.slice(at + 2)];
}

async function tensorsOf(path: string): Promise<Map<string, Float32Array | Float64Array>> {
  const { tensors } = await readWeightsFile(path);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

describe.skipIf(!hasAdapter)('several labels, no validation, tests without masks', () => {
  let outcome: Outcome;
  const run = join(runs, 'labels');

  beforeAll(async () => {
    const root = join(folder, 'labels');
    const lines = ['file,split,labels,mask'];
    for (let n = 0; n < 18; n++) {
      const split = n < 12 ? 'train' : 'test';
      const labels = ['lines', 'lines;dots', 'dots=-1', 'none'][n % 4];
      await writePicture(join(root, `${n}.png`), pattern(n, 12), 12);
      await writePicture(
        join(root, `${n}-mask.png`),
        pattern(0, 12).map((_, i) => (i < 72 ? 255 : 0)),
        12,
      );
      lines.push(`${n}.png,${split},${labels},${split === 'train' ? `${n}-mask.png` : ''}`);
    }
    const list = write(join(root, 'list.csv'), lines.join('\n'));
    outcome = await train(list, 'labels', '--size', '12', '--channels', '1', '--epochs', '2');
  }, 120_000);

  test('train, and say what is missing', () => {
    expect(outcome.errors).toBe('');
    expect(outcome.output).toContain('2 classes, several or none per image');
    expect(outcome.output).toMatch(/^ {2}dots +3 \(\+3\?\) +\d/m);
    expect(outcome.output).toContain('no validation images: the weights of the last epoch count as the best');
    expect(outcome.output).toContain('no image of test has a mask: where the relevance lies');
    expect(outcome.exitCode).toBe(0);
  });

  test('have the weights of the last epoch for the best', () => {
    const bytes = (name: string) => readFileSync(join(run, 'weights', `${name}.safetensors`));
    expect(bytes('best').equals(bytes('last'))).toBe(true);
  });

  test('are reported without what was not measured', () => {
    const [model] = JSON.parse(readFileSync(join(run, 'metrics.json'), 'utf8')).models;
    expect(Object.keys(model.accuracy)).toEqual(['test']);
    expect(model.backgroundRelevance).toEqual({});
    const page = readFileSync(join(run, 'report.html'), 'utf8');
    expect(page).toMatch(/right on \d+\.\d\u00a0% of the labels of the test images/);
    expect(page).toContain('First image of each class');
    expect(page).not.toMatch(/\b(NaN|undefined)|\[object|Where the relevance lies<|test test/);
  });

  test('are refused a variant that explains a softmax, before anything is written', async () => {
    const list = join(folder, 'labels', 'list.csv');
    const { exitCode, errors } = await train(list, 'softmax', '--variant', 'selective');
    expect(errors).toMatch(/^error: isnet: variant selective explains a softmax, .*\n$/);
    expect(exitCode).toBe(2);
    expect(existsSync(join(runs, 'softmax'))).toBe(false);
  });
});

describe.skipIf(!hasAdapter)('images that cannot be trained on are one sentence:', () => {
  let next = 0;
  const sound = { train: { a: 3, b: 3 }, val: { a: 1, b: 1 }, test: { a: 1, b: 1 } };

  /** The message; what the list of files says is found out before anything is written. */
  async function refusal(source: string, { isOpened = false } = {}): Promise<string> {
    const name = `refused-${next++}`;
    const { exitCode, errors } = await train(source, name);
    expect(existsSync(join(runs, name))).toBe(isOpened);
    expect(errors).toMatch(/^error: [^\n]+; [^\n]+\n$/);
    expect(exitCode).toBe(1);
    return errors;
  }
  const folderWith = (name: string): Promise<string> => writeImages(join(folder, name), sound);
  const csv = (name: string, ...lines: string[]): string => write(join(folder, name), lines.join('\n'));

  test('a damaged file', async () => {
    const root = await folderWith('damaged');
    const file = join(root, 'data/train/b/1.png');
    writeFileSync(file, readFileSync(file).subarray(0, 60));
    expect(await refusal(root, { isOpened: true })).toContain(`'${file}' is no readable picture`);
  });

  test('a mask of another size', async () => {
    const root = await folderWith('misfit');
    await writePicture(join(root, 'masks/train/a/2.png'), pattern(1, 9), 9);
    expect(await refusal(root, { isOpened: true })).toMatch(
      /masks\/train\/a\/2\.png' is a mask of 9x9, but its image .* is 8x8; /,
    );
  });

  test('a class that training does not know', async () => {
    const root = await writeImages(join(folder, 'unknown'), { ...sound, test: { a: 1, bb: 1 } });
    expect(await refusal(root)).toContain(
      "is no class of the training images (did you mean 'b'?); known are a, b",
    );
  });

  test.each([
    ['a missing column', ['file,label', 'x.png,a'], "has no column 'split'"],
    [
      'a file named twice',
      ['file,split,label', 'x.png,train,a', 'x.png,test,a'],
      "line 3 names 'x.png' as line 2 does",
    ],
    [
      'a class without training images',
      ['file,split,label:a,label:b', 'x.png,train,1,0', 'y.png,test,0,1'],
      "no training image shows 'b'",
    ],
    ['a file that is not there', ['file,split,label', 'none.png,train,a'], 'none.png'],
  ])('a CSV file with %s', async (_, lines, says) => {
    for (const name of ['x', 'y']) await writePicture(join(folder, `${name}.png`), pattern(4), 8);
    expect(await refusal(csv('bad.csv', ...lines))).toContain(says);
  });

  test('nothing to test on', async () => {
    const root = await writeImages(join(folder, 'untested'), { train: { a: 2, b: 2 } });
    expect(await refusal(root)).toContain('has neither test nor validation images');
  });
});

describe('settings of images and networks', () => {
  async function refusal(...args: string[]): Promise<string> {
    const given = ['train', '--output-dir', runs, '--data', images, '--name', 'wrong', ...args];
    const { exitCode, errors } = await isnet(...given);
    expect(exitCode).toBe(2);
    expect(existsSync(join(runs, 'wrong'))).toBe(false);
    return errors;
  }

  test.each([
    [
      'a misspelt network names the nearest',
      ['--model', 'resnet81'],
      "(did you mean 'resnet18'?); use one of small-cnn",
    ],
    ['a size that is none', ['--size', '3x4x5'], 'Use a size such as 64 or 80x64'],
    [
      'an option of benchmarks',
      ['--train-count', '5'],
      "option '--train-count <n>' is for benchmarks; leave it out with --data",
    ],
    [
      'an option of MNIST with a marker',
      ['--background', 'noise'],
      "option '--background <kind>' is for dataset mnist-marker; leave it out with --data",
    ],
    ['images of next to no pixels', ['--size', '3'], 'data.height is 3; use a whole number from 8 up'],
  ])('%s', async (_, args, says) => {
    expect(await refusal(...args)).toContain(says);
  });

  // Said by the network as it is made, hence on a device.
  test.skipIf(!hasAdapter)('images that are not square', async () => {
    const errors = await refusal('--model', 'vit_small', '--size', '32x28');
    expect(errors).toContain('vit_small takes square images');
  });
});
