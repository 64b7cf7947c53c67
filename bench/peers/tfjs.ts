// TensorFlow.js as a peer, on WebGPU or on WebAssembly.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { waitPolitely } from '../../engine/patience.ts';
import { cnnBatch, cnnParameters, operand } from '../data.ts';
import { cnn, cnnLayers, convShapes } from '../shapes.ts';
import { LEARNING_RATE, operandShapes, type Work } from './cases.ts';
import { CHECKED_STEPS } from './expected.ts';
import { provideGpu, watchErrors } from './gpu.ts';
import {
  FROM_CHANNELS_LAST,
  FROM_FILTERS_LAST,
  permuted,
  TO_CHANNELS_LAST,
  TO_FILTERS_LAST,
} from './layout.ts';
import type { Peer, Prepared } from './peer.ts';

/** The part of @tensorflow/tfjs that is used here. The core alone has no gradients in its bundle for Node. */
interface Tf {
  readonly version_core: string;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  backend(): WebGpuBackend | object;
  tensor(values: ArrayLike<number>, shape: readonly number[], dtype?: string): TfTensor;
  variable(x: TfTensor): TfTensor;
  tidy<T>(fn: () => T): T;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
  add(a: TfTensor, b: TfTensor): TfTensor;
  mul(x: TfTensor, factor: number): TfTensor;
  div(x: TfTensor, divisor: number): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  square(x: TfTensor): TfTensor;
  sum(x: TfTensor): TfTensor;
  softmax(x: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  oneHot(labels: TfTensor, depth: number): TfTensor;
  conv2d(x: TfTensor, w: TfTensor, stride: number, padding: number): TfTensor;
  maxPool(x: TfTensor, size: number, stride: number, padding: 'valid'): TfTensor;
  engine(): { runKernel(name: string, inputs: object, attrs: object): TfTensor };
  grad(fn: (x: TfTensor) => TfTensor): (x: TfTensor) => TfTensor;
  readonly losses: { softmaxCrossEntropy(targets: TfTensor, logits: TfTensor): TfTensor };
  readonly train: { sgd(rate: number): { minimize(fn: () => TfTensor, returnCost: boolean): TfTensor } };
}

interface TfTensor {
  readonly shape: number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}

interface WebGpuBackend {
  readonly device: GPUDevice;
  readonly commandEncoder: GPUCommandEncoder | null;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

export async function openTfjs(backend: 'webgpu' | 'wasm'): Promise<Peer> {
  // Their bundles for Node: the modules leave out the endings that Node insists on.
  const require = createRequire(import.meta.url);
  const computesOn = backend === 'webgpu' ? await provideGpu() : 'WebAssembly';
  const tf: Tf = require('@tensorflow/tfjs');
  const plugin = require(`@tensorflow/tfjs-backend-${backend}`);
  if (backend === 'wasm') {
    plugin.setWasmPaths(`${join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')))}/`);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} does not start`);
  await tf.ready();
  const finish = finisher(tf.backend());
  return {
    version: tf.version_core,
    computesOn,
    prepare: async (work) =>
      work.kind === 'train' ? prepareTraining(tf, work.hasPenalty, finish) : prepareOp(tf, work, finish),
  };
}

type Finish = () => Promise<void>;

function finisher(backend: WebGpuBackend | object): Finish {
  // WebAssembly has computed when it returns.
  if (!('submitQueue' in backend)) return async () => {};
  const check = watchErrors(backend.device);
  return async () => {
    // As their own readback does before it submits.
    backend.endComputePassEncoder();
    if (backend.commandEncoder) backend.submitQueue();
    // With the same patience as ours: their own busy wait would take a core from a software adapter.
    await waitPolitely(backend.device.queue.onSubmittedWorkDone());
    check();
  };
}

function prepareOp(tf: Tf, work: Exclude<Work, { kind: 'train' }>, finish: Finish): Prepared {
  const { operands, call, axes, order } = opOf(tf, work);
  return {
    async run(count) {
      for (let i = 0; i < count; i++) tf.tidy(call).dispose();
      await finish();
    },
    async result() {
      const y = tf.tidy(call);
      const values = await waitPolitely(y.data());
      const shape = y.shape;
      y.dispose();
      return order ? permuted(values, axes ?? shape, order) : values;
    },
    close() {
      for (const t of operands) t.dispose();
    },
  };
}

interface TfOp {
  readonly operands: readonly TfTensor[];
  readonly call: () => TfTensor;
  /** Order of axes that brings the result, of shape `axes` or its own, into our layout. */
  readonly order?: readonly number[];
  readonly axes?: readonly number[];
}

function opOf(tf: Tf, work: Exclude<Work, { kind: 'train' }>): TfOp {
  if (work.kind === 'conv') return convOf(tf, work);
  const operands = operandShapes(work).map((shape, i) => tf.tensor(operand(i, shape), shape));
  const [a, b] = operands;
  switch (work.kind) {
    case 'matmul':
      return { operands, call: () => tf.matMul(a, b) };
    case 'add':
      return { operands, call: () => tf.add(a, b) };
    case 'softmax':
      return { operands, call: () => tf.softmax(a) };
    case 'chain':
      return {
        operands,
        call() {
          let total = a;
          for (let i = 0; i < work.length; i++) total = tf.add(total, b);
          return total;
        },
      };
  }
}

/** Channels last, which is the only layout that all of their backends have. */
function convOf(tf: Tf, work: Extract<Work, { kind: 'conv' }>): TfOp {
  const { kernel, stride } = work.sizes;
  const { x, w, padding } = convShapes(work.sizes);
  const toTf = (index: number, order: readonly number[]) => {
    const shape = operandShapes(work)[index];
    const sizes = order.map((axis) => shape[axis]);
    return tf.tensor(permuted(operand(index, shape), shape, order), sizes);
  };
  const attrs = { strides: [stride, stride], pad: padding, dataFormat: 'NHWC' };
  switch (work.direction) {
    case 'forward': {
      const operands = [toTf(0, TO_CHANNELS_LAST), toTf(1, TO_FILTERS_LAST)];
      const call = () => tf.conv2d(operands[0], operands[1], stride, padding);
      return { operands, call, order: FROM_CHANNELS_LAST };
    }
    case 'input gradient': {
      const operands = [toTf(0, TO_CHANNELS_LAST), toTf(1, TO_FILTERS_LAST)];
      const inputShape = TO_CHANNELS_LAST.map((axis) => x[axis]);
      const inputs = { dy: operands[0], filter: operands[1] };
      const call = () => tf.engine().runKernel('Conv2DBackpropInput', inputs, { ...attrs, inputShape });
      return { operands, call, order: FROM_CHANNELS_LAST };
    }
    case 'weight gradient': {
      const operands = [toTf(0, TO_CHANNELS_LAST), toTf(1, TO_CHANNELS_LAST)];
      const filterShape = [kernel, kernel, w[1], w[0]];
      const inputs = { x: operands[0], dy: operands[1] };
      const call = () => tf.engine().runKernel('Conv2DBackpropFilter', inputs, { ...attrs, filterShape });
      return { operands, call, order: FROM_FILTERS_LAST };
    }
  }
}

function prepareTraining(tf: Tf, hasPenalty: boolean, finish: Finish): Prepared {
  const { N, C, size, pools, classCount } = cnn;
  const { images, labels } = cnnBatch(N);
  const x = tf.tensor(permuted(images, [N, C, size, size], TO_CHANNELS_LAST), [N, size, size, C]);
  const targets = tf.tidy(() => tf.oneHot(tf.tensor(labels, [N], 'int32'), classCount));
  const parameters = tfParameters(tf);
  const logitsOf = (input: TfTensor): TfTensor => {
    let y = input;
    pools.forEach((pool, i) => {
      y = tf.relu(tf.add(tf.conv2d(y, parameters[2 * i], 1, 1), parameters[2 * i + 1]));
      if (pool > 1) y = tf.maxPool(y, pool, pool, 'valid');
    });
    return tf.add(
      tf.matMul(tf.reshape(y, [N, -1]), parameters[2 * pools.length]),
      parameters[2 * pools.length + 1],
    );
  };
  const lossOf = (input: TfTensor) => tf.losses.softmaxCrossEntropy(targets, logitsOf(input));
  const total = (): TfTensor => {
    const loss = lossOf(x);
    if (!hasPenalty) return loss;
    const g = tf.grad((input) => tf.mul(lossOf(input), N))(x);
    return tf.add(loss, tf.div(tf.sum(tf.square(g)), N));
  };
  const optimizer = tf.train.sgd(LEARNING_RATE);
  const step = () => optimizer.minimize(total, true);
  return {
    async run(count) {
      for (let i = 0; i < count; i++) step().dispose();
      await finish();
    },
    async result() {
      const losses: number[] = [];
      while (losses.length < CHECKED_STEPS) {
        const loss = step();
        losses.push((await waitPolitely(loss.data()))[0]);
        loss.dispose();
      }
      return losses;
    },
    close() {
      for (const t of [x, targets, ...parameters]) t.dispose();
    },
  };
}

/** Variables with the common start values, in their layout; the last weight reads features with channels last. */
function tfParameters(tf: Tf): TfTensor[] {
  const values = cnnParameters();
  return cnnLayers.flatMap(({ weight, bias }, i) => {
    const [w, b] = [values[2 * i], values[2 * i + 1]];
    const isConv = weight.length === 4;
    const channels = cnn.widths[cnn.widths.length - 1];
    const side = Math.sqrt(weight[1] / channels);
    // [classes, C, H, W] to [H, W, C, classes]
    const shape = isConv ? weight : [weight[0], channels, side, side];
    const sizes = isConv ? TO_FILTERS_LAST.map((axis) => weight[axis]) : [weight[1], weight[0]];
    return [
      tf.variable(tf.tensor(permuted(w, shape, TO_FILTERS_LAST), sizes)),
      tf.variable(tf.tensor(b, bias)),
    ];
  });
}
