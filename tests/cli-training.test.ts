// Options on how `isnet train` trains, on the command line and in a run folder.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { loadState, saveState } from '../isnet/checkpoint.ts';
import { trainingOptions } from '../isnet/from-config.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { startPosition, type TrainingPosition } from '../isnet/training-position.ts';
import { Linear } from '../nn/layers.ts';
import { SGD } from '../nn/optim.ts';
import { isnet, newFolder, type Outcome, tiny } from './command-line.ts';
import { hasGpu } from './gpu.ts';
import { initOn } from './small-nets.ts';

const hasAdapter = await hasGpu();

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

describe('an option that does nothing is refused:', () => {
  const adam = 'with optimizer adam and scheduler cosine';
  test.each([
    [['--momentum', '0.5'], `--momentum does nothing ${adam}; give --optimizer sgd too, or leave it out`],
    [['--nesterov'], `--nesterov does nothing ${adam}; give --optimizer sgd too`],
    [['--gamma', '0.5'], `--gamma does nothing ${adam}; give --scheduler step too`],
    [['--plateau-patience', '3'], 'give --scheduler plateau too'],
    [['--min-lr', '1e-4', '--scheduler', 'constant'], 'give a --scheduler that falls too'],
    [['--min-delta', '0.1'], 'give --early-stopping too'],
  ])('%j', async (args, says) => {
    const { exitCode, errors } = await isnet('train', '--output-dir', runs, ...args);
    expect(errors).toContain(says);
    expect(exitCode).toBe(2);
  });
});

test('settings of a file may be more than is looked at: those of a run folder all are', async () => {
  const file = join(runs, 'settings.json');
  writeFileSync(file, JSON.stringify({ isnet: { momentum: 0.5 }, name: '../no' }));
  const { errors } = await isnet('train', '--output-dir', runs, '--config', file);
  expect(errors).toContain('name is "../no"');
});

test.each([
  [['--milestones', '3,x'], '--milestones'],
  [['--class-weights', '1,-2'], 'classifier.classWeights.1 is -2; use a number above 0'],
  [['--grad-accum-steps', '0'], 'classifier.accumulate is 0; use a whole number from 1 up'],
])('%j says what it may be', async (args, says) => {
  const { exitCode, errors } = await isnet('train', '--output-dir', runs, ...args);
  expect(errors).toContain(says);
  expect(exitCode).toBe(2);
});

test('settings are options of the training', () => {
  const { classifier } = completeConfig([
    {
      classifier: {
        schedule: 'plateau',
        plateauFactor: 0.5,
        plateauPatience: 3,
        earlyStopping: 4,
        minDelta: 0.1,
        accumulate: 2,
        minLearningRate: 1e-5,
        classWeights: 'balanced',
      },
    },
  ]);
  expect(trainingOptions(classifier, 7)).toMatchObject({
    schedule: 'plateau',
    plateau: { factor: 0.5, patience: 3, threshold: 1e-4 },
    earlyStopping: { patience: 4, minDelta: 0.1 },
    accumulate: 2,
    minLearningRate: 1e-5,
    classWeights: 'balanced',
    posWeight: undefined,
    milestones: undefined,
    seed: 7,
  });
  expect(trainingOptions(completeConfig([{}]).isnet, 0).earlyStopping).toBeUndefined();
});

test('a state from before plateaus, early stopping and weighted means can be gone on with', async () => {
  const device = new CpuDevice();
  const model = new Linear(initOn(device), 2, 2);
  const optimizer = new SGD(model.namedParameters());
  const path = join(runs, 'old.safetensors');
  const stateOf = async (position: object) => {
    const saved = { role: 'isnet', position: position as TrainingPosition, range: null, seconds: 0 };
    await saveState(path, model, optimizer, saved);
    return (await loadState(path)).position;
  };
  const old = { epoch: 1, batch: 2, step: 9, bestLoss: 0.5, losses: { sums: [8, 6, 4], images: 4 } };
  const none = { plateau: null, earlyStopping: null };
  expect(await stateOf(old)).toEqual({ ...old, ...none, losses: { sums: [8, 6, 4], weights: [4, 4, 4] } });
  const position = {
    ...startPosition,
    losses: { sums: [1], weights: [2] },
    plateau: { learningRate: 0.1, best: 2, badEpochs: 1 },
    earlyStopping: { best: null, badEpochs: 0 },
  };
  expect(await stateOf(position)).toEqual(position);
});

describe.skipIf(!hasAdapter)('a run in parts that stops early', () => {
  let outcome: Outcome;
  const folder = join(runs, 'short');

  beforeAll(async () => {
    // No loss falls by 100: the second epoch is the last.
    const args = ['--method', 'classifier', '--epochs', '9', '--early-stopping', '1', '--min-delta', '100'];
    const steps = ['--grad-accum-steps', '2', '--scheduler', 'step', '--step-size', '1', '--tensorboard'];
    const weights = ['--class-weights', 'balanced'];
    outcome = await isnet(
      'train',
      '--output-dir',
      runs,
      ...tiny,
      '--name',
      'short',
      ...args,
      ...steps,
      ...weights,
    );
  }, 120_000);

  test('says so, and is evaluated', () => {
    expect(outcome.errors).toBe('');
    expect(outcome.exitCode).toBe(0);
    expect(outcome.output).toMatch(/epoch 2\/9 done .* stopping early$/m);
    expect(outcome.output).not.toContain('epoch 3/9');
  });

  test('logs its learning rates, in a table too, and for TensorBoard', () => {
    const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ isLast }) => isLast)).toEqual([false, true]);
    expect(lines[0].learningRate).toBeCloseTo(5e-3, 12);
    expect(lines[1].learningRate).toBeCloseTo(5e-4, 12);
    expect(readFileSync(join(folder, 'metrics.csv'), 'utf8').split('\n')).toHaveLength(4);
    expect(readdirSync(join(folder, 'tensorboard', 'classifier'))).toHaveLength(1);
  });
});
