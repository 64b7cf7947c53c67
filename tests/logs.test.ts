// What a training leaves in its logs. The event files are read back by a decoder that shares nothing with the writer.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterAll, describe, expect, test } from 'vitest';
import type { CollapseSigns } from '../isnet/collapse.ts';
import { RunLog } from '../isnet/logs/run-log.ts';
import { crc32c, firstRecord, restartRecord, scalarsRecord } from '../isnet/logs/tensorboard.ts';
import type { RelevanceRange } from '../isnet/range.ts';
import { clearRunFolder, createRunFolder, readLog } from '../isnet/run-folder.ts';
import type { EpochReport, StepReport } from '../isnet/train.ts';
import { startPosition } from '../isnet/training-position.ts';
import { newFolder } from './command-line.ts';

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

/** Bit by bit, as the definition says: reflected, polynomial 0x1EDC6F41. */
function slowCrc(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n;
  }
  return Number(crc ^ 0xffffffffn);
}

const unmask = (masked: number): number => {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
};

/** Payloads of TFRecords; throws where a check sum is wrong or bytes are left over. */
function payloads(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expect(unmask(file.readUInt32LE(at + 8))).toBe(slowCrc(file.subarray(at, at + 8)));
    const payload = file.subarray(at + 12, at + 12 + length);
    expect(unmask(file.readUInt32LE(at + 12 + length))).toBe(slowCrc(payload));
    found.push(payload);
    at += 16 + length;
  }
  return found;
}

type Field = { readonly number: number; readonly value: number | bigint | Buffer };

/** Fields of a protocol buffer in order: varints as bigint, fixed ones as numbers, the rest as bytes. */
function fields(bytes: Buffer): Field[] {
  const found: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const [number, type] = [tag >> 3, tag & 7];
    if (type === 0) found.push({ number, value: varint() });
    else {
      const sizes: Readonly<Record<number, () => number>> = {
        1: () => 8,
        5: () => 4,
        2: () => Number(varint()),
      };
      const size = sizes[type]();
      const value = bytes.subarray(at, at + size);
      at += size;
      const read = { 1: () => value.readDoubleLE(), 5: () => value.readFloatLE(), 2: () => value };
      found.push({ number, value: read[type as 1 | 2 | 5]() });
    }
  }
  return found;
}

const one = (list: readonly Field[], number: number) => list.find((field) => field.number === number)?.value;

/** An event by tensorflow/core/util/event.proto. */
function event(bytes: Buffer) {
  const all = fields(bytes);
  const [summary, session] = [one(all, 5), one(all, 7)];
  const values = summary ? fields(summary as Buffer).map(({ value }) => fields(value as Buffer)) : [];
  return {
    wallTime: one(all, 1),
    step: Number(one(all, 2) ?? 0),
    version: one(all, 3)?.toString(),
    scalars: Object.fromEntries(values.map((value) => [String(one(value, 1)), one(value, 2)])),
    ...(session ? { session: Number(one(fields(session as Buffer), 1)) } : {}),
  };
}

const eventsOf = (bytes: Uint8Array) => payloads(Buffer.from(bytes)).map(event);

describe('records of TensorBoard', () => {
  test('have the check sum of the published example', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array())).toBe(0);
  });
  test('hold the version, the step and the scalars', () => {
    expect(eventsOf(firstRecord(1.5))).toEqual([
      { wallTime: 1.5, step: 0, version: 'brain.Event:2', scalars: {} },
    ]);
    const scalars = { 'train/loss': 0.25, naïve: -3, large: 2 ** 40 };
    // A step of more than 32 bits, and a summary of more than 127 bytes.
    const long = { ...scalars, [`${'x'.repeat(200)}`]: 1 };
    const step = 2 ** 40 + 3;
    expect(eventsOf(scalarsRecord({ wallTime: 2, step, scalars: long }))).toEqual([
      { wallTime: 2, step, version: undefined, scalars: long },
    ]);
    expect(eventsOf(restartRecord(3, 9))).toEqual([
      { wallTime: 3, step: 9, version: undefined, scalars: {}, session: 1 },
    ]);
  });
});

const losses = { total: 0.5, classification: 0.25, heatmap: 0.75 };
const stepReport: StepReport = {
  ...losses,
  recent: { ...losses, total: 0.125 },
  epoch: 0,
  step: 8,
  stepCount: 20,
  imagesPerSecond: 64,
  learningRate: 0.0625,
  P: 0.5,
};
const epochReport = (epoch: number): EpochReport => ({
  epoch,
  train: losses,
  validation: { ...losses, total: 2 },
  isBest: epoch === 0,
  isLast: false,
  seconds: 2,
  imagesPerSecond: 32,
  learningRate: 0.0625,
  P: 0.5,
  position: { ...startPosition, epoch: epoch + 1, step: 10 * (epoch + 1) },
});
const range: RelevanceRange = { C1: [0.5, 2], C2: [4, 8] };
const signs: CollapseSigns = {
  ...{ imageCount: 3, logitNorm: 4, foregroundLogitNorm: 0.5 },
  firing: [
    { layer: 'conv1', channelCount: 8, deadCount: 1 },
    { layer: 'conv2', channelCount: 4, deadCount: 3 },
  ],
};

/** The logs of two epochs, the second twice as after a cut, and of a classifier. */
async function written(tensorboard: boolean) {
  const folder = await createRunFolder(join(runs, String(tensorboard)));
  await clearRunFolder(folder);
  const first = await RunLog.open(folder, 'isnet', { tensorboard, step: 0 });
  first.step(stepReport);
  await first.epoch(epochReport(0), range, signs);
  await first.epoch({ ...epochReport(1), seconds: 99 }, range, signs);
  await first.close();
  const second = await RunLog.open(folder, 'isnet', { tensorboard, step: 10 });
  await second.epoch(epochReport(1), range, signs);
  await second.close();
  const other = await RunLog.open(folder, 'classifier', { tensorboard, step: 0 });
  const plain = { total: 1, classification: 1, heatmap: null };
  await other.epoch({ ...epochReport(0), train: plain, validation: null }, null, {
    ...{ imageCount: 3, logitNorm: 4, foregroundLogitNorm: null, firing: [] },
  });
  await other.close();
  return folder;
}

describe('a run', () => {
  test('has a line per epoch and model, and the same as a table', async () => {
    const folder = await written(false);
    const lines = await readLog(folder);
    expect(lines.map(({ model, epoch }) => [model, epoch])).toEqual([
      ['isnet', 1],
      ['isnet', 2],
      ['classifier', 1],
    ]);
    expect(lines[1]).toMatchObject({
      seconds: 2,
      step: 20,
      learningRate: 0.0625,
      P: 0.5,
      range,
      collapse: signs,
    });
    const rows = parse(readFileSync(folder.table), { columns: true });
    expect(rows).toHaveLength(3);
    expect(rows[0]).toEqual({
      model: 'isnet',
      epoch: '1',
      step: '10',
      train_loss: '0.5',
      train_classification: '0.25',
      train_heatmap: '0.75',
      validation_loss: '2',
      validation_classification: '0.25',
      validation_heatmap: '0.75',
      is_best: 'true',
      learning_rate: '0.0625',
      P: '0.5',
      C1: '[0.5,2]',
      C2: '[4,8]',
      logit_norm: '4',
      foreground_logit_norm: '0.5',
      dead_share: '0.75',
      dead_layer: 'conv2',
      seconds: '2',
      images_per_second: '32',
    });
    expect(rows[2]).toMatchObject({
      model: 'classifier',
      train_heatmap: '',
      validation_loss: '',
      C1: '',
      dead_layer: '',
    });
    expect(readdirSync(folder.path)).not.toContain('tensorboard');
  });

  test('has event files by model if asked, which go on where a resume does', async () => {
    const folder = await written(true);
    const eventsIn = (model: string) =>
      readdirSync(join(folder.tensorboard, model))
        .toSorted()
        .flatMap((name) => eventsOf(readFileSync(join(folder.tensorboard, model, name))));
    const found = eventsIn('isnet');
    expect(found.filter(({ scalars }) => 'step/loss' in scalars)).toMatchObject([
      {
        step: 8,
        scalars: {
          'step/loss': 0.125,
          'step/classification': 0.25,
          'step/heatmap': 0.75,
          'step/learning_rate': 0.0625,
          'step/P': 0.5,
          'step/images_per_second': 64,
        },
      },
    ]);
    expect(found.filter(({ scalars }) => 'train/loss' in scalars).map(({ step }) => step)).toEqual([
      10, 20, 20,
    ]);
    expect(found.find(({ step }) => step === 10)?.scalars).toMatchObject({
      'train/loss': 0.5,
      'validation/loss': 2,
      'C1/0': 0.5,
      'C1/1': 2,
      'C2/1': 8,
      'collapse/logit_norm': 4,
      'collapse/foreground_logit_norm': 0.5,
      'collapse/dead_share': 0.75,
    });
    expect(found.filter(({ session }) => session === 1)).toMatchObject([{ step: 11 }]);
    expect(Object.keys(eventsIn('classifier')[1].scalars)).toEqual([
      'train/loss',
      'train/classification',
      'collapse/logit_norm',
    ]);
  });
});
