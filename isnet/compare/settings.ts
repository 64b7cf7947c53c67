// What all cells of a comparison share, so that they can be compared. The file that keeps it guards a folder against cells
// of another budget.
import { join } from 'node:path';
import { UsageError } from '../../engine/errors.ts';
import type { RunConfig, TrainingConfig } from '../config.ts';
import { completeConfig, quickstartConfig } from '../quickstart-config.ts';
import { methodsWith } from '../rivals/index.ts';
import { DEFAULT_P } from '../rivals/isnets.ts';
import type { Method } from '../rivals/method.ts';
import { mediumBlocks, type Networks, publishedNetworks, smallNetworks } from '../rivals/networks.ts';
import { DEFAULT_LAMBDA } from '../rivals/right-reasons.ts';
import { exists, readJson, writeJson } from '../run-folder.ts';
import type { CellName } from './cell.ts';

/** Which networks the methods are built from: see `isnet/rivals/networks.ts`. */
export const networkSizes = ['small', 'medium', 'published'] as const;

export interface ComparisonSettings {
  readonly networks: (typeof networkSizes)[number];
  readonly trainCount: number;
  readonly validationCount: number;
  readonly testCount: number;
  /** Slope below 0 of the ReLUs in classifiers; 0 for ReLU. U-Nets, AG-Sononet and ViT are as they are. */
  readonly negativeSlope: number;
  /** Weight P of the heatmap loss in all ISNets. */
  readonly heatmapWeight: number;
  /** C1 and C2 of all ISNets. */
  readonly range: RunConfig['isnet']['range'];
  /** Weight lambda of the penalty of `right-reasons`. */
  readonly rightReasonsWeight: number;
  /** The budget of each phase of a method. */
  readonly training: TrainingConfig;
}

const { trainCount, validationCount, testCount } = quickstartConfig.data;

/** Minutes per method without a GPU. The rate lies between those that suit the quickstart's classifier and its ISNet. */
export const defaultComparison: ComparisonSettings = {
  networks: 'small',
  trainCount,
  validationCount,
  testCount,
  negativeSlope: quickstartConfig.model.negativeSlope,
  heatmapWeight: DEFAULT_P,
  range: 'running',
  rightReasonsWeight: DEFAULT_LAMBDA,
  training: { ...quickstartConfig.classifier, epochs: 4, batchSize: 32, learningRate: 6e-3 },
};

/** The settings given, over the defaults. Throws UsageError for values that cannot work, as a run's configuration does. */
export function completeSettings(
  given: Partial<Omit<ComparisonSettings, 'training'>>,
  training: Partial<TrainingConfig>,
): ComparisonSettings {
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const ownSlope = given.networks === 'published' ? { negativeSlope: 0 } : {};
  const settings = { ...defaultComparison, ...ownSlope, ...defined };
  const { trainCount, validationCount, testCount, negativeSlope, heatmapWeight, range } = settings;
  if (!(settings.rightReasonsWeight > 0))
    throw new UsageError(
      `compare: --right-reasons-weight is ${settings.rightReasonsWeight}; use a number above 0`,
    );
  const classifier = completeConfig(
    [
      { data: { dataset: 'mnist-marker', trainCount, validationCount, testCount } },
      { classifier: { ...defaultComparison.training } },
      { model: { negativeSlope }, classifier: training, isnet: { P: heatmapWeight, range } },
    ],
    'compare',
  ).classifier;
  return { ...settings, training: classifier };
}

/** The networks that the settings name. */
export function networksOf({ networks, negativeSlope }: ComparisonSettings): Networks {
  if (networks === 'published') return publishedNetworks({ negativeSlope });
  const { kind: _, weights: __, ...sizes } = quickstartConfig.model;
  const blocks = networks === 'medium' ? mediumBlocks : sizes.blocks;
  return smallNetworks({ ...sizes, blocks, negativeSlope });
}

/** All methods with the settings' weights. */
export const methodsOf = ({
  heatmapWeight: P,
  range,
  rightReasonsWeight: lambda,
}: ComparisonSettings): readonly Method[] => methodsWith({ isnet: { P, range }, rightReasons: { lambda } });

/** Keeps the settings in a folder, which is there. Throws UsageError if it holds cells of other settings. */
export async function claimFolder(folder: string, settings: ComparisonSettings): Promise<void> {
  const path = join(folder, 'comparison.json');
  if (!(await exists(path))) return writeJson(path, settings);
  // The commit is no setting: see commits.ts.
  const { commit: _, ...before } = (await readJson(path)) as Readonly<Record<string, unknown>>;
  // A folder from before a setting existed was made without it.
  const differing = differences(
    { negativeSlope: 0, range: 'running', rightReasonsWeight: 0.1, ...before },
    settings as unknown as Readonly<Record<string, unknown>>,
  );
  if (differing.length === 0) return;
  throw new UsageError(
    `compare: '${folder}' holds a comparison with other settings (${differing.join(', ')}); give those, or another --output`,
  );
}

function differences(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
  path = '',
): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((key) => {
    const [a, b] = [before[key], now[key]];
    if (JSON.stringify(a) === JSON.stringify(b)) return [];
    const name = path ? `${path}.${key}` : key;
    const isSection = typeof a === 'object' && typeof b === 'object' && a !== null && b !== null;
    if (!isSection) return [`${name} ${JSON.stringify(a)}, now ${JSON.stringify(b)}`];
    return differences(a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>, name);
  });
}

/** Options of `isnet compare` that make one cell. */
export function cellOptions({ benchmark, method, seed }: CellName, settings: ComparisonSettings): string {
  const { networks, trainCount, validationCount, testCount, training } = settings;
  const { negativeSlope, heatmapWeight, range, rightReasonsWeight } = settings;
  const options: Readonly<Record<string, string | number>> = {
    benchmarks: benchmark,
    methods: method,
    seeds: seed,
    networks,
    'train-count': trainCount,
    'validation-count': validationCount,
    'test-count': testCount,
    epochs: training.epochs,
    'batch-size': training.batchSize,
    lr: training.learningRate,
    'heatmap-weight': heatmapWeight,
    'right-reasons-weight': rightReasonsWeight,
    'negative-slope': negativeSlope,
    ...(range === 'running' ? {} : { range: range === 'natural' ? range : `${range.C1},${range.C2}` }),
  };
  return Object.entries(options)
    .map(([name, value]) => `--${name} ${value}`)
    .join(' ');
}
