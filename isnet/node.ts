// What the library adds in Node: a device, files and whole runs.
export { openDevice } from '../engine/node-device.ts';
export { readPng, writePng } from '../lrp/png.ts';
export { readWeightsFile, writeWeightsFile } from '../nn/weights-file.ts';
export { loadModel, loadWeights, type ModelCard, saveModel } from './checkpoint.ts';
export { checkFiles, type DataReport } from './data/files/check.ts';
export { listSamples } from './data/files/list-samples.ts';
export { openImages, openTestImages } from './data/files/loader.ts';
export { loadMnist, type MnistOptions, mnistFolder } from './data/mnist.ts';
export type { SampleList } from './data/sample-list.ts';
export { type ExperimentOptions, readRunConfig, runExperiment } from './experiment.ts';
export { openData, openTests } from './open-data.ts';
export { createRunFolder, openRunFolder, type RunFolder, RunFolderError, runFolder } from './run-folder.ts';
export type { RunEvent } from './stage.ts';
