// Trains one method on one benchmark and measures it.
import { UsageError } from '../../engine/errors.ts';
import type { Device } from '../../engine/tensor.ts';
import { gradCam } from '../../lrp/attributions/grad-cam.ts';
import { backgroundShare } from '../../lrp/metrics/localisation.ts';
import { uploadHostBatch } from '../batch.ts';
import { type Benchmark, testNames } from '../benchmarks/benchmark.ts';
import { loadBenchmark } from '../benchmarks/index.ts';
import { subset } from '../data/dataset.ts';
import { type BatchSource, memorySource } from '../data/source.ts';
import { describeEnvironment } from '../environment.ts';
import { backgroundRelevance } from '../evaluate.ts';
import { eachBatch, explainedAtOnce, readings } from '../evaluation/batches.ts';
import { createOptimizer, trainingOptions } from '../from-config.ts';
import { methodNamed, methodsWith } from '../rivals/index.ts';
import { type MethodImages, type TrainedMethod, testSourceFor, trainMethod } from '../rivals/train-method.ts';
import type { CellName, CellResult } from './cell.ts';
import { type ComparisonSettings, networksOf } from './settings.ts';

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

/** Everything about a cell but the command that repeats it. Throws what `loadBenchmark` and `trainMethod` throw. */
export async function makeCell(
  device: Device,
  name: CellName,
  settings: ComparisonSettings,
): Promise<Omit<CellResult, 'command'>> {
  const { trainCount, validationCount, testCount, heatmapWeight: P, range, training } = settings;
  const { seed } = name;
  const method = methodNamed(name.method, methodsWith({ P, range }));
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
    const explained = memorySource(subset(tests.biased, first));
    const { adapter, date, version, commit } = describeEnvironment(device);
    return {
      ...name,
      accuracy,
      backgroundShare: await backgroundShareOf(device, trained, explained),
      gradCamBackgroundShare: await gradCamShareOf(device, trained, explained),
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
  source: BatchSource,
): Promise<number | null> {
  return orNull(() => backgroundRelevance(device, plan.classifier, testSourceFor(method, source)));
}

/** Of the predicted class, at the last feature maps; null for a network without any. */
async function gradCamShareOf(
  device: Device,
  { method, plan: { classifier } }: TrainedMethod,
  source: BatchSource,
): Promise<number | null> {
  return orNull(async () => {
    const shares: number[] = [];
    const seen = testSourceFor(method, source);
    await eachBatch(seen, classifier, { batchSize: explainedAtOnce(seen) }, async (batch) => {
      const [values] = await readings(device, () => {
        const { images, masks } = uploadHostBatch(device, seen, batch);
        return [backgroundShare(gradCam(classifier, images), masks)];
      });
      shares.push(...Array.from(values));
    });
    return shares.reduce((a, b) => a + b, 0) / shares.length;
  });
}

/** A network that cannot be explained so has no such number, and the others have. */
async function orNull(measure: () => Promise<number | null>): Promise<number | null> {
  try {
    return await measure();
  } catch (error) {
    if (error instanceof UsageError) return null;
    throw error;
  }
}
