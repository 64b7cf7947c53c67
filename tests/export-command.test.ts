// `isnet export` as its users meet it: the file, what is said about it, and what is refused.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read } from '../engine/create.ts';
import { loadModel, type ModelCard, saveModel } from '../isnet/checkpoint.ts';
import { createModel } from '../isnet/from-config.ts';
import { readGraph } from '../isnet/onnx/graph-reader.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { isnet } from './command-line.ts';
import { relativeError } from './golden-flex.ts';
import { fillByName } from './golden-random.ts';
import { imagesFor, upload } from './onnx-nets.ts';
import { runOnnx } from './onnx-runtime.ts';

const folder = mkdtempSync(join(tmpdir(), 'isnet-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const weights = join(folder, 'digits.safetensors');
const onnx = join(folder, 'digits.onnx');
const size = [1, 28, 28] as const;
const classNames = ['zero', 'one', 'grüße'];

beforeAll(async () => {
  const { model, data } = completeConfig([{ name: 'export' }], 'export');
  const input = { channels: 1, height: 28, width: 28, classNames };
  const card: ModelCard = { method: 'isnet', model, input, inputRange: [0, 1], data, seed: 3, eps: 0.01 };
  const net = createModel(new CpuDevice(), model, input, 3);
  fillByName(net, { seed: 5, gain: 0.8 });
  await saveModel(weights, net, card);
});

describe('isnet export', () => {
  test('writes the model that the weights are of, and says how to use it', async () => {
    const { exitCode, output } = await isnet('export', weights, '--output', onnx);
    expect(exitCode).toBe(0);
    expect(output).toContain(`model: ISNet, ${weights}`);
    expect(output).toMatch(/^file: .*digits\.onnx \(\d+\.\d [kM]B, opset 17\)$/m);
    expect(output).toContain("input: 'input' float32 [batch, 1, 28, 28], values from 0 to 1");
    expect(output).toContain("output: 'logits' float32 [batch, 3], before softmax");
    expect(output).toContain('numpy.zeros((1, 1, 28, 28), "float32")');
    const device = new CpuDevice();
    const { model } = await loadModel(device, weights);
    const images = imagesFor({ make: () => model, input: size, isClassifier: true }, 2);
    const { data } = await runOnnx(readFileSync(onnx), images.values, images.shape);
    expect(relativeError(data, await read(model.forward(upload(device, images))))).toBeLessThan(1e-5);
  });

  test('puts into the file what its users must know, and no paths', async () => {
    const { metadata } = readGraph(readFileSync(onnx));
    const facts = Object.fromEntries(Object.entries(metadata).map(([key, text]) => [key, JSON.parse(text)]));
    expect(facts).toMatchObject({
      classNames,
      inputSize: size,
      inputRange: [0, 1],
      outputActivation: 'softmax',
      method: 'isnet',
    });
    expect(facts.source).toMatch(/^[^/]+\/[^/]+\/digits\.safetensors$/);
  });

  test('the file can be loaded again as the model that it was', async () => {
    const device = new CpuDevice();
    const [original, again] = [await loadModel(device, weights), await loadModel(device, onnx)];
    expect({ ...again.card, data: null }).toEqual({ ...original.card, data: null });
    const x = upload(device, imagesFor({ make: () => original.model, input: size, isClassifier: true }, 2));
    expect(await read(again.model.forward(x))).toEqual(await read(original.model.forward(x)));
  });

  test('keeps a file that exists, unless told otherwise', async () => {
    const refused = await isnet('export', weights, '--output', onnx);
    expect(refused.exitCode).toBe(1);
    expect(refused.errors).toContain(`export: '${onnx}' exists and is kept; pass --overwrite`);
    expect((await isnet('export', weights, '--output', onnx, '--overwrite')).exitCode).toBe(0);
  });

  test('names what is not there', async () => {
    const missing = await isnet('export', join(folder, 'nothing'), '--output', join(folder, 'x.onnx'));
    expect(missing.errors).toMatch(/there is no run or weights file/);
    const other = await isnet('export', weights, '--output', join(folder, 'x.onnx'), '--model', 'classifier');
    expect(other.exitCode).toBe(2);
    expect(other.errors).toMatch(/has no classifier; it has isnet/);
    const nowhere = await isnet('export', weights, '--output', join(folder, 'no', 'x.onnx'));
    expect(nowhere.errors).toMatch(/export: the folder of .* does not exist; create it first/);
  });

  test('an ONNX file of somebody else, or a damaged one, is refused by name', async () => {
    const damaged = join(folder, 'damaged.onnx');
    writeFileSync(damaged, readFileSync(onnx).subarray(0, 999));
    await expect(loadModel(new CpuDevice(), damaged)).rejects.toThrow(/^load '.*damaged\.onnx': .+; .+/);
    const foreign = join(import.meta.dirname, 'golden', 'onnx_plain.onnx');
    await expect(loadModel(new CpuDevice(), foreign)).rejects.toThrow(/does not say which model it is of/);
  });
});
