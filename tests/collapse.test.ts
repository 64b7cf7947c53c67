// Signs of a network that has given up: channels that never fire, and logits that the object alone does not move.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { relu } from '../engine/ops/pointwise.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { loadState, type SavedState } from '../isnet/checkpoint.ts';
import { type CollapseSigns, collapseSigns, deadLayerWarnings } from '../isnet/collapse.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { memorySource } from '../isnet/data/source.ts';
import { createModel } from '../isnet/from-config.ts';
import type { EpochLine } from '../isnet/logs/epoch-line.ts';
import { completeConfig, quickstartConfig } from '../isnet/quickstart-config.ts';
import { clearRunFolder, createRunFolder, readLog } from '../isnet/run-folder.ts';
import { type RunContext, stagesOf, trainStage } from '../isnet/stage.ts';
import { Conv2d, Flatten, Linear, ReLU } from '../nn/layers.ts';
import { type Init, Module, Sequential } from '../nn/module.ts';
import { readTensors } from '../nn/state-dict.ts';
import { writeWeightsFile } from '../nn/weights-file.ts';
import { isnet, newFolder } from './command-line.ts';
import { hasGpu } from './gpu.ts';
import { initOn } from './small-nets.ts';

const hasAdapter = await hasGpu();
const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

// More images than go through at once; pixels in 0.1 to 0.8, but for one of the last image.
const COUNT = 130;
const PIXELS = 16;
const images = Float32Array.from({ length: COUNT * PIXELS }, (_, i) => 0.45 + 0.35 * Math.sin(1.7 * i));
images[images.length - 1] = 1;
// The lower half is background, so that pixel is, too.
const masks = Float32Array.from({ length: COUNT * PIXELS }, (_, i) => Number(i % PIXELS < 8));
const data: Dataset = {
  ...{ images, masks, count: COUNT, channels: 1, height: 4, width: 4, classNames: ['a', 'b', 'c'] },
  labels: Uint8Array.from({ length: COUNT }, (_, n) => n % 3),
};

// Channel 0 is x, 1 fires only where x is negative, 2 only for that one pixel, and 3 only where x is 0: in the black
// background that whole images have not.
const weights = [1, -1, 1, -1];
const biases = [0, 0, -0.9, 0.05];

function setTo(t: Tensor, values: readonly number[]): void {
  assign(t, tensor(t.device, values, t.shape));
}

function convolution(init: Init): Conv2d {
  const conv = new Conv2d(init, 1, 4, 1);
  setTo(conv.weight, weights);
  setTo(conv.bias as Tensor, biases);
  return conv;
}

const sequential = (device: Device): Sequential => {
  const init = initOn(device);
  return new Sequential(convolution(init), new ReLU(), new Flatten(), new Linear(init, 4 * PIXELS, 3));
};

/** Mean of |z| with z computed by hand, of pixels as `seen` shows them. */
function lengthOfLogits(net: Sequential, seen: (i: number) => number): number {
  const linear = net.children()[3][1] as Linear;
  const [w, b] = [dataOf(linear.weight), dataOf(linear.bias as Tensor)];
  let total = 0;
  for (let n = 0; n < COUNT; n++) {
    let squares = 0;
    for (let k = 0; k < 3; k++) {
      let z = b[k];
      for (let c = 0; c < 4; c++) {
        for (let p = 0; p < PIXELS; p++) {
          z += w[(k * 4 + c) * PIXELS + p] * Math.max(0, weights[c] * seen(n * PIXELS + p) + biases[c]);
        }
      }
      squares += z * z;
    }
    total += Math.sqrt(squares);
  }
  return total / COUNT;
}

describe('in f64', () => {
  const device = new CpuDevice();
  const all = { imageCount: COUNT };

  test('a channel is dead that fires nowhere in any image, and blackened backgrounds do not count', async () => {
    const { firing, imageCount } = await collapseSigns(device, sequential(device), data, all);
    expect(firing).toEqual([{ layer: '0', channelCount: 4, deadCount: 2 }]);
    expect(imageCount).toBe(COUNT);
    // Without the last image channel 2 has nothing to fire for.
    const [{ deadCount }] = (await collapseSigns(device, sequential(device), data, { imageCount: 13 }))
      .firing;
    expect(deadCount).toBe(3);
  });

  test('lengths of logits are those of whole images and of their foregrounds', async () => {
    const net = sequential(device);
    const { logitNorm, foregroundLogitNorm } = await collapseSigns(device, net, data, all);
    expect(logitNorm).toBeCloseTo(
      lengthOfLogits(net, (i) => images[i]),
      10,
    );
    expect(foregroundLogitNorm).toBeCloseTo(
      lengthOfLogits(net, (i) => images[i] * masks[i]),
      10,
    );
    expect(logitNorm).not.toBeCloseTo(foregroundLogitNorm ?? 0, 3);
  });

  test('images without a mask have no foreground', async () => {
    const net = sequential(device);
    const hasMask = Uint8Array.from({ length: COUNT }, (_, n) => Number(n === 5));
    const { logitNorm, foregroundLogitNorm } = await collapseSigns(device, net, { ...data, hasMask }, all);
    const image = (values: Float32Array) => values.slice(5 * PIXELS, 6 * PIXELS);
    const alone = {
      ...data,
      images: image(images),
      masks: image(masks),
      count: 1,
      labels: data.labels.slice(5, 6),
    };
    const only = await collapseSigns(device, net, alone);
    expect(foregroundLogitNorm).toBeCloseTo(only.foregroundLogitNorm ?? 0, 12);
    expect(logitNorm).not.toBeCloseTo(only.logitNorm, 3);
    const none = { ...data, hasMask: new Uint8Array(COUNT) };
    expect((await collapseSigns(device, net, none)).foregroundLogitNorm).toBeNull();
  });

  test('ReLUs without a layer of their own are named by the layer before, in the order of execution', async () => {
    class Residual extends Module {
      readonly stem = convolution(initOn(device));
      readonly branch = new Conv2d(initOn(device), 4, 4, 1);
      readonly head = new Linear(initOn(device), 4 * PIXELS, 3);

      forward(x: Tensor): Tensor {
        const y = relu(this.stem.forward(x));
        return this.head.forward(new Flatten().forward(relu(add(y, this.branch.forward(y)))));
      }
    }
    const net = new Residual();
    const { firing } = await collapseSigns(device, net, data, all);
    expect(firing.map(({ layer }) => layer)).toEqual(['stem', 'branch']);
    expect(firing[0].deadCount).toBe(2);
  });

  test('a network in training stays so, and one without ReLUs has nothing to fire', async () => {
    const net = new Sequential(new Flatten(), new Linear(initOn(device), PIXELS, 3));
    net.train();
    const before = device.memory().usedBytes;
    expect((await collapseSigns(device, net, memorySource(data))).firing).toEqual([]);
    expect(net.isTraining).toBe(true);
    expect(device.memory().usedBytes).toBe(before);
  });
});

test('a layer is named of which more than half is dead, with what to do', () => {
  const signs: CollapseSigns = {
    ...{ imageCount: 64, logitNorm: 1, foregroundLogitNorm: 1 },
    firing: [
      { layer: 'features.0', channelCount: 4, deadCount: 2 },
      { layer: 'features.2', channelCount: 32, deadCount: 17 },
    ],
  };
  expect([...deadLayerWarnings(signs, 'try a lower rate')]).toEqual([
    [
      'features.2',
      'more than half of the channels of features.2 never fire (17 of 32 are 0 in all of 64 images); try a lower rate',
    ],
  ]);
});

// Leaky ones never die.
const model = { ...quickstartConfig.model, hidden: [8], negativeSlope: 0 };

/** A file of weights for images of this size whose first layer never fires. */
async function deadWeights(side: number, classNames: readonly string[]): Promise<string> {
  const [device, file] = [new CpuDevice(), join(runs, `dead-${side}.safetensors`)];
  const input = { channels: 1, height: side, width: side, classNames, isMultiLabel: false };
  const net = createModel(device, model, input, 0);
  const bias = net.stateDict().get('features.0.bias') as Tensor;
  setTo(bias, new Array(bias.shape[0]).fill(-100));
  await writeWeightsFile(file, await readTensors(net.stateDict()));
  return file;
}

test('a training that is resumed does not warn again of what it has warned of', async () => {
  const weights = await deadWeights(4, data.classNames);
  const training = { epochs: 4, batchSize: COUNT };
  const config = completeConfig([
    { method: 'classifier', model: { ...model, weights }, classifier: training },
  ]);
  const folder = await createRunFolder(join(runs, 'resumed'));
  await clearRunFolder(folder);
  const warnings: string[] = [];
  /** Trains up to the end of an epoch. */
  const go = (lastEpoch: number, saved: SavedState | null) => {
    const stop = new AbortController();
    const context: RunContext = {
      ...{ config, device: new CpuDevice(), folder, signal: stop.signal, elapsed: () => 0 },
      data: { train: memorySource(data), validation: null, tests: {}, isPaired: false, async close() {} },
      progress: (event) => {
        if (event.kind === 'warning') warnings.push(event.text);
        if (event.kind === 'epoch' && event.report.epoch === lastEpoch) stop.abort();
      },
    };
    return trainStage(context, stagesOf(config)[0], null, saved);
  };
  await go(0, null);
  await go(2, await loadState(folder.state));
  expect(await readLog(folder)).toHaveLength(3);
  const layers = warnings.map((text) => /channels of (\S+) never fire/.exec(text)?.[1]);
  // Nothing reaches the layers behind.
  expect(layers).toEqual(['features.0', 'features.2', 'classifier.1']);
});

test.skipIf(!hasAdapter)(
  'a run logs the signs of each epoch, and warns of a dead layer once',
  async () => {
    const file = await deadWeights(
      28,
      Array.from({ length: 10 }, (_, n) => `${n}`),
    );
    const counts = ['--train-count', '40', '--validation-count', '20', '--test-count', '10'];
    const small = [...counts, '--hidden', '8', '--batch-size', '20', '--epochs', '2'];
    const net = ['--negative-slope', '0', '--weights', file];
    const args = ['--output-dir', runs, ...small, '--name', 'dead', ...net];
    const { exitCode, output, errors } = await isnet(
      'train',
      ...args,
      '--method',
      'classifier',
      '--tensorboard',
    );
    expect(exitCode, errors).toBe(0);
    expect(
      output.match(
        /^warning: more than half of the channels of features\.0 never fire \(.*; try a lower rate$/gm,
      ),
    ).toHaveLength(1);
    const lines: EpochLine[] = readFileSync(join(runs, 'dead', 'metrics.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2);
    for (const { collapse } of lines) {
      const [{ channelCount, deadCount, layer }] = collapse.firing;
      expect([layer, deadCount]).toEqual(['features.0', channelCount]);
      expect(collapse.imageCount).toBe(20);
      // Nothing gets through the dead layer, so the background makes no difference.
      expect(collapse.foregroundLogitNorm).toBeCloseTo(collapse.logitNorm, 6);
    }
    expect(readFileSync(join(runs, 'dead', 'report.html'), 'utf8')).toContain('Channels that never fire');
  },
  60_000,
);
