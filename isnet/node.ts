// What the library adds in Node: a device, files and whole runs.
export { openDevice } from '../engine/node-device.ts';
export { readPng, writePng } from '../lrp/png.ts';
export { readWeightsFile, writeWeightsFile } from '../nn/weights-file.ts';
export {
  type Benchmark,
  type BenchmarkSize,
  benchmarkSplits,
  type TestName,
  testNames,
} from './benchmarks/benchmark.ts';
export { type BenchmarkEntry, benchmarkNamed, benchmarks, loadBenchmark } from './benchmarks/index.ts';
export { loadModel, loadWeights, type ModelCard, saveModel } from './checkpoint.ts';
export { checkFiles, type DataReport } from './data/files/check.ts';
export { listSamples } from './data/files/list-samples.ts';
export { openImages, openTestImages } from './data/files/loader.ts';
export { type PublishedEntry, publishedData, publishedNamed } from './data/files/published/index.ts';
export { loadMnist, type MnistOptions, mnistFolder } from './data/mnist.ts';
export type { SampleList } from './data/sample-list.ts';
export { type ExperimentOptions, readRunConfig, runExperiment } from './experiment.ts';
export { openData, openTests } from './open-data.ts';
export { createRunFolder, openRunFolder, type RunFolder, RunFolderError, runFolder } from './run-folder.ts';
export { lockRunFolder, type RunLock } from './run-lock.ts';
export type { RunEvent } from './stage.ts';
