// What a report is made of. Plain data: whoever writes one has measured, drawn and read files before.
import type { CollapseSigns } from '../collapse.ts';
import type { Environment } from '../environment-facts.ts';
import type { ModelEvaluation } from '../evaluation/model.ts';
import type { AskedFor } from '../report.ts';

/** One line of metrics.jsonl. */
export interface EpochLosses {
  readonly model: string;
  readonly epoch: number;
  readonly train: LossNumbers;
  readonly validation: LossNumbers | null;
  /** Runs of earlier versions have none. */
  readonly collapse?: CollapseSigns;
}

interface LossNumbers {
  readonly total: number;
  readonly classification: number;
  readonly heatmap: number | null;
}

/** One image with a heatmap per model. */
export interface HeatmapRow {
  /** Least or most background relevance in the main model's heatmap; without masks, the first image of a class. */
  readonly group: 'least' | 'most' | 'first';
  readonly title: string;
  readonly cells: readonly {
    /** PNG as a data URI. */
    readonly uri: string;
    readonly title: string;
    readonly note: string;
  }[];
}

/** Everything in a report. */
export interface ReportInput extends AskedFor {
  readonly name: string;
  /** ISO date of the evaluation. */
  readonly date: string;
  readonly adapter: string;
  /** Which weights were evaluated, 'best' or 'last'. */
  readonly weights: string;
  /** In the order of tables; the last is the one that the run is about. */
  readonly models: readonly ModelEvaluation[];
  readonly log: readonly EpochLosses[];
  readonly heatmaps: readonly HeatmapRow[];
  /** config.json. */
  readonly config: unknown;
  /** environment.json. */
  readonly environment: Environment;
}
