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
  readonly command: string;
}

/** What it says at its end, if it can: an error, or nothing. The result is in its file. */
export interface CellReply {
  readonly error: string | null;
}

process.once('message', async ({ folder, name, settings, command }: CellTask) => {
  let error: string | null = null;
  try {
    const device = await openDevice({ log: () => {} });
    try {
      await writeCell(folder, { ...(await makeCell(device, name, settings)), command });
    } finally {
      await device.close();
    }
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  process.send?.({ error } satisfies CellReply, () => process.disconnect());
});
