// Trains one method on one benchmark and measures it.
import { UsageError } from '../../engine/errors.ts';
import type { Device } from '../../engine/tensor.ts';
import { testNames } from '../benchmarks/benchmark.ts';
import { loadBenchmark } from '../benchmarks/index.ts';
import { subset } from '../data/dataset.ts';
import { memorySource } from '../data/source.ts';
import { describeEnvironment } from '../environment.ts';
import { localise } from '../evaluation/localisation.ts';
import { createOptimizer, trainingOptions } from '../from-config.ts';
import { methodNamed } from '../rivals/index.ts';
import { type TrainedMethod, testSourceFor, trainMethod } from '../rivals/train-method.ts';
import type { CellName, CellResult } from './cell.ts';
import { type ComparisonSettings, networksOf } from './settings.ts';

/** Relevance is measured on this many images at most: the mean over them is known to a per cent or two. */
const EXPLAINED_IMAGES = 500;

/** Everything about a cell but the command that repeats it. Throws what `loadBenchmark` and `trainMethod` throw. */
export async function makeCell(
  device: Device,
  name: CellName,
  settings: ComparisonSettings,
): Promise<Omit<CellResult, 'command'>> {
  const { trainCount, validationCount, testCount, training } = settings;
  const { seed } = name;
  const method = methodNamed(name.method);
  const size = { trainCount, validationCount, testCount, seed };
  const { train, validation, unbiasedTrain, tests } = await loadBenchmark(name.benchmark, size);
  const images = {
    train: memorySource(train),
    validation: memorySource(validation),
    unbiased: { train: memorySource(unbiasedTrain), validation: null },
    tests: Object.fromEntries(testNames.map((test) => [test, memorySource(tests[test])])),
  };
  const trained = await trainMethod(device, method, images, {
    ...trainingOptions(training, seed),
    networks: networksOf(settings),
    optimizer: (parameters) => createOptimizer(training, parameters),
  });
  try {
    const { accuracy, secondsPerImage, inferenceMs, parameters } = trained;
    const explained = subset(
      tests.biased,
      Array.from({ length: Math.min(EXPLAINED_IMAGES, tests.biased.count) }, (_, i) => i),
    );
    const { adapter, date, version, commit } = describeEnvironment(device);
    return {
      ...name,
      accuracy,
      backgroundShare: await backgroundShareOf(device, trained, memorySource(explained)),
      trainSecondsPerImage: secondsPerImage,
      inferenceMs,
      parameters,
      adapter,
      date,
      version,
      commit,
    };
  } finally {
    trained.plan.dispose();
  }
}

/** Null for a network with ops that no rule sends relevance through. */
async function backgroundShareOf(
  device: Device,
  { method, plan }: TrainedMethod,
  source: ReturnType<typeof memorySource>,
): Promise<number | null> {
  try {
    const found = await localise(device, plan.classifier, testSourceFor(method, source));
    return found?.report.backgroundShare.value ?? null;
  } catch (error) {
    if (error instanceof UsageError) return null;
    throw error;
  }
}
