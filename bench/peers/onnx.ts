// ONNX Runtime as a peer: its own CPU kernels, or its WebGPU provider with a Dawn of its own.
import { createRequire } from 'node:module';
import { waitPolitely } from '../../engine/patience.ts';
import { operand } from '../data.ts';
import { convShapes } from '../shapes.ts';
import { operandShapes, type Work } from './cases.ts';
import { type OnnxGraph, type OnnxNode, onnxModel } from './onnx-model.ts';
import { type Peer, type Prepared, versionOf } from './peer.ts';

interface OnnxTensor {
  readonly data: Float32Array;
}

interface Session {
  run(feeds: Record<string, OnnxTensor>): Promise<Record<string, OnnxTensor>>;
  release(): Promise<void>;
}

/** The part of onnxruntime-node that is used here. */
interface Ort {
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => OnnxTensor;
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: { executionProviders: string[]; logSeverityLevel: number },
    ): Promise<Session>;
  };
}

const ERRORS_ONLY = 3;

export async function openOnnx(provider: 'cpu' | 'webgpu'): Promise<Peer> {
  const ort: Ort = createRequire(import.meta.url)('onnxruntime-node');
  const open = (model: Uint8Array) =>
    ort.InferenceSession.create(model, { executionProviders: [provider], logSeverityLevel: ERRORS_ONLY });
  // Says at once, and not in every row, when there is no adapter for it.
  await (await open(onnxModel(graphOf({ kind: 'add', count: 1 })))).release();
  return {
    version: versionOf('onnxruntime-node'),
    computesOn:
      provider === 'cpu' ? 'the CPU, native code' : 'the first Vulkan adapter, by a Dawn of its own',
    prepare: (work) => prepareOp(ort, open, work, provider),
  };
}

async function prepareOp(
  ort: Ort,
  open: (model: Uint8Array) => Promise<Session>,
  work: Work,
  provider: 'cpu' | 'webgpu',
): Promise<Prepared> {
  if (work.kind === 'train') throw new Error('has no training');
  const graph = graphOf(work);
  const session = await open(onnxModel(graph));
  const shapes = Object.entries(graph.inputs);
  const feeds = Object.fromEntries(
    shapes.map(([name, shape], i) => [name, new ort.Tensor('float32', operand(i, shape), shape)]),
  );
  // The provider waits for Dawn in a thread of its own, the CPU's kernels need no waiting.
  const call = () => (provider === 'webgpu' ? waitPolitely(session.run(feeds)) : session.run(feeds));
  return {
    async run(count) {
      for (let i = 0; i < count; i++) await call();
    },
    result: async () => (await call())[graph.output.name].data,
    close: () => void session.release(),
  };
}

function graphOf(work: Exclude<Work, { kind: 'train' }>): OnnxGraph {
  const [a, b] = operandShapes(work);
  const inputs: OnnxGraph['inputs'] = b ? { a, b } : { a };
  const single = (node: Omit<OnnxNode, 'output' | 'inputs'>, shape: readonly number[]): OnnxGraph => ({
    nodes: [{ ...node, inputs: Object.keys(inputs), output: 'y' }],
    inputs,
    output: { name: 'y', shape },
  });
  switch (work.kind) {
    case 'matmul':
      return single({ op: 'MatMul' }, [work.sizes.M, work.sizes.N]);
    case 'add':
      return single({ op: 'Add' }, a);
    case 'softmax':
      return single({ op: 'Softmax' }, a);
    case 'conv': {
      const { stride, kernel } = work.sizes;
      const { x, y, padding } = convShapes(work.sizes);
      const attributes = { pads: [padding, padding, padding, padding], strides: [stride, stride] };
      if (work.direction === 'forward') return single({ op: 'Conv', attributes }, y);
      if (work.direction === 'weight gradient') throw new Error('has no gradients');
      // What the last windows do not reach: the output would be that much smaller.
      const rest = x[2] - ((y[2] - 1) * stride - 2 * padding + kernel);
      return single({ op: 'ConvTranspose', attributes: { ...attributes, output_padding: [rest, rest] } }, x);
    }
    case 'chain': {
      const nodes = Array.from({ length: work.length }, (_, i) => ({
        op: 'Add',
        inputs: [i === 0 ? 'a' : `t${i - 1}`, 'b'],
        output: i === work.length - 1 ? 'y' : `t${i}`,
      }));
      return { nodes, inputs, output: { name: 'y', shape: a } };
    }
  }
}
