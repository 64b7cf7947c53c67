// This library as a peer, through the same functions that users call: op by op, and as a captured step.
import { capture } from '../../engine/capture.ts';
import { read, readScalar, tensor } from '../../engine/create.ts';
import { UsageError } from '../../engine/errors.ts';
import type { GpuDevice } from '../../engine/gpu-device.ts';
import { openDevice } from '../../engine/node-device.ts';
import { add } from '../../engine/ops/arithmetic.ts';
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../../engine/ops/conv.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { pairOf } from '../../engine/ops/pair.ts';
import { softmax } from '../../engine/ops/softmax.ts';
import { packageVersion } from '../../engine/package-version.ts';
import { waitPolitely } from '../../engine/patience.ts';
import { scope, withoutRecording } from '../../engine/scope.ts';
import { release, type Tensor } from '../../engine/tensor.ts';
import { SGD } from '../../nn/optim.ts';
import { type CnnBatch, cnnGradients, newCnn, uploadCnnBatch } from '../cnn.ts';
import { operand } from '../data.ts';
import { cnn, convShapes } from '../shapes.ts';
import { LEARNING_RATE, operandShapes, type Work } from './cases.ts';
import { CHECKED_STEPS } from './expected.ts';
import type { Peer, Prepared } from './peer.ts';

/** With `isCaptured` every computation is recorded at its first call and replayed from then on. */
export async function openOurs(isCaptured: boolean): Promise<Peer> {
  const device = await openDevice();
  return {
    version: packageVersion(),
    computesOn: device.description,
    prepare: async (work) =>
      work.kind === 'train'
        ? prepareTraining(device, work.hasPenalty, isCaptured)
        : prepareOp(device, work, isCaptured),
  };
}

async function finish(device: GpuDevice): Promise<void> {
  device.flush();
  await waitPolitely(device.raw.queue.onSubmittedWorkDone());
}

function prepareOp(device: GpuDevice, work: Exclude<Work, { kind: 'train' }>, isCaptured: boolean): Prepared {
  if (isCaptured && work.kind === 'chain' && !work.isCompiled) {
    throw new UsageError('makes one kernel of a chain, see the compiled case');
  }
  const operands = operandShapes(work).map((shape, i) => tensor(device, operand(i, shape), shape));
  const direct = () => withoutRecording(device, () => opOf(work, operands));
  // The operands are tensors from outside: inputs would be copied at every call.
  const captured = capture(device, () => ({ y: direct() }));
  const compute = isCaptured ? () => captured({}).y : direct;
  return {
    async run(count) {
      for (let i = 0; i < count; i++) scope(device, () => void compute());
      await finish(device);
    },
    async result() {
      const y = compute();
      const values = await read(y);
      release(y);
      return values;
    },
    close() {
      captured.dispose();
      operands.forEach(release);
      device.trim();
    },
  };
}

function opOf(work: Exclude<Work, { kind: 'train' }>, [a, b]: readonly Tensor[]): Tensor {
  switch (work.kind) {
    case 'matmul':
      return matmul(a, b);
    case 'conv': {
      const { kernel, stride, size } = work.sizes;
      const options = { stride, padding: convShapes(work.sizes).padding };
      if (work.direction === 'forward') return conv2d(a, b, options);
      if (work.direction === 'input gradient') return conv2dInputGrad(a, b, pairOf(size), options);
      return conv2dWeightGrad(a, b, [kernel, kernel], options);
    }
    case 'add':
      return add(a, b);
    case 'softmax':
      return softmax(a);
    case 'chain': {
      let total = a;
      for (let i = 0; i < work.length; i++) total = add(total, b);
      return total;
    }
  }
}

function prepareTraining(device: GpuDevice, hasPenalty: boolean, isCaptured: boolean): Prepared {
  const model = newCnn(device);
  const batch = uploadCnnBatch(device, cnn.N);
  const optimizer = new SGD(model.namedParameters());
  const direct = ({ images, targets, scalars }: CnnBatch & { scalars: Tensor }) => {
    const { loss, gradients } = cnnGradients(model, { images, targets }, hasPenalty);
    optimizer.apply(gradients, scalars);
    return { loss };
  };
  const captured = capture(device, direct);
  const call = isCaptured ? captured : direct;
  const step = (): Tensor =>
    scope(device, () => {
      const scalars = optimizer.nextScalars(LEARNING_RATE);
      return call({ ...batch, scalars: tensor(device, scalars, [scalars.length]) }).loss;
    });
  return {
    async run(count) {
      for (let i = 0; i < count; i++) release(step());
      await finish(device);
    },
    async result() {
      const losses: number[] = [];
      while (losses.length < CHECKED_STEPS) {
        const loss = step();
        losses.push(await readScalar(loss));
        release(loss);
      }
      return losses;
    },
    close() {
      captured.dispose();
      optimizer.dispose();
      model.dispose();
      release(batch.images);
      release(batch.targets);
      device.trim();
    },
  };
}
