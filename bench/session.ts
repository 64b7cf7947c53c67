// What every bench command does around its measuring: see that no results are lost, and end with the exit codes of `isnet`.
import { type Command, CommanderError } from 'commander';
import { IsnetError, UsageError } from '../engine/errors.ts';
import { exitCodes, withInterrupt } from '../isnet/commands/session.ts';
import { type Report, writeReport } from './report.ts';

/** Measuring, and what is known so far. */
export interface Measuring {
  /** Looks at the signal between cases, and returns when it is aborted. */
  readonly measure: (signal: AbortSignal) => Promise<void>;
  /** Null as long as nothing is measured. */
  readonly report: (isComplete: boolean) => Report | null;
}

/**
 * Measures, and writes the report if there is a path: also when an error or Ctrl-C ends the run, because an hour of results
 * must not be lost to its last minute.
 */
export async function keepResults(path: string | undefined, { measure, report }: Measuring): Promise<void> {
  let isComplete = false;
  try {
    isComplete = await withInterrupt(
      console.warn,
      async (signal) => {
        await measure(signal);
        return !signal.aborted;
      },
      'stopping at the next case and keeping what is measured',
    );
    if (!isComplete) process.exitCode = exitCodes.interrupted;
  } finally {
    const results = path === undefined ? null : report(isComplete);
    if (path !== undefined && results) await writeReport(results, path);
  }
}

/** Runs the command that was typed and sets the exit code. Rejects with what is no IsnetError: a bug, which shows its stack. */
export async function runCommand(command: Command): Promise<void> {
  try {
    await command.exitOverride().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Its code is 0 for help that was asked for.
      if (error.exitCode !== 0) process.exitCode = exitCodes.usage;
      return;
    }
    if (!(error instanceof IsnetError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = error instanceof UsageError ? exitCodes.usage : exitCodes.failure;
  }
}
