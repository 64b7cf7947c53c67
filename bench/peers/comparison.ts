// A whole comparison: every case in every peer, then the start-ups, row by row into the table and the report.
import { medianOf } from '../../isnet/evaluation/bootstrap.ts';
import type { PeerCase } from './cases.ts';
import { expectedOf } from './expected.ts';
import type { PeerName } from './peers.ts';
import type { ProcessOptions } from './process.ts';
import { type CaseResults, type Field, runCase, runStartups, type StartupName } from './rounds.ts';
import { peerTableRows, ratioOf } from './table.ts';

/** A case in the file of results. */
export interface ReportedCase {
  readonly name: string;
  readonly unit: string;
  readonly workPerCall: number;
  readonly results: object;
}

/** What is compared, and how long. */
export interface ComparisonPlan {
  readonly names: readonly PeerName[];
  readonly cases: readonly PeerCase[];
  readonly startups: readonly StartupName[];
  readonly process: ProcessOptions;
  /** Of everything, start-ups too. */
  readonly roundCount: number;
  readonly sampleMs: number;
}

/** Measures, prints a row per peer and case, and hands each finished case to `add`. An aborted signal ends the peers. */
export async function comparePeers(
  field: Field,
  { names, cases, startups, process, roundCount, sampleMs }: ComparisonPlan,
  signal: AbortSignal,
  add: (item: ReportedCase) => void,
): Promise<void> {
  const report = (name: string, unit: string, workPerCall: number, results: CaseResults): void => {
    for (const row of peerTableRows(name, results, { unit, workPerCall })) console.log(row);
    add({ name, unit, workPerCall, results: withStatistics(results) });
  };
  const end = () => field.end();
  signal.addEventListener('abort', end);
  try {
    for (const item of cases) {
      const expected = await expectedOf(item.work);
      const results = await runCase(field, names, item, expected, { roundCount, sampleMs });
      // Peers that were ended in the middle of it did not fail.
      if (signal.aborted) return;
      report(item.name, item.unit, item.workPerCall, results);
    }
    const available = names.filter((name) => !field.unavailable.has(name));
    // They would be in the way of others that start.
    field.end();
    if (startups.length === 0) return;
    const found = await runStartups(process, available, roundCount, signal);
    for (const name of startups) report(name, '', 1, found[name]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function withStatistics(results: CaseResults): object {
  return Object.fromEntries(
    Object.entries(results).map(([name, result]) => [
      name,
      {
        medianMs: result.failure ? null : medianOf(result.roundMs),
        timesAsLongAsOurs: name === 'ours' ? null : ratioOf(result, results.ours),
        ...result,
      },
    ]),
  );
}
