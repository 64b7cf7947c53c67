// A process that makes one cell of a comparison and ends: what a training leaves behind dies with it.
import { openDevice } from '../../engine/node-device.ts';
import { type CellName, writeCell } from './cell.ts';
import { makeCell } from './make-cell.ts';
import type { ComparisonSettings } from './settings.ts';

/** What the process is sent, once. */
export interface CellTask {
  readonly folder: string;
  readonly name: CellName;
  readonly settings: ComparisonSettings;
  /** Processes that make cells at the same time. */
  readonly jobs: number;
  readonly command: string;
}

/** What it says at its end, if it can. The result is in its file. */
export interface CellReply {
  readonly error: string | null;
  /** Why some numbers of the result are missing. */
  readonly remarks: readonly string[];
}

process.once('message', async ({ folder, name, settings, jobs, command }: CellTask) => {
  const remarks: string[] = [];
  let error: string | null = null;
  try {
    const device = await openDevice({ log: () => {} });
    try {
      const made = await makeCell(device, name, settings, (line) => remarks.push(line));
      await writeCell(folder, { ...made, jobs, command });
    } finally {
      await device.close();
    }
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  process.send?.({ error, remarks } satisfies CellReply, () => process.disconnect());
});
