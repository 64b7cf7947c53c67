// What every command does around its work: open a device and say which, listen to Ctrl-C, and tidy up.
import type { GpuDevice } from '../../engine/gpu-device.ts';
import { openDevice } from '../../engine/node-device.ts';
import { isClone } from '../environment.ts';

/** Exit codes of the command line. */
export const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** Runs `work` with the best device of this machine, which is named through `log`, and closes it. */
export async function withDevice<T>(
  log: (line: string) => void,
  work: (device: GpuDevice) => Promise<T>,
): Promise<T> {
  const warnings: string[] = [];
  const device = await openDevice({ log: (line) => warnings.push(line) });
  log(`adapter: ${device.description}`);
  for (const warning of warnings) log(`warning: ${warning}`);
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}

// npm and the terminal both pass Ctrl-C on, so it may arrive twice within milliseconds.
const SAME_KEYPRESS_MS = 500;

/**
 * Runs `work` with a signal that the first SIGINT or SIGTERM aborts; `log` is told what happens then, `ending`. The second
 * one ends the process at once.
 */
export async function withInterrupt<T>(
  log: (line: string) => void,
  work: (signal: AbortSignal) => Promise<T>,
  ending = 'ending the step under way and saving',
): Promise<T> {
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (): void => {
    if (!controller.signal.aborted) {
      firstMs = performance.now();
      controller.abort();
      log(`interrupted: ${ending}; press Ctrl-C again to quit at once`);
    } else if (performance.now() - firstMs > SAME_KEYPRESS_MS) process.exit(exitCodes.interrupted);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

/** How a user runs `isnet` from where this code lies: for messages that say what to type next. */
export function commandLine(args: string): string {
  return isClone() ? `npm run isnet -- ${args}` : `isnet ${args}`;
}

/** A path as a shell takes it for one word. */
export function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
