// From times per round to a table: ratios are taken within rounds, because only neighbours in time can be compared.
import { medianOf } from '../../isnet/evaluation/bootstrap.ts';
import type { PeerName } from './peers.ts';
import type { CaseResults, PeerResult } from './rounds.ts';

/** How many times as long as ours a peer takes. */
export interface Ratio {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The peer's time over ours, by rounds; null when one of them has no times. */
export function ratioOf(peer: PeerResult, ours: PeerResult | undefined): Ratio | null {
  const count = Math.min(peer.roundMs.length, ours?.roundMs.length ?? 0);
  if (!ours || count === 0) return null;
  const ratios = Array.from({ length: count }, (_, round) => peer.roundMs[round] / ours.roundMs[round]);
  return { median: medianOf(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}

const widths = [37, 14, 11, 22] as const;

function line([name, peer, time, rate, ratio]: readonly string[]): string {
  return `${name.padEnd(widths[0])} ${peer.padEnd(widths[1])} ${time.padStart(widths[2])} ${rate.padStart(widths[3])}  ${ratio}`.trimEnd();
}

export const peerTableHead = (): string =>
  line(['case', 'peer', 'median ms', 'rate', 'times as long as ours (rounds)']);

/** Rows of a case, one per peer that took part. */
export function peerTableRows(
  name: string,
  results: CaseResults,
  { unit, workPerCall }: { unit: string; workPerCall: number },
): string[] {
  return Object.entries(results).map(([peer, result], i) => {
    const label = i === 0 ? name : '';
    if (result.failure) return line([label, peer, '-', '', result.failure]);
    const ms = medianOf(result.roundMs);
    const rate = unit === '' ? '' : `${((1000 * workPerCall) / ms).toPrecision(3)} ${unit}`;
    const isOurs = (peer as PeerName) === 'ours';
    return line([
      label,
      peer,
      ms.toPrecision(4),
      rate,
      isOurs ? '' : ratioText(ratioOf(result, results.ours)),
    ]);
  });
}

function ratioText(ratio: Ratio | null): string {
  if (!ratio) return '';
  const [median, min, max] = [ratio.median, ratio.min, ratio.max].map((x) => x.toPrecision(2));
  return `${median} (${min}-${max})`;
}
