// What the library adds in Node: a device, files and whole runs.
export { openDevice } from '../engine/node-device.ts';
export { readPng, writePng } from '../lrp/png.ts';
export { readWeightsFile, writeWeightsFile } from '../nn/weights-file.ts';
export { loadModel, loadWeights, type ModelCard, saveModel } from './checkpoint.ts';
export { loadMnist, type MnistOptions, mnistFolder } from './data/mnist.ts';
export { type ExperimentOptions, readRunConfig, runExperiment } from './experiment.ts';
export { createRunFolder, openRunFolder, type RunFolder, RunFolderError, runFolder } from './run-folder.ts';
export type { RunEvent } from './stage.ts';
