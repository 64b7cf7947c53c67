// Imported files must be the networks that they were made from: ours to the bit, PyTorch's to f32 rounding.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read, readAll, tensor } from '../engine/create.ts';
import { CheckpointError, IsnetError, ShapeError } from '../engine/errors.ts';
import type { Device } from '../engine/tensor.ts';
import { exportOnnx } from '../isnet/onnx/export.ts';
import { importOnnx } from '../isnet/onnx/import.ts';
import { floatTensor, intTensor } from '../isnet/onnx/numbers.ts';
import { encode } from '../isnet/onnx/protobuf.ts';
import { attributeTypes, modelSchema, type NodeDraft, type TensorDraft } from '../isnet/onnx/schema.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { explain } from '../lrp/explain.ts';
import { compositeTable } from '../lrp/table.ts';
import type { Module } from '../nn/module.ts';
import { loadStateDict, readTensors, stateLayout } from '../nn/state-dict.ts';
import { goldenJson } from './golden-files.ts';
import { relativeError } from './golden-flex.ts';
import { withGpu } from './gpu.ts';
import { filledNet, imagesFor, onnxNets, upload } from './onnx-nets.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const names = Object.keys(onnxNets);

/** A network and what becomes of it on the way through a file. */
async function newRoundTrip(name: string, device: Device = new CpuDevice()) {
  const net = onnxNets[name];
  const original = filledNet(device, net);
  const imported = importOnnx(await exportOnnx(original, { input: net.input }), device);
  return { device, original, imported, x: upload(device, imagesFor(net, 2)) };
}

const trips = new Map<string, ReturnType<typeof newRoundTrip>>();

/** The same for all tests that only look at it. */
function roundTrip(name: string): ReturnType<typeof newRoundTrip> {
  const trip = trips.get(name) ?? newRoundTrip(name);
  trips.set(name, trip);
  return trip;
}

describe('export and import', () => {
  // In f64: files have numbers such as eps and slopes in f32. Weights are filled with numbers that f32 holds.
  test.each(names)('%s gives the same numbers', async (name) => {
    const { original, imported, x } = await roundTrip(name);
    const [expected, actual] = await readAll([original.forward(x), imported.forward(x)]);
    expect(relativeError(actual, expected)).toBeLessThan(1e-8);
  });

  test('on the GPU, to the bit', async () => {
    const { original, imported, x } = await newRoundTrip('SmallCnn', gpu);
    const [expected, actual] = await readAll([original.forward(x), imported.forward(x)]);
    expect(actual).toEqual(expected);
  });

  test.each(names)('%s keeps names and shapes of its weights', async (name) => {
    const { original, imported } = await roundTrip(name);
    const sorted = (model: Module) => [...stateLayout(model)].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(sorted(imported)).toEqual(sorted(original));
    expect([...imported.namedBuffers().keys()].sort()).toEqual([...original.namedBuffers().keys()].sort());
  });

  test.each(names.filter((name) => onnxNets[name].isClassifier))(
    '%s gives the same heatmaps',
    async (name) => {
      const { original, imported, x } = await roundTrip(name);
      const options = { composite: isnetComposite(), target: 1 };
      const maps = [original, imported].map((model) => explain(model, x, options).relevance);
      const [expected, actual] = await readAll(maps);
      expect(Math.max(...expected)).toBeGreaterThan(0);
      expect(relativeError(actual, expected)).toBeLessThan(1e-7);
    },
  );

  test('composites see layers by their kinds', async () => {
    const { original, imported, x } = await roundTrip('DenseNet');
    const layersOf = (model: Module) =>
      compositeTable({ output: model.forward(x), input: x, composite: isnetComposite(), model })
        .map(({ kind, name }) => [kind, name])
        .filter(([kind]) => /Conv2d|Linear|BatchNorm2d/.test(kind));
    expect(layersOf(imported)).toEqual(layersOf(original));
    expect(layersOf(imported).length).toBeGreaterThan(5);
  });

  test('weights of one load into the other', async () => {
    const { device, imported } = await roundTrip('VisionTransformer');
    const other = filledNet(device, onnxNets.VisionTransformer);
    loadStateDict(other, new Map(await readTensors(imported.stateDict())));
    const again = importOnnx(await exportOnnx(imported, { input: onnxNets.VisionTransformer.input }), device);
    expect([...stateLayout(again).keys()].sort()).toEqual([...stateLayout(other).keys()].sort());
  });

  test('an imported network trains: BatchNorm and Dropout have both modes', async () => {
    const { imported, x } = await newRoundTrip('SmallCnn');
    const [a, b] = await readAll([imported.forward(x), imported.train().forward(x)]);
    expect(relativeError(b, a)).toBeGreaterThan(0.01);
  });

  test('metadata and the size of the input come with it', async () => {
    const device = new CpuDevice();
    const { input } = onnxNets.SmallCnn;
    const metadata = { classNames: '["a","b","c"]' };
    const model = importOnnx(
      await exportOnnx(filledNet(device, onnxNets.SmallCnn), { input, metadata }),
      device,
    );
    expect(model.metadata).toEqual(metadata);
    expect(model.inputShape).toEqual([null, ...input]);
    expect(() => model.forward(tensor(device, new Array(64).fill(0), [1, 1, 8, 8]))).toThrow(ShapeError);
    expect(() => model.forward(tensor(device, new Array(64).fill(0), [1, 1, 8, 8]))).toThrow(
      /is \[1, 1, 8, 8\] and the file takes \[N, 1, 10, 12\]; resize/,
    );
  });

  test('dispose gives everything back', async () => {
    const device = new CpuDevice();
    const original = filledNet(device, onnxNets.VisionTransformer);
    const bytes = await exportOnnx(original, { input: onnxNets.VisionTransformer.input });
    const before = device.memory().blockCount;
    importOnnx(bytes, device).dispose();
    expect(device.memory().blockCount).toBe(before);
  });
});

interface Golden {
  readonly shape: number[];
  readonly scores: number[][];
}

const golden = (name: string) => {
  const [{ value }] = goldenJson(`onnx_${name}`);
  const bytes = readFileSync(fileURLToPath(new URL(`golden/onnx_${name}.onnx`, import.meta.url)));
  const { shape, scores } = value as Golden;
  const count = shape.reduce((a, b) => a * b);
  const pixels = Array.from({ length: count }, (_, i) => 0.5 + 0.49 * Math.sin(2.3 * i + 0.4));
  return { bytes, shape, pixels, scores: scores.flat() };
};

describe("PyTorch's files", () => {
  test.each(['plain', 'block', 'attention'])('%s', async (name) => {
    const { bytes, shape, pixels, scores } = golden(name);
    const device = new CpuDevice();
    const model = importOnnx(bytes, device);
    const y = model.forward(tensor(device, pixels, shape));
    // The file has its weights in f32.
    expect(relativeError(await read(y), scores)).toBeLessThan(1e-6);
  });

  test.each(['plain', 'block', 'attention'])('%s can be explained', async (name) => {
    const { bytes, shape, pixels } = golden(name);
    const device = new CpuDevice();
    const composite = isnetComposite({ eps: 1e-9, bias: 'zero' });
    const model = importOnnx(bytes, device);
    const { relevance } = explain(model, tensor(device, pixels, shape), { target: 2, composite });
    const values = await read(relevance);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(1e-3);
  });

  test('become layers under the names that they had', () => {
    const kindsOf = (name: string) =>
      new Map(
        importOnnx(golden(name).bytes, new CpuDevice())
          .children()
          .map(([own, layer]) => [own, layer.constructor.name]),
      );
    const plain = kindsOf('plain');
    expect([plain.get('conv'), plain.get('fc')]).toEqual(['Conv2d', 'Linear']);
    const block = kindsOf('block');
    expect(['stem.0', 'stem.1', 'conv1', 'bn1', 'shortcut.1', 'head.1'].map((own) => block.get(own))).toEqual(
      ['Conv2d', 'BatchNorm2d', 'Conv2d', 'BatchNorm2d', 'BatchNorm2d', 'Linear'],
    );
    const attention = [...kindsOf('attention').values()];
    const count = (kind: string) => attention.filter((own) => own === kind).length;
    expect([count('Linear'), count('LayerNorm'), count('GELU')]).toEqual([5, 2, 1]);
  });
});

/** A file of one or a few nodes from 'x' [N, 2, 4, 4] to 'y'. */
function fileOf(
  nodes: readonly NodeDraft[],
  initializer: readonly TensorDraft[] = [],
  opset = 17,
): Uint8Array {
  return encode(modelSchema, {
    irVersion: 8,
    opsetImport: [{ version: opset }],
    graph: { nodes, initializer, input: [{ name: 'x' }], output: [{ name: 'y' }] },
  });
}

const ints = (name: string, values: readonly number[]) => ({ name, ints: values, type: attributeTypes.ints });
const int = (name: string, i: number) => ({ name, i, type: attributeTypes.int });
const one = (
  opType: string,
  input: readonly string[],
  attribute: NodeDraft['attribute'] = [],
): NodeDraft[] => [{ opType, name: 'it', input, output: ['y'], attribute }];

async function resultOf(bytes: Uint8Array, shape = [2, 2, 4, 4]) {
  const device = new CpuDevice();
  const x = Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  const y = importOnnx(bytes, device).forward(tensor(device, x, shape));
  return { x, shape: y.shape, y: await read(y) };
}

describe('single nodes', () => {
  test('a convolution pads unevenly, or as TensorFlow does', async () => {
    const weight = floatTensor('w', [1, 2, 3, 3], new Float32Array(18).fill(1));
    const uneven = await resultOf(fileOf(one('Conv', ['x', 'w'], [ints('pads', [0, 0, 1, 2])]), [weight]));
    expect(uneven.shape).toEqual([2, 1, 3, 4]);
    const strided = [
      ints('strides', [2, 2]),
      { name: 'auto_pad', s: new TextEncoder().encode('SAME_UPPER') },
    ];
    const same = await resultOf(fileOf(one('Conv', ['x', 'w'], strided), [weight]));
    expect(same.shape).toEqual([2, 1, 2, 2]);
    // Rows and columns 2, 3 and the padding behind them, of both channels.
    const sum = [10, 11, 14, 15, 26, 27, 30, 31].reduce((total, i) => total + same.x[i], 0);
    expect(same.y[3]).toBeCloseTo(sum, 6);
  });

  test('Gemm scales its parts, and takes the weight either way round', async () => {
    const weight = floatTensor(
      'w',
      [32, 2],
      Float32Array.from({ length: 64 }, (_, i) => Math.cos(i)),
    );
    const bias = floatTensor('b', [2], [1, 2]);
    const nodes = [
      { opType: 'Flatten', name: 'flat', input: ['x'], output: ['f'] },
      ...one(
        'Gemm',
        ['f', 'w', 'b'],
        [
          { name: 'alpha', f: 0.5 },
          { name: 'beta', f: 3 },
        ],
      ),
    ];
    const { x, y } = await resultOf(fileOf(nodes, [weight, bias]));
    const expected = x.slice(0, 32).reduce((sum, value, i) => sum + value * Math.fround(Math.cos(2 * i)), 0);
    expect(y[0]).toBeCloseTo(0.5 * expected + 3, 6);
  });

  test('Slice counts from the end and is cut off there', async () => {
    const lists = [intTensor('starts', [-3]), intTensor('ends', [2 ** 53]), intTensor('axes', [-1])];
    const { shape, x, y } = await resultOf(fileOf(one('Slice', ['x', 'starts', 'ends', 'axes']), lists));
    expect(shape).toEqual([2, 2, 4, 3]);
    expect([...y.slice(0, 3)]).toEqual(x.slice(1, 4));
  });

  test.each([['Split', [['x']], [[2, 2, 4, 2]]]])('%s makes several values', async (op) => {
    const node: NodeDraft = {
      opType: op,
      name: 'it',
      input: ['x'],
      output: ['a', 'y'],
      attribute: [int('axis', 3)],
    };
    const { shape, x, y } = await resultOf(fileOf([node]));
    expect(shape).toEqual([2, 2, 4, 2]);
    expect([...y.slice(0, 2)]).toEqual(x.slice(2, 4));
  });

  test('a part of a graph can be the model', () => {
    const nodes = [
      { opType: 'Relu', name: 'a', input: ['x'], output: ['h'] },
      { opType: 'Softmax', name: 'b', input: ['h'], output: ['y'] },
    ];
    const device = new CpuDevice();
    expect(importOnnx(fileOf(nodes), device).children().length).toBe(1);
    expect(
      importOnnx(fileOf(nodes), device, { output: 'h' })
        .children()
        .map(([name]) => name),
    ).toEqual(['a']);
    expect(() => importOnnx(fileOf(nodes), device, { output: 'z' })).toThrow(
      /no node makes 'z'; .* outputs are y/,
    );
  });
});

describe('what cannot be imported is named', () => {
  const weight = floatTensor('w', [1, 2, 3], new Float32Array(6));
  test.each<[string, Uint8Array, RegExp]>([
    [
      'an op',
      fileOf(one('LSTM', ['x'])),
      /^import: node 'it' \(op 'LSTM'\) cannot be imported; replace the op/,
    ],
    [
      'an op of somebody else',
      fileOf([{ ...one('Gelu', ['x'])[0], domain: 'com.microsoft' }]),
      /'com\.microsoft\.Gelu'/,
    ],
    ['a 1D convolution', fileOf(one('Conv', ['x', 'w']), [weight]), /has the kernel \[1, 2, 3\]; only 2D/],
    ['weights from the image', fileOf(one('Conv', ['x', 'x'])), /takes 'x' from the image; only layers with/],
    [
      'uneven pooling',
      fileOf(one('MaxPool', ['x'], [ints('kernel_shape', [2, 2]), ints('pads', [0, 0, 1, 1])])),
      /pads unevenly/,
    ],
    ['an old opset', fileOf(one('Relu', ['x']), [], 6), /of opset 6; export it with opset 7 or later/],
    ['a missing weight', fileOf(one('Conv', ['x', 'v'])), /takes 'v' from the image/],
    ['no graph', encode(modelSchema, { irVersion: 8 }), /no graph with nodes/],
    [
      'steps',
      fileOf(one('Slice', ['x', 'a', 'b', 'a', 's']), [
        intTensor('a', [1]),
        intTensor('b', [2]),
        intTensor('s', [2]),
      ]),
      /takes steps of 2/,
    ],
    ['a shape from pixels', fileOf(one('Reshape', ['x', 'x'])), /takes its shape from the image/],
    [
      'another batch',
      fileOf(one('Reshape', ['x', 's']), [intTensor('s', [1, 32])]),
      /makes \[1, 32\] of \[2, 2, 4, 4\]; export the model with a dynamic/,
    ],
    [
      'windows that stick out',
      fileOf(
        one(
          'AveragePool',
          ['x'],
          [ints('kernel_shape', [3, 3]), ints('strides', [2, 2]), int('ceil_mode', 1)],
        ),
      ),
      /stick out of \[2, 2, 4, 4\]/,
    ],
  ])('%s', async (_, bytes, message) => {
    await expect(async () => resultOf(bytes)).rejects.toThrow(CheckpointError);
    await expect(async () => resultOf(bytes)).rejects.toThrow(message);
  });

  test('a damaged file, wherever it ends and whatever bit is wrong', async () => {
    const { bytes } = golden('plain');
    const device = new CpuDevice();
    const importIt = (damaged: Uint8Array) => {
      try {
        importOnnx(damaged, device).dispose();
      } catch (error) {
        if (!(error instanceof IsnetError)) throw error;
        return error.message;
      }
      return '';
    };
    for (let length = 0; length < bytes.length; length += 37) {
      expect(importIt(bytes.subarray(0, length)), `${length} bytes`).toMatch(/^import: .+; .+/);
    }
    for (let i = 0; i < bytes.length; i += 11) {
      const damaged = Uint8Array.from(bytes);
      damaged[i] ^= 1 << (i % 8);
      importIt(damaged);
    }
    expect(importIt(new TextEncoder().encode('<!doctype html>'))).toMatch(/no ONNX file, or a damaged one/);
  });
});
