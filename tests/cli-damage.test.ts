// Damaged files on the command line: one clear sentence, exit code 1, and what was there before is still there.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, full } from '../engine/create.ts';
import type { Tensor } from '../engine/tensor.ts';
import { loadState, type ModelCard, saveModel, saveState } from '../isnet/checkpoint.ts';
import { createModel } from '../isnet/from-config.ts';
import { quickstartConfig } from '../isnet/quickstart-config.ts';
import { startPosition } from '../isnet/training-position.ts';
import { writePng } from '../lrp/png.ts';
import { SGD } from '../nn/optim.ts';
import { isnet, newFolder, tiny } from './command-line.ts';
import { hasGpu } from './gpu.ts';
import { fileOf, tensor } from './safetensors-bytes.ts';

const hasAdapter = await hasGpu();

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const device = new CpuDevice();
const card: ModelCard = {
  method: 'isnet',
  model: quickstartConfig.model,
  input: {
    channels: 1,
    height: 28,
    width: 28,
    classNames: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  },
  inputRange: [0, 1],
  data: { ...quickstartConfig.data, testCount: 10 },
  seed: 0,
  eps: 0.01,
};
const newModel = () => createModel(device, card.model, card.input, card.seed);
const good = join(runs, 'good.safetensors');
const picture = join(runs, 'gray.png');

beforeAll(async () => {
  await saveModel(good, newModel(), card);
  const gray = new Uint8ClampedArray(4 * 28 * 28).map((_, i) => (i % 4 === 3 ? 255 : 200));
  await writePng(picture, { width: 28, height: 28, rgba: gray });
});

/** The error of `isnet evaluate` on a file of these bytes, without `error: ` and the line's end. */
async function refusal(bytes: Uint8Array): Promise<string> {
  const path = join(runs, 'damaged.safetensors');
  writeFileSync(path, bytes);
  const { exitCode, errors } = await isnet('evaluate', path);
  expect(exitCode).toBe(1);
  expect(errors).toMatch(/^error: load '.*damaged\.safetensors': [^\n]+; [^\n]+\n$/);
  return errors;
}

describe.skipIf(!hasAdapter)('a weights file', () => {
  const four = [0, 0, 0, 0];
  const f32 = tensor('F32', [1], 0, 4);

  test('that is cut off', async () => {
    expect(await refusal(readFileSync(good).subarray(0, -10))).toContain('the file is cut short');
  });
  test('with a header too long', async () => {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setBigUint64(0, 2n ** 40n, true);
    expect(await refusal(bytes)).toContain('over the limit');
  });
  test('with overlapping offsets', async () => {
    expect(await refusal(fileOf({ a: f32, b: f32 }, four))).toContain('overlaps the tensor before it');
  });
  test('of an unknown dtype', async () => {
    expect(await refusal(fileOf({ a: tensor('Q4', [1], 0, 4) }, four))).toContain('unknown dtype "Q4"');
  });
  test.each([
    ['of another program', {}, 'does not say which model it is of'],
    ['whose card is cut', { model: '{"kind"', input: '{}' }, 'its metadata is damaged'],
    ['whose card has no sizes', { ...cardText(), input: '{}' }, 'its metadata is damaged (input.channels: '],
    [
      'whose card has an unknown method',
      { ...cardText(), method: '"cnn"' },
      'its metadata is damaged (method: ',
    ],
  ])('%s', async (_, metadata, says) => {
    expect(await refusal(fileOf({ __metadata__: metadata, a: f32 }, four))).toContain(says);
  });

  test('whose numbers are NaN is neither evaluated nor drawn', async () => {
    const model = newModel();
    for (const t of model.parameters()) assign(t, full(device, t.shape, Number.NaN));
    const path = join(runs, 'nan.safetensors');
    await saveModel(path, model, card);
    const drawn = join(runs, 'nan.png');
    const diverged = /^error: .* is NaN|^error: .* gives NaN for image 0; /;
    for (const args of [
      ['evaluate', path],
      ['explain', path, picture, '--output', drawn],
    ]) {
      const { exitCode, errors } = await isnet(...args);
      expect(errors).toMatch(diverged);
      expect(exitCode).toBe(1);
    }
    expect(existsSync(drawn)).toBe(false);
  });
});

function cardText(): Record<string, string> {
  return Object.fromEntries(Object.entries(card).map(([key, value]) => [key, JSON.stringify(value)]));
}

describe.skipIf(!hasAdapter)('isnet explain', () => {
  test.each([
    ['a class that is none', ['--target', 'cat'], 2, /there is no class 'cat'; use predicted or one of 0, 1/],
    [
      'a folder that is none',
      ['--output', join(runs, 'no', 'x.png')],
      1,
      /folder of '.*' does not exist; create/,
    ],
  ])('refuses %s', async (_, args, code, says) => {
    const { exitCode, errors } = await isnet(
      'explain',
      good,
      picture,
      '--output',
      join(runs, 'x.png'),
      ...args,
    );
    expect(errors).toMatch(says);
    expect(exitCode).toBe(code);
    expect(existsSync(join(runs, 'x.png'))).toBe(false);
  });

  test('explains with the stabiliser that the weights were trained with', async () => {
    const strong = join(runs, 'strong.safetensors');
    await saveModel(strong, newModel(), { ...card, eps: 1 });
    const totals: number[] = [];
    for (const [i, path] of [good, strong].entries()) {
      const { output } = await isnet('explain', path, picture, '--output', join(runs, `eps-${i}.png`));
      totals.push(Math.abs(Number(/sum R = (\S+)/.exec(output)?.[1])));
    }
    expect(totals[1]).toBeLessThan(0.5 * totals[0]);
  });
});

test('a training state that is damaged inside is one sentence', async () => {
  const path = join(runs, 'state.safetensors');
  const model = newModel();
  const optimizer = new SGD(new Map<string, Tensor>());
  const position = { ...startPosition, batch: -1 };
  await saveState(path, model, optimizer, { role: 'isnet', position, range: null, seconds: 0 });
  await expect(loadState(path)).rejects.toThrow(
    /^load '.*': its metadata is damaged \(position\.batch: .*\); use/,
  );
});

test.skipIf(!hasAdapter)('--overwrite keeps a run until its successor can start', async () => {
  const folder = join(runs, 'kept');
  mkdirSync(folder);
  for (const name of ['config.json', 'metrics.json']) writeFileSync(join(folder, name), '{}');
  const settings = join(runs, 'impossible.json');
  writeFileSync(settings, '{ "model": { "blocks": [{ "channels": 2, "kernel": 3, "pool": 99 }] } }');
  const args = ['--output-dir', runs, '--name', 'kept', '--overwrite', '--config', settings];
  const { exitCode, errors } = await isnet('train', ...tiny, ...args);
  expect(errors).toMatch(/^error: SmallCnn: an image of \[28,28\] shrinks to nothing; .*\n$/);
  expect(exitCode).toBe(2);
  expect(readFileSync(join(folder, 'metrics.json'), 'utf8')).toBe('{}');
});
