// jax-js as a peer. Every use of an array consumes it unless it is taken by `.ref`.
import { waitPolitely } from '../../engine/patience.ts';
import { cnnBatch, cnnParameters, operand } from '../data.ts';
import { cnn, cnnLayers, convShapes } from '../shapes.ts';
import { LEARNING_RATE, operandShapes, type Work } from './cases.ts';
import { CHECKED_STEPS } from './expected.ts';
import { provideGpu, watchErrors } from './gpu.ts';
import { type Peer, type Prepared, versionOf } from './peer.ts';

interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: number[];
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  sum(axis?: number | number[]): JaxArray;
  mean(): JaxArray;
  max(axis: number[]): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

type Fn = (...args: JaxArray[]) => JaxArray;
type Padding = readonly (readonly [number, number])[];

/** The part of @jax-js/jax that is used here. */
interface Jax {
  init(backend: 'webgpu'): Promise<string[]>;
  defaultDevice(backend: 'webgpu'): void;
  getWebGPUDevice(): GPUDevice;
  blockUntilReady(x: readonly JaxArray[]): Promise<unknown>;
  jit<Args extends unknown[], Out>(fn: (...args: Args) => Out): (...args: Args) => Out;
  grad(fn: Fn): Fn;
  valueAndGrad(fn: (parameters: JaxArray[]) => JaxArray): (parameters: JaxArray[]) => [JaxArray, JaxArray[]];
  readonly numpy: {
    array(values: Float32Array, options: { shape: readonly number[] }): JaxArray;
    matmul: Fn;
  };
  readonly nn: {
    relu: Fn;
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
  };
  readonly lax: {
    convGeneralDilated(x: JaxArray, w: JaxArray, strides: readonly number[], padding: Padding): JaxArray;
  };
}

// What jax-js has not yet computed it computes when somebody waits for it, so results are held until then.
const MOST_HELD_BYTES = 2 ** 28;

export async function openJax(): Promise<Peer> {
  const computesOn = await provideGpu();
  const name = '@jax-js/jax';
  const jax: Jax = await import(name);
  await jax.init('webgpu');
  jax.defaultDevice('webgpu');
  const check = watchErrors(jax.getWebGPUDevice());
  return {
    version: versionOf(name),
    computesOn,
    async prepare(work) {
      const prepared = work.kind === 'train' ? prepareTraining(jax, work.hasPenalty) : prepareOp(jax, work);
      return { ...prepared, run: (count) => prepared.run(count).then(check) };
    },
  };
}

async function settle(jax: Jax, results: JaxArray[]): Promise<void> {
  await waitPolitely(jax.blockUntilReady(results));
  for (const y of results.splice(0)) y.dispose();
}

function prepareOp(jax: Jax, work: Exclude<Work, { kind: 'train' }>): Prepared {
  const operands = operandShapes(work).map((shape, i) => jax.numpy.array(operand(i, shape), { shape }));
  const op = opOf(jax, work);
  const call = () => op(...operands.map((t) => t.ref));
  return {
    async run(count) {
      const results: JaxArray[] = [];
      let bytes = 0;
      for (let i = 0; i < count; i++) {
        const y = call();
        bytes += 4 * y.shape.reduce((a, b) => a * b, 1);
        results.push(y);
        if (bytes < MOST_HELD_BYTES) continue;
        await settle(jax, results);
        bytes = 0;
      }
      await settle(jax, results);
    },
    result: () => waitPolitely(call().data()),
    close() {
      for (const t of operands) t.dispose();
    },
  };
}

function opOf(jax: Jax, work: Exclude<Work, { kind: 'train' }>): Fn {
  switch (work.kind) {
    case 'matmul':
      return jax.jit((a: JaxArray, b: JaxArray) => jax.numpy.matmul(a, b));
    case 'conv':
      return convOf(jax, work);
    case 'add':
      return jax.jit((a: JaxArray, b: JaxArray) => a.add(b));
    case 'softmax':
      return jax.jit((a: JaxArray) => jax.nn.softmax(a, -1));
    case 'chain': {
      const chain = (a: JaxArray, b: JaxArray) => {
        let total = a;
        for (let i = 0; i < work.length; i++) total = total.add(b.ref);
        b.dispose();
        return total;
      };
      return work.isCompiled ? jax.jit(chain) : chain;
    }
  }
}

function convOf(jax: Jax, work: Extract<Work, { kind: 'conv' }>): Fn {
  const { stride } = work.sizes;
  const { x: xShape, w: wShape, padding } = convShapes(work.sizes);
  const conv = (x: JaxArray, w: JaxArray) =>
    jax.lax.convGeneralDilated(
      x,
      w,
      [stride, stride],
      [
        [padding, padding],
        [padding, padding],
      ],
    );
  if (work.direction === 'forward') return jax.jit(conv);
  // The convolution is linear in either operand, so where its gradient is taken makes no difference; the values there are
  // not computed, because `jit` leaves out what nothing needs.
  const zeros = (shape: readonly number[]) =>
    jax.numpy.array(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape });
  const at = zeros(work.direction === 'input gradient' ? xShape : wShape);
  const gradient = jax.jit((point: JaxArray, a: JaxArray, b: JaxArray) =>
    work.direction === 'input gradient'
      ? jax.grad((x) => conv(x, b).mul(a).sum())(point)
      : jax.grad((w) => conv(a, w).mul(b).sum())(point),
  );
  return (a, b) => gradient(at.ref, a, b);
}

function prepareTraining(jax: Jax, hasPenalty: boolean): Prepared {
  const { N, C, size, pools, classCount } = cnn;
  const { images, labels } = cnnBatch(N);
  const oneHot = new Float32Array(N * classCount);
  labels.forEach((label, n) => {
    oneHot[n * classCount + label] = 1;
  });
  const x = jax.numpy.array(images, { shape: [N, C, size, size] });
  const targets = jax.numpy.array(oneHot, { shape: [N, classCount] });
  const shapes = cnnLayers.flatMap(({ weight, bias }) => [weight, bias]);
  let parameters = cnnParameters().map((values, i) => jax.numpy.array(values, { shape: shapes[i] }));
  const lossOf = (input: JaxArray, goal: JaxArray, [...p]: JaxArray[]): JaxArray => {
    let y = input;
    let [channels, side]: [number, number] = [C, size];
    pools.forEach((pool, i) => {
      channels = cnn.widths[i];
      y = jax.lax.convGeneralDilated(
        y,
        p[2 * i].ref,
        [1, 1],
        [
          [1, 1],
          [1, 1],
        ],
      );
      y = jax.nn.relu(y.add(p[2 * i + 1].ref.reshape([channels, 1, 1])));
      if (pool > 1) {
        side /= pool;
        y = y.reshape([N, channels, side, pool, side, pool]).max([3, 5]);
      }
    });
    const logits = jax.numpy
      .matmul(y.reshape([N, -1]), p[2 * pools.length].ref.transpose())
      .add(p[2 * pools.length + 1].ref);
    return jax.nn
      .logSoftmax(logits, -1)
      .mul(goal)
      .sum()
      .mul(-1 / N);
  };
  const step = jax.jit((now: JaxArray[], input: JaxArray, goal: JaxArray) => {
    // By closure and not as further arguments, through which jax-js stops the gradient.
    const total = (p: JaxArray[]): JaxArray => {
      const loss = lossOf(input.ref, goal.ref, p);
      if (!hasPenalty) return loss;
      const g = jax.grad((image) => lossOf(image, goal.ref, p).mul(N))(input.ref);
      return loss.add(
        g.ref
          .mul(g)
          .sum()
          .mul(1 / N),
      );
    };
    const [loss, gradients] = jax.valueAndGrad(total)(now.map((p) => p.ref));
    return [loss, now.map((p, i) => p.sub(gradients[i].mul(LEARNING_RATE)))] as const;
  });
  const advance = (): JaxArray => {
    const [loss, next] = step(parameters, x.ref, targets.ref);
    parameters = next;
    return loss;
  };
  return {
    async run(count) {
      for (let i = 0; i < count; i++) {
        const loss = advance();
        // The next step consumes the parameters; the loss is only waited for at the end.
        if (i < count - 1) loss.dispose();
        else await settle(jax, [loss]);
      }
      await waitPolitely(jax.blockUntilReady(parameters));
    },
    async result() {
      const losses: number[] = [];
      while (losses.length < CHECKED_STEPS) losses.push((await waitPolitely(advance().data()))[0]);
      return losses;
    },
    close() {
      for (const t of [x, targets, ...parameters]) t.dispose();
    },
  };
}
