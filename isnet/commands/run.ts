// Trains with everything a person at a terminal needs: progress, interruption, the table. Shared by train and quickstart.
import type { RunConfig } from '../config.ts';
import { runExperiment } from '../experiment.ts';
import { metricsTable } from '../report.ts';
import { abandonRunFolder, exists, type RunFolder } from '../run-folder.ts';
import { progressDisplay } from './progress.ts';
import { commandLine, exitCodes, quoted, withDevice, withInterrupt } from './session.ts';

/** Runs a configuration in its folder and shows how it goes. Resolves to the exit code. */
export async function runInTerminal(
  config: RunConfig,
  folder: RunFolder,
  { isResumed = false } = {},
): Promise<number> {
  const display = progressDisplay();
  display.log(`run folder: ${folder.path}`);
  try {
    const metrics = await withInterrupt(display.log, (signal) =>
      withDevice(display.log, (device) =>
        runExperiment(config, {
          device,
          folder,
          isResumed,
          signal,
          log: display.log,
          progress: display.show,
        }),
      ),
    );
    display.stop();
    if (!metrics) {
      console.log(await wayOn(folder));
      return exitCodes.interrupted;
    }
    console.log(`\n${metricsTable(metrics.models)}\n`);
    console.log(`picture: ${folder.picture}`);
    console.log(`report: ${folder.report}`);
    console.log(`results: ${folder.metrics} (${metrics.seconds.toFixed(0)} s on ${metrics.adapter})`);
    return exitCodes.success;
  } finally {
    display.stop();
    await abandonRunFolder(folder);
  }
}

async function wayOn(folder: RunFolder): Promise<string> {
  if (!(await exists(folder.state)))
    return 'interrupted before the first step; nothing was saved, start again';
  return `saved; go on with: ${commandLine(`train --resume ${quoted(folder.path)}`)}`;
}
