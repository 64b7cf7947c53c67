// Trains one method on one benchmark and measures it.
import { UsageError } from '../../engine/errors.ts';
import type { Device } from '../../engine/tensor.ts';
import { type Benchmark, testNames } from '../benchmarks/benchmark.ts';
import { loadBenchmark } from '../benchmarks/index.ts';
import { subset } from '../data/dataset.ts';
import { memorySource } from '../data/source.ts';
import { describeEnvironment } from '../environment.ts';
import { backgroundRelevance } from '../evaluate.ts';
import { gradCamBackground } from '../evaluation/grad-cam-background.ts';
import { createOptimizer, trainingOptions } from '../from-config.ts';
import { methodNamed } from '../rivals/index.ts';
import { type MethodImages, testSourceFor, trainMethod } from '../rivals/train-method.ts';
import type { CellName, CellResult } from './cell.ts';
import { type ComparisonSettings, methodsOf, networksOf } from './settings.ts';

/** Relevance is measured on this many images at most: the mean over them is known to a per cent or two. */
const EXPLAINED_IMAGES = 500;

/** A benchmark as what methods are trained and tested on; the oracle's weights are chosen as the others' are. */
export function imagesOf(benchmark: Benchmark): MethodImages {
  const { train, validation, unbiasedTrain, unbiasedValidation, tests } = benchmark;
  return {
    train: memorySource(train),
    validation: memorySource(validation),
    unbiased: { train: memorySource(unbiasedTrain), validation: memorySource(unbiasedValidation) },
    tests: Object.fromEntries(testNames.map((test) => [test, memorySource(tests[test])])),
  };
}

/**
 * Everything about a cell but how it was run. `log` is told why a number is null. Throws what `loadBenchmark` and `trainMethod`
 * throw.
 */
export async function makeCell(
  device: Device,
  name: CellName,
  settings: ComparisonSettings,
  log: (line: string) => void,
): Promise<Omit<CellResult, 'jobs' | 'command'>> {
  const { trainCount, validationCount, testCount, training } = settings;
  const { seed } = name;
  const method = methodNamed(name.method, methodsOf(settings));
  const size = { trainCount, validationCount, testCount, seed };
  const benchmark = await loadBenchmark(name.benchmark, size);
  const { tests } = benchmark;
  const trained = await trainMethod(device, method, imagesOf(benchmark), {
    ...trainingOptions(training, seed),
    networks: networksOf(settings),
    optimizer: (parameters) => createOptimizer(training, parameters),
  });
  try {
    const { accuracy, secondsPerImage, inferenceMs, parameters } = trained;
    const explainedCount = Math.min(EXPLAINED_IMAGES, tests.biased.count);
    const first = Array.from({ length: explainedCount }, (_, i) => i);
    const explained = testSourceFor(method, memorySource(subset(tests.biased, first)));
    const { classifier } = trained.plan;
    const share = await orNull('LRP', log, () => backgroundRelevance(device, classifier, explained));
    const gradCam = await orNull('Grad-CAM', log, () => gradCamBackground(device, classifier, explained));
    const { adapter, date, version, commit } = describeEnvironment(device);
    return {
      ...name,
      accuracy,
      backgroundShare: share,
      gradCamBackgroundShare: gradCam?.share ?? null,
      ...(gradCam ? { gradCamMaps: gradCam.maps } : {}),
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

/**
 * A network without such maps, or with ops that no rule sends relevance through, has no such number; the others have. `log` is
 * told which maps, and why. Throws what `measure` throws but UsageError.
 */
export async function orNull<T>(
  maps: string,
  log: (line: string) => void,
  measure: () => Promise<T>,
): Promise<T | null> {
  try {
    return await measure();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    log(`no background share of ${maps} (${error.message})`);
    return null;
  }
}
