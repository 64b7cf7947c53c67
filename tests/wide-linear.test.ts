// A dense layer in blocks of rows is the layer in one piece: outputs, relevance, files.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { randomStream } from '../engine/random-bits.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import { Linear } from '../nn/layers.ts';
import { type Init, type Module, Sequential } from '../nn/module.ts';
import { parseSafetensors, serializeSafetensors } from '../nn/safetensors.ts';
import { loadStateDict, readTensors, stateLayout } from '../nn/state-dict.ts';
import { linear, WideLinear } from '../nn/wide-linear.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';

const device = new CpuDevice();
const init: Init = { device, random: randomStream(1, 'wide') };
const whole = (): Module => new Sequential(new Linear(init, 4, 7));
/** 12 elements hold 3 rows of 4: blocks of 2, 2 and 3 rows. */
const blocks = (): Module => new Sequential(linear(init, 4, 7, {}, 12));
const file = async (net: Module) => {
  const state = await readTensors(net.stateDict());
  return parseSafetensors(serializeSafetensors(state), 'wide').tensors;
};

describe('a dense layer in blocks of rows', () => {
  test('is made only where one piece is too large', () => {
    expect(linear(init, 4, 7, {}, 28)).toBeInstanceOf(Linear);
    expect(linear(init, 4, 7, {}, 27)).toBeInstanceOf(WideLinear);
    expect(
      blocks()
        .parameters()
        .map(({ shape }) => shape),
    ).toEqual([[2, 4], [2], [2, 4], [2], [3, 4], [3]]);
  });
  test('is one weight and one bias in a file, both ways', async () => {
    const [one, parts] = [whole(), blocks()];
    expect([...stateLayout(parts)]).toEqual([...stateLayout(one)]);
    const stored = await file(one);
    stored.get('0.bias')?.data.set(randomValues('wide bias', 7, [-1, 1]));
    loadStateDict(parts, stored);
    expect(await file(parts)).toEqual(stored);
  });
  test('has the outputs and the relevance of one piece', async () => {
    const [one, parts] = [whole(), blocks()];
    loadStateDict(parts, await file(one));
    loadStateDict(one, await file(parts));
    const x = () => tensor(device, randomValues('wide x', 8, [0, 1]), [2, 4]);
    const results = [one, parts].map((net) => {
      const input = x();
      const output = net.forward(input);
      const R = relevance({ output, seed: output, input, composite: epsilonComposite({ eps: 0.1 }) });
      return [...dataOf(output), ...dataOf(R)];
    });
    expectClose(results[1], results[0], 12);
  });
  test('refuses a file with another number of rows, by the name in the file', async () => {
    const stored = await file(new Sequential(new Linear(init, 4, 6)));
    expect(() => loadStateDict(blocks(), stored)).toThrow(
      /0\.weight is \[7, 4\] in the model and \[6, 4\] in the file/,
    );
  });
});
