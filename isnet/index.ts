// The library as users import it, in browsers and in Node. What reads or writes files is in node.ts.

// engine: devices, tensors and their life
export { openBrowserDevice } from '../engine/browser-device.ts';
export { type CapturedStep, capture, type NamedTensors } from '../engine/capture.ts';
export { CpuDevice } from '../engine/cpu-device.ts';
export { assign, detach, full, literal, read, readAll, readScalar, tensor } from '../engine/create.ts';
export {
  CheckpointError,
  DataError,
  DeviceError,
  IsnetError,
  OutOfMemoryError,
  ShapeError,
  TrainingError,
  UsageError,
} from '../engine/errors.ts';
export { GpuDevice } from '../engine/gpu-device.ts';
export { adjoint, backward } from '../engine/grad.ts';
export { apply, defineOp } from '../engine/op.ts';
// engine: ops, by family
export { erf, gelu, leakyRelu, silu, tanh } from '../engine/ops/activations.ts';
export { argmax, max } from '../engine/ops/argmax.ts';
export { add, div, mean, mul, neg, sqrt, square, sub } from '../engine/ops/arithmetic.ts';
export { adaptiveAvgPool2d, avgPool2d } from '../engine/ops/avg-pool.ts';
export { expand, reshape, sum, sumTo } from '../engine/ops/broadcast.ts';
export { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../engine/ops/conv.ts';
export { gather, oneHot, scatterAdd, where } from '../engine/ops/indexing.ts';
export { concat, pad, permute, slice } from '../engine/ops/layout.ts';
export { matmul } from '../engine/ops/matmul.ts';
export { maxPool2d } from '../engine/ops/max-pool.ts';
export {
  abs,
  exp,
  floor,
  log,
  log1p,
  maximum,
  power,
  relu,
  sigmoid,
  sign,
  softplus,
  step,
} from '../engine/ops/pointwise.ts';
export { dropoutMask, normal, uniform } from '../engine/ops/random.ts';
export { logSoftmax, softmax } from '../engine/ops/softmax.ts';
export { argsort, rank, sort } from '../engine/ops/sort.ts';
export { type DispatchSummary, type DispatchTime, summarize } from '../engine/profiler.ts';
export { type RandomStream, randomStream } from '../engine/random-bits.ts';
export { keep, scope, withoutRecording } from '../engine/scope.ts';
export type { Shape } from '../engine/shape.ts';
export { type Device, type MemoryReport, type Op, release, Tensor } from '../engine/tensor.ts';
export type { Recompute } from '../engine/trace.ts';
// lrp: other attributions, with the signature of `lrp`
export type { Attribution, AttributionOptions } from '../lrp/attributions/attribution.ts';
export { gradCam } from '../lrp/attributions/grad-cam.ts';
export { gradient, inputTimesGradient } from '../lrp/attributions/gradient.ts';
export { integratedGradients } from '../lrp/attributions/integrated-gradients.ts';
export { occlusion } from '../lrp/attributions/occlusion.ts';
export { lrp, lrpFlex } from '../lrp/attributions/relevance.ts';
export { deconvnet, guidedBackprop } from '../lrp/attributions/relu-rules.ts';
export { smoothGrad } from '../lrp/attributions/smooth-grad.ts';
export { type AttributionName, attributions } from '../lrp/attributions/table.ts';
// lrp: relevance and pictures of it
export { type DrawableCanvas, drawOnCanvas } from '../lrp/canvas.ts';
export { type ColorBarOptions, colorBar, type WithColorBarOptions, withColorBar } from '../lrp/color-bar.ts';
export { type ColorMap, type ColorMapName, colorMaps } from '../lrp/color-maps.ts';
export {
  type Composite,
  type CompositeRow,
  composite,
  composites,
  epsilonComposite,
  isnetComposite,
  type LayerContext,
} from '../lrp/composite.ts';
export { drawText, shortNumber, type TextOptions, textSize } from '../lrp/digits.ts';
export { type ExplainOptions, type Explanation, explain, type Target } from '../lrp/explain.ts';
export { type FlexOptions, flexRelevance, flexRelevanceAt, gradientInputAt } from '../lrp/flex.ts';
export { type Heatmap, type HeatmapOptions, renderHeatmap } from '../lrp/heatmap.ts';
// lrp: reports
export { type LeakReport, type LeakRow, leakCauses, leakReport } from '../lrp/leak.ts';
export {
  gainColor,
  type LeakPart,
  type LeakPictureOptions,
  leakColors,
  leakParts,
  leakPicture,
} from '../lrp/leak-picture.ts';
// lrp: metrics of maps
export { completenessError, explainedScore } from '../lrp/metrics/completeness.ts';
export { entropy, sparseness } from '../lrp/metrics/complexity.ts';
export {
  aopc,
  areaUnder,
  faithfulnessCorrelation,
  pixelFlipping,
  regionPerturbation,
} from '../lrp/metrics/faithfulness.ts';
export {
  backgroundShare,
  pointingGame,
  relevanceMassAccuracy,
  relevanceRankAccuracy,
  topKIntersection,
} from '../lrp/metrics/localisation.ts';
export { layersTopDown, parameterRandomisation } from '../lrp/metrics/randomisation.ts';
export { sensitivity } from '../lrp/metrics/robustness.ts';
export { type OverlayOptions, overlay } from '../lrp/overlay.ts';
export { grayImage, maskContour, mosaic, type Picture, rgbImage, upscale } from '../lrp/picture.ts';
export { type RelevanceOptions, relevance, relevanceAt } from '../lrp/relevance.ts';
export { type Rule, withBias } from '../lrp/rule.ts';
export {
  alphaBeta,
  epsilon,
  flat,
  gamma,
  gammaGeneralized,
  lrp0,
  norm,
  pass,
  wSquare,
  zB,
  zPlus,
} from '../lrp/rules.ts';
export type { StructureOptions } from '../lrp/structure/op-call.ts';
export { compositeTable, formatCompositeTable, formatLeakReport } from '../lrp/table.ts';
export { formatWhy, type WhyReport, why } from '../lrp/why.ts';
// nn: layers, losses, optimisers, weights
export { GELU, LeakyReLU, Sigmoid, SiLU, Tanh } from '../nn/activations.ts';
export { MultiheadAttention } from '../nn/attention.ts';
export { BatchNorm2d } from '../nn/batch-norm.ts';
export { ConvTranspose2d, type ConvTranspose2dOptions } from '../nn/conv-transpose.ts';
export { GradientSum } from '../nn/gradient-sum.ts';
export {
  type Initial,
  kaimingNormal,
  kaimingNormalByOutputs,
  kaimingUniform,
  linearUniform,
  normalOf,
  uniformWithin,
  xavierUniform,
  zeros,
} from '../nn/init.ts';
export { GroupNorm, LayerNorm } from '../nn/layer-norm.ts';
export {
  AdaptiveAvgPool2d,
  AvgPool2d,
  Conv2d,
  type Conv2dOptions,
  Dropout,
  Flatten,
  Linear,
  MaxPool2d,
  ReLU,
} from '../nn/layers.ts';
export { type BceOptions, bceWithLogits, crossEntropy } from '../nn/loss.ts';
export { Classifier, headNames, type NetworkOptions } from '../nn/models/classifier.ts';
export { DenseNet, type DenseNetOptions, densenetSizes } from '../nn/models/densenet.ts';
export {
  createModel,
  isModelName,
  type ModelEntry,
  type ModelName,
  type ModelOptions,
  models,
} from '../nn/models/index.ts';
export { ResNet, type ResNetOptions, resnetSizes } from '../nn/models/resnet.ts';
export { type ConvBlock, SmallCnn, type SmallCnnOptions } from '../nn/models/small-cnn.ts';
export { UNet, type UNetOptions } from '../nn/models/unet.ts';
export { Vgg, type VggOptions, vggSizes } from '../nn/models/vgg.ts';
export {
  VisionTransformer,
  type ViTOptions,
  type ViTSizes,
  vitSizes,
} from '../nn/models/vision-transformer.ts';
export { type Init, Layer, Module, type Params, Sequential } from '../nn/module.ts';
export {
  Adam,
  type AdamOptions,
  AdamW,
  clipByGlobalNorm,
  globalNorm,
  Optimizer,
  SGD,
  type SgdOptions,
} from '../nn/optim.ts';
export { type RectifierOptions, rectifier } from '../nn/rectifier.ts';
export {
  parseSafetensors,
  type SafetensorsFile,
  type SafetensorsTensor,
  serializeSafetensors,
  type TensorToSave,
} from '../nn/safetensors.ts';
export {
  afterEpoch,
  learningRateAt,
  type PlateauOptions,
  type PlateauState,
  type Schedule,
  type ScheduleOptions,
} from '../nn/schedule.ts';
export {
  type LoadOptions,
  type LoadReport,
  loadStateDict,
  readTensors,
  stateLayout,
} from '../nn/state-dict.ts';
export { Upsample } from '../nn/upsample.ts';
export { linear, WideLinear } from '../nn/wide-linear.ts';
// isnet: training on relevance
export { uploadBatch, uploadHostBatch } from './batch.ts';
export type { ClassWeights } from './class-weights.ts';
export { type CollapseOptions, type CollapseSigns, collapseSigns, type Firing } from './collapse.ts';
export { type ComparisonRow, compareModels, type NamedModel } from './comparison-picture.ts';
export { type ImageDataConfig, type PartialRunConfig, parseRunConfig, type RunConfig } from './config.ts';
// isnet: data
export { batches, checkDataset, type Dataset, type EmptyMaskPolicy, subset } from './data/dataset.ts';
export { type Digits, parseDigits } from './data/idx.ts';
export { composeMarkerBias, type MarkerBiasOptions } from './data/marker-bias.ts';
export {
  type MarkerBiasBenchmark,
  type MarkerBiasBenchmarkOptions,
  markerBiasBenchmark,
} from './data/marker-bias-benchmark.ts';
export {
  type BatchSource,
  type EpochOptions,
  type HostBatch,
  memorySource,
  toDataset,
} from './data/source.ts';
export { type DataSplits, markerSplits, type TestSets } from './data/splits.ts';
export { inputsOfModules, stageNames } from './deep-supervision.ts';
export type { EarlyStopping, EarlyStoppingState } from './early-stopping.ts';
export { accuracy, type BackgroundRelevanceOptions, backgroundRelevance } from './evaluate.ts';
// isnet: evaluation with intervals
export { auc } from './evaluation/auc.ts';
export { predict } from './evaluation/batches.ts';
export { type BootstrapOptions, bootstrap } from './evaluation/bootstrap.ts';
export type { ClassEvaluation, Classification } from './evaluation/classification.ts';
export { classify } from './evaluation/classify.ts';
export { type Deletion, deletionTest } from './evaluation/deletion.ts';
export { type Estimate, pairedDifference, proportion } from './evaluation/estimate.ts';
export { type LocalisationReport, localise } from './evaluation/localisation.ts';
export {
  type LogitBackground,
  type LogitBackgrounds,
  logitBackgrounds,
} from './evaluation/logit-backgrounds.ts';
export { type EvaluateModelOptions, evaluateOnSets, type ModelEvaluation } from './evaluation/model.ts';
export type { Scores } from './evaluation/scores.ts';
export { type SilencedLayer, type Silencing, silencing } from './evaluation/silencing.ts';
export { gwrp } from './gwrp.ts';
export { type EmptyMasks, type HeatmapLoss, type HeatmapLossOptions, heatmapLoss } from './heatmap-loss.ts';
export type { LossReport, LossSums } from './loss-meter.ts';
export { isnetMaps, type MapOptions, type Propagation, type RelevanceMaps, relevanceMaps } from './maps.ts';
export {
  type Batch,
  type ClassificationOptions,
  classifierLosses,
  classifierObjective,
  type IsnetOptions,
  isnetLosses,
  isnetObjective,
  type Losses,
  type Objective,
  type StepNumbers,
  type TakeTerm,
} from './objective.ts';
// isnet: ONNX files
export { exportOnnx, type OnnxExportOptions } from './onnx/export.ts';
export { importOnnx, type OnnxImportOptions, OnnxModel } from './onnx/import.ts';
export { completeConfig, imageDefaults, quickstartConfig } from './quickstart-config.ts';
export { type NaturalRangeOptions, naturalRange, type RelevanceRange, rangeOf } from './range.ts';
export { reportHtml } from './report/page.ts';
export {
  evaluationTable,
  type Metrics,
  type ModelMetrics,
  metricsOf,
  metricsTable,
} from './report.ts';
export { gainMethod } from './rivals/gain.ts';
export { hamMethod } from './rivals/ham.ts';
export { methodNamed, methods } from './rivals/index.ts';
export { type IsnetMethodName, type IsnetSettings, isnetMethods } from './rivals/isnets.ts';
export { maskedSource } from './rivals/masks.ts';
export {
  type Method,
  type MethodData,
  type MethodPlan,
  type MethodSetting,
  type ParameterCounts,
  type Phase,
  parameterCounts,
} from './rivals/method.ts';
export { multiTaskMethod } from './rivals/multi-task.ts';
export { type Networks, publishedNetworks, smallNetworks } from './rivals/networks.ts';
export { rightReasonsMethod } from './rivals/right-reasons.ts';
export {
  type MethodImages,
  type TrainedMethod,
  type TrainMethodOptions,
  testSourceFor,
  trainMethod,
} from './rivals/train-method.ts';
export { RunningRange } from './running-range.ts';
export { type SeedOptions, seedGradient, seedRelevance, type Variant } from './seeds.ts';
export {
  type EpochReport,
  type StepReport,
  type TrainJob,
  type TrainOutcome,
  train,
} from './train.ts';
export type { TrainingOptions } from './training-options.ts';
export { startPosition, type TrainingPosition } from './training-position.ts';
export { type HeatmapWeight, heatmapWeightAt } from './weight.ts';
