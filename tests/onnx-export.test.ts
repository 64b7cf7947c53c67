// Exported files are judged by onnxruntime: it must read them, and compute what we compute.
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { permute, slice } from '../engine/ops/layout.ts';
import { stabilizedDivide } from '../engine/ops/pointwise.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { exportOnnx, OPSET } from '../isnet/onnx/export.ts';
import { readGraph } from '../isnet/onnx/graph-reader.ts';
import { isConstantName } from '../isnet/onnx/graph-writer.ts';
import { decode } from '../isnet/onnx/protobuf.ts';
import { modelSchema } from '../isnet/onnx/schema.ts';
import { createModel } from '../nn/models/index.ts';
import { Module } from '../nn/module.ts';
import { stateLayout } from '../nn/state-dict.ts';
import { relativeError } from './golden-flex.ts';
import { withGpu } from './gpu.ts';
import { filledNet, imagesFor, type OnnxCase, onnxNets, upload } from './onnx-nets.ts';
import { runOnnx } from './onnx-runtime.ts';
import { isThorough } from './thorough.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const names = Object.keys(onnxNets);
const cpuNet = (name: string) => filledNet(new CpuDevice(), onnxNets[name]);
const exported = (name: string, metadata = {}) =>
  exportOnnx(cpuNet(name), { input: onnxNets[name].input, metadata });

/** Largest difference of the logits that onnxruntime and the model give, in units of the largest. */
async function runtimeError(model: Module, net: OnnxCase, count: number): Promise<number> {
  const [{ device }] = model.parameters();
  const { values, shape } = imagesFor(net, count);
  const { dims, data } = await runOnnx(await exportOnnx(model, { input: net.input }), values, shape);
  const logits = model.eval().forward(upload(device, { values, shape }));
  expect(dims).toEqual(logits.shape);
  return relativeError(data, await read(logits));
}

describe('onnxruntime computes what the model computes', () => {
  test.each(names)('%s', async (name) => {
    // The size of the batch is none of the file's.
    for (const count of [1, 3]) {
      expect(await runtimeError(cpuNet(name), onnxNets[name], count)).toBeLessThan(1e-5);
    }
  });

  test('on the GPU, too', async () => {
    expect(await runtimeError(filledNet(gpu, onnxNets.SmallCnn), onnxNets.SmallCnn, 2)).toBeLessThan(1e-5);
  });

  // Half a gigabyte of weights, hence not every time.
  test.runIf(isThorough)(
    'a VGG at full size, its first dense layer in blocks',
    { timeout: 120_000 },
    async () => {
      const net: OnnxCase = {
        make: (init) => createModel('vgg11_bn', init, { classes: 3 }),
        input: [3, 64, 64],
        isClassifier: true,
      };
      expect(await runtimeError(filledNet(gpu, net), net, 1)).toBeLessThan(1e-5);
    },
  );

  test('after training, too: as in evaluation, and the mode stays', async () => {
    const model = cpuNet('SmallCnn').train();
    await exportOnnx(model, { input: onnxNets.SmallCnn.input });
    expect(model.namedModules().every(([, module]) => module.isTraining)).toBe(true);
    expect(await runtimeError(model, onnxNets.SmallCnn, 2)).toBeLessThan(1e-5);
  });
});

describe('the file', () => {
  test.each(names)('of %s has every weight under its name and as it is', async (name) => {
    const model = cpuNet(name);
    const { numbers } = readGraph(await exported(name));
    for (const [weight, shape] of stateLayout(model)) {
      expect(numbers.get(weight)?.shape, weight).toEqual(shape);
    }
    const others = [...numbers.keys()].filter((weight) => !stateLayout(model).has(weight));
    for (const other of others) expect(isConstantName(other)).toBe(true);
  });

  test('is one node per layer', async () => {
    const { nodes } = readGraph(await exported('ResNet of basic blocks'));
    const ops = nodes.map(({ op }) => op);
    const count = (op: string) => ops.filter((own) => own === op).length;
    expect([...new Set(ops)].sort()).toEqual(
      ['Add', 'BatchNormalization', 'Conv', 'Flatten', 'Gemm', 'GlobalAveragePool', 'MaxPool', 'Relu'].sort(),
    );
    expect([count('Conv'), count('BatchNormalization'), count('Relu'), count('Add')]).toEqual([6, 6, 5, 2]);
    expect(nodes.slice(0, 2).map(({ name }) => name)).toEqual(['conv1', 'bn1']);
  });

  test('has leaky ReLUs as the nodes that they are', async () => {
    const { nodes } = readGraph(await exported('a leaky DenseNet'));
    const leaky = nodes.filter(({ op }) => op === 'LeakyRelu');
    // One before each of six convolutions but the first, and one before the head.
    expect(leaky).toHaveLength(7);
    for (const node of leaky) expect(node.float('alpha')).toBeCloseTo(0.1, 7);
    expect(leaky.map(({ name }) => name)).toContain('features.denseblock1.denselayer1.relu2');
    expect(nodes.filter(({ op }) => /^P?Relu$/.test(op))).toEqual([]);
  });

  test('says who made it, for which opset, and what goes in and out', async () => {
    const input = onnxNets.SmallCnn.input;
    const bytes = await exportOnnx(cpuNet('SmallCnn'), { input, producerVersion: '1.2.3', name: 'digits' });
    const model = decode(modelSchema, bytes, 'test');
    expect(model).toMatchObject({ irVersion: 8, producerName: 'isnet-webgpu', producerVersion: '1.2.3' });
    expect(model.opsetImport).toEqual([{ domain: '', version: OPSET }]);
    expect(model.graph?.name).toBe('digits');
    const sizes = (side: 'input' | 'output') =>
      model.graph?.[side].map(({ name, type }) => [
        name,
        ...(type?.tensorType?.shape?.dim.map(({ value, param }) => value ?? param) ?? []),
      ]);
    expect(sizes('input')).toEqual([['input', 'batch', 1, 10, 12]]);
    expect(sizes('output')).toEqual([['logits', 'batch', 3]]);
  });

  test('carries its metadata', async () => {
    const metadata = { classNames: JSON.stringify(['0', 'größer']), inputRange: '[0,1]' };
    expect(readGraph(await exported('SmallCnn', metadata)).metadata).toEqual(metadata);
  });

  test('is the same each time', async () => {
    expect(await exported('VisionTransformer')).toEqual(await exported('VisionTransformer'));
  });
});

/** A model of ops and nothing else. */
class OpsOnly extends Module {
  readonly fn: (x: Tensor) => Tensor;

  constructor(fn: (x: Tensor) => Tensor) {
    super();
    this.fn = fn;
  }

  forward(x: Tensor): Tensor {
    return this.fn(x);
  }
}

describe('a forward pass that is code', () => {
  const input = [2, 4, 4];
  const image = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));

  test('is exported op by op', async () => {
    const model = new OpsOnly((x) => add(mul(x, 2), permute(x, [0, 1, 3, 2])));
    const { data } = await runOnnx(await exportOnnx(model, { input }), image, [2, ...input]);
    const device = new CpuDevice();
    const expected = await read(model.forward(upload(device, { values: image, shape: [2, ...input] })));
    expect(relativeError(data, expected)).toBeLessThan(1e-6);
  });

  test('may give its input back', async () => {
    const { data } = await runOnnx(await exportOnnx(new OpsOnly((x) => x), { input }), image, [2, ...input]);
    expect(data).toEqual(image);
  });

  test('leaves nothing behind on the device', async () => {
    const model = cpuNet('VisionTransformer');
    const { device } = model.parameters()[0];
    const export_ = () => exportOnnx(model, { input: onnxNets.VisionTransformer.input });
    await export_();
    const before = device.memory().blockCount;
    await export_();
    expect(device.memory().blockCount).toBe(before);
  });

  test('with an op that ONNX has not is an error that names it', async () => {
    const model = new OpsOnly((x) => stabilizedDivide(x, x, 1e-2));
    await expect(exportOnnx(model, { input })).rejects.toThrow(UsageError);
    await expect(exportOnnx(model, { input })).rejects.toThrow(
      /^onnx: op 'stabilizedDivide' cannot be exported; use layers of nn/,
    );
  });

  test('that picks samples of the batch is an error', async () => {
    const model = new OpsOnly((x) => slice(x, [1, 0, 0, 0], [x.shape[0] - 1, 2, 4, 4]));
    await expect(exportOnnx(model, { input })).rejects.toThrow(/sizes in proportion to the batch/);
  });
});
