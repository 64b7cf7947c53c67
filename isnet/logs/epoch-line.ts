// What is logged of an epoch, as one JSON object and as one row of a table.
import { stringify } from 'csv-stringify/sync';
import { type CollapseSigns, deadestLayer } from '../collapse.ts';
import type { RelevanceRange } from '../range.ts';
import type { LogLine } from '../run-folder.ts';
import type { EpochReport } from '../train.ts';

/** A line of metrics.jsonl. */
export interface EpochLine extends LogLine {
  readonly step: number;
  readonly train: EpochReport['train'];
  readonly validation: EpochReport['validation'];
  readonly isBest: boolean;
  /** Early stopping ended the training here. */
  readonly isLast: boolean;
  readonly learningRate: number | null;
  readonly P: number | null;
  readonly seconds: number;
  readonly imagesPerSecond: number;
  /** Of an ISNet: C1 and C2, as measured or as estimated by now. */
  readonly range?: RelevanceRange;
  /** On some validation images, or training images where there are none. */
  readonly collapse: CollapseSigns;
}

/** The line of an epoch, which counts from 1 there. */
export function epochLine(
  model: string,
  report: EpochReport,
  range: RelevanceRange | null,
  collapse: CollapseSigns,
): EpochLine {
  const { epoch, position, train, validation, isBest, isLast, learningRate, P } = report;
  const { seconds, imagesPerSecond } = report;
  const line = { model, epoch: epoch + 1, step: position.step, train, validation, isBest, isLast };
  return { ...line, learningRate, P, seconds, imagesPerSecond, ...(range ? { range } : {}), collapse };
}

/** Lines as a CSV file with a header; what there is not is an empty cell, and several bounds are a JSON list. */
export function epochTable(lines: readonly Partial<EpochLine>[]): string {
  const rows = lines.map(({ train, validation, range, collapse, ...line }) => ({
    model: line.model,
    epoch: line.epoch,
    step: line.step,
    train_loss: train?.total,
    train_classification: train?.classification,
    train_heatmap: train?.heatmap,
    validation_loss: validation?.total,
    validation_classification: validation?.classification,
    validation_heatmap: validation?.heatmap,
    is_best: line.isBest,
    learning_rate: line.learningRate,
    P: line.P,
    C1: range?.C1,
    C2: range?.C2,
    logit_norm: collapse?.logitNorm,
    foreground_logit_norm: collapse?.foregroundLogitNorm,
    ...deadColumns(collapse),
    seconds: line.seconds,
    images_per_second: line.imagesPerSecond,
  }));
  return stringify(rows, { header: true, cast: { boolean: String } });
}

/** The layer with the largest share of channels that never fire, and that share. */
function deadColumns(collapse: CollapseSigns | undefined): { dead_share?: number; dead_layer?: string } {
  const worst = collapse ? deadestLayer(collapse) : null;
  return { dead_share: worst?.share, dead_layer: worst?.layer };
}
