// How much of the relevance arrives at the image, and where the rest went: the leak report, summed over some images.
import { scope } from '../../engine/scope.ts';
import type { Device } from '../../engine/tensor.ts';
import { type Composite, isnetComposite } from '../../lrp/composite.ts';
import { targetSeed } from '../../lrp/explain.ts';
import { type LeakCause, type LeakReport, leakCauses, leakReport } from '../../lrp/leak.ts';
import type { Module } from '../../nn/module.ts';
import { uploadHostBatch } from '../batch.ts';
import type { BatchSource } from '../data/source.ts';
import { evaluating, explainedAtOnce } from './batches.ts';

/** One step of the walk; all numbers are sums over the images. */
export interface ConservationRow {
  readonly name: string;
  readonly kind: string;
  readonly rule: string;
  readonly atOutput: number;
  readonly atInput: number;
  readonly leaks: Readonly<Record<LeakCause, number>>;
  /** Rounding. */
  readonly unexplained: number;
}

export interface Conservation {
  /** Images that were summed over. */
  readonly count: number;
  /** From the logits to the image. */
  readonly rows: readonly ConservationRow[];
}

/** The leak report of the predicted logits of the first images: at most 32, fewer of large ones. Throws as `relevance` does. */
export async function conservationOf(
  device: Device,
  model: Module,
  source: BatchSource,
  {
    composite = isnetComposite(),
    count = 32,
  }: { readonly composite?: Composite; readonly count?: number } = {},
): Promise<Conservation> {
  const batchSize = Math.min(count, source.count, explainedAtOnce(source));
  return evaluating(model, async () => {
    for await (const batch of source.epoch({ batchSize, shuffle: false })) {
      let report: Promise<LeakReport> | undefined;
      // The report encodes all its work before it waits, so the forward pass may go when the scope ends.
      scope(device, () => {
        const { images } = uploadHostBatch(device, source, batch);
        const output = model.forward(images);
        const seed = targetSeed(output, 'predicted', composite);
        report = leakReport({ output, seed, input: images, composite, model });
      });
      return { count: batch.count, rows: summed((await report) as LeakReport) };
    }
    return { count: 0, rows: [] };
  });
}

function summed({ rows }: LeakReport): ConservationRow[] {
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return rows.map(({ name, kind, rule, atOutput, atInput, leaks, unexplained }) => ({
    name,
    kind,
    rule,
    atOutput: sum(atOutput),
    atInput: sum(atInput),
    leaks: Object.fromEntries(leakCauses.map((cause) => [cause, sum(leaks[cause])])) as Record<
      LeakCause,
      number
    >,
    unexplained: sum(unexplained),
  }));
}
