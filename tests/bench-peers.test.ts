// What the comparison with other libraries rests on: the numbers they are checked against, and that one that fails is a row.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { operand } from '../bench/data.ts';
import { operandShapes, peerCases, type Work } from '../bench/peers/cases.ts';
import { expectedOf } from '../bench/peers/expected.ts';
import { FROM_CHANNELS_LAST, permuted, TO_CHANNELS_LAST } from '../bench/peers/layout.ts';
import { onnxModel } from '../bench/peers/onnx-model.ts';
import { PeerFailure, PeerProcess } from '../bench/peers/process.ts';
import { peerTableRows, ratioOf } from '../bench/peers/table.ts';
import { type ConvSizes, convShapes } from '../bench/shapes.ts';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../engine/ops/conv.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { softmax } from '../engine/ops/softmax.ts';
import type { Tensor } from '../engine/tensor.ts';

const odd: ConvSizes = { label: 'odd', N: 2, C: 3, size: [7, 6], O: 4, kernel: 3, stride: 2 };
const { padding } = convShapes(odd);
const options = { stride: odd.stride, padding };
type Op = readonly [work: Exclude<Work, { kind: 'train' }>, run: (a: Tensor, b: Tensor) => Tensor];

describe('expected numbers', () => {
  const ops: readonly Op[] = [
    [{ kind: 'matmul', sizes: { label: '', M: 3, K: 5, N: 4 } }, (a, b) => matmul(a, b)],
    [{ kind: 'conv', direction: 'forward', sizes: odd }, (a, b) => conv2d(a, b, options)],
    [
      { kind: 'conv', direction: 'input gradient', sizes: odd },
      (a, b) => conv2dInputGrad(a, b, [7, 6], options),
    ],
    [
      { kind: 'conv', direction: 'weight gradient', sizes: odd },
      (a, b) => conv2dWeightGrad(a, b, [3, 3], options),
    ],
    [{ kind: 'add', count: 7 }, (a, b) => add(a, b)],
    [{ kind: 'softmax', rows: 3, columns: 5 }, (a) => softmax(a)],
    [{ kind: 'chain', count: 5, length: 3, isCompiled: false }, (a, b) => add(add(add(a, b), b), b)],
  ];

  test.each(ops)('of $kind $direction are those of the reference', async (work, run) => {
    const device = new CpuDevice();
    const [a, b = a] = operandShapes(work).map((shape, i) => tensor(device, operand(i, shape), shape));
    const found = await read(run(a, b));
    const { indices, values } = await expectedOf(work);
    expect(Math.max(...indices)).toBe(found.length - 1);
    indices.forEach((index, i) => {
      expect(values[i]).toBeCloseTo(found[index], 10);
    });
  });

  test('no two cases share a name', () => {
    expect(new Set(peerCases.map(({ name }) => name)).size).toBe(peerCases.length);
  });
});

test('layouts: permuted moves each number to where its axes went', () => {
  // [1, 2, 2, 3] with x(n, c, h, w) = 100 c + 10 h + w
  const x = [0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112];
  const last = permuted(x, [1, 2, 2, 3], TO_CHANNELS_LAST);
  expect([...last]).toEqual([0, 100, 1, 101, 2, 102, 10, 110, 11, 111, 12, 112]);
  expect([...permuted(last, [1, 2, 3, 2], FROM_CHANNELS_LAST)]).toEqual(x);
});

test('an ONNX model is the protobuf that onnx.proto describes', () => {
  const model = onnxModel({
    nodes: [{ op: 'Conv', inputs: ['a', 'b'], output: 'y', attributes: { group: 300, pads: [1, 2] } }],
    inputs: { a: [1, 128] },
    output: { name: 'y', shape: [5] },
  });
  const { 1: version, 7: graphs, 8: opsets } = fieldsOf(Buffer.from(model));
  expect(version).toEqual([8]);
  expect(fieldsOf(opsets[0] as Buffer)[2]).toEqual([17]);
  const { 1: nodes, 11: inputs, 12: outputs } = fieldsOf(graphs[0] as Buffer);
  const node = fieldsOf(nodes[0] as Buffer);
  expect([node[1], node[2], node[4]].flat().map(String)).toEqual(['a', 'b', 'y', 'Conv']);
  const [group, pads] = (node[5] as Buffer[]).map(fieldsOf);
  expect([String(group[1]), group[3], group[20]]).toEqual(['group', [300], [2]]);
  expect([String(pads[1]), pads[8], pads[20]]).toEqual(['pads', [1, 2], [7]]);
  expect([sizesOf(inputs[0] as Buffer), sizesOf(outputs[0] as Buffer)]).toEqual([[1, 128], [5]]);
});

/** Fields of a protobuf message by number: whole numbers and byte strings. */
function fieldsOf(message: Buffer): Record<number, (number | Buffer)[]> {
  const fields: Record<number, (number | Buffer)[]> = {};
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const value = varint();
    const field = Math.floor(key / 8);
    fields[field] ??= [];
    if (key % 8 === 0) fields[field].push(value);
    else {
      fields[field].push(message.subarray(at, at + value));
      at += value;
    }
  }
  return fields;
}

/** ValueInfoProto.type.tensor_type.shape.dim[].dim_value */
function sizesOf(valueInfo: Buffer): unknown[] {
  const tensorType = fieldsOf(fieldsOf(fieldsOf(valueInfo)[2][0] as Buffer)[1][0] as Buffer);
  expect(tensorType[1]).toEqual([1]);
  return fieldsOf(tensorType[2][0] as Buffer)[1].flatMap((dimension) => fieldsOf(dimension as Buffer)[1]);
}

describe('a peer that fails', () => {
  const folder = mkdtempSync(join(tmpdir(), 'isnet-peers-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A process that runs this text in place of a library. */
  function start(text: string, timeoutMs = 20_000): PeerProcess {
    const script = join(folder, `${Math.random()}.mjs`);
    writeFileSync(script, text);
    return new PeerProcess('ours', { script, adapter: 'any', timeoutMs });
  }

  test.each([
    ['says why', 'process.send({ error: "no adapter" })', /^no adapter$/],
    ['dies', 'process.exit(3)', /exit code 3/],
    ['is killed', 'process.kill(process.pid, "SIGKILL")', /SIGKILL/],
  ])('%s: the reason is kept', async (_, text, reason) => {
    const process = start(text);
    const failure = process.next();
    await expect(failure).rejects.toThrow(PeerFailure);
    await expect(failure).rejects.toThrow(reason);
    process.end();
  });

  test('takes too long: it is ended', async () => {
    const process = start('setInterval(() => {}, 1000)', 300);
    await expect(process.next()).rejects.toThrow('took longer than 0.3 s');
    expect(process.isAlive).toBe(false);
    await expect(process.ask({ do: 'close' })).rejects.toThrow('took longer');
  });

  test('is a row with its reason', () => {
    const ours = { roundMs: [1], checkedError: 0, failure: null };
    const dead = { roundMs: [], checkedError: null, failure: 'its process died' };
    const rows = peerTableRows('add', { ours, 'jax-js': dead }, { unit: 'GB/s', workPerCall: 1 });
    expect(rows[1]).toMatch(/jax-js +- +its process died$/);
  });
});

test('ratios are taken within rounds', () => {
  const result = (roundMs: number[]) => ({ roundMs, checkedError: 0, failure: null });
  // A disturbance that doubles a round doubles both: the ratio does not see it.
  expect(ratioOf(result([2, 4, 9]), result([1, 2, 3]))).toEqual({ median: 2, min: 2, max: 3 });
  expect(ratioOf(result([2]), undefined)).toBeNull();
  expect(ratioOf(result([]), result([1]))).toBeNull();
});

test('the lock of the peers names versions and no registry', () => {
  const lock = readFileSync(new URL('../bench/peers/package-lock.json', import.meta.url), 'utf8');
  expect(lock).toContain('"node_modules/@jax-js/jax"');
  expect(lock).not.toMatch(/"resolved"|https?:\/\/registry/);
});
