// Data sets on disk, opened small for tests, and closed behind them.
import { afterAll } from 'vitest';
import type { ImageDataConfig } from '../isnet/config.ts';
import { openImages } from '../isnet/data/files/loader.ts';
import type { DataSplits } from '../isnet/data/splits.ts';
import { imageDefaults } from '../isnet/quickstart-config.ts';

// A thread takes half a second to start, hence one unless a test is about several.
const small = { height: 8, width: 8, workers: 1, prefetch: 2 };

const opened: DataSplits[] = [];
afterAll(async () => {
  for (const data of opened) await data.close();
});

/** A data set of images of 8x8, which is closed after the tests of the file. */
export async function openSmall(
  source: string,
  change: Partial<ImageDataConfig> = {},
  log?: (line: string) => void,
): Promise<DataSplits> {
  const data = await openImages({ ...imageDefaults, ...small, source, ...change }, { seed: 3, log });
  opened.push(data);
  return data;
}
