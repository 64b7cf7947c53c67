// Writes down how a training goes (Node only): metrics.jsonl for programs, metrics.csv for tables, and event files for
// TensorBoard if asked.
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../engine/files.ts';
import { type CollapseSigns, deadestLayer } from '../collapse.ts';
import type { LossReport } from '../loss-meter.ts';
import type { RelevanceRange } from '../range.ts';
import { appendToLog, exists, type RunFolder, RunFolderError, readLog } from '../run-folder.ts';
import type { EpochReport, StepReport } from '../train.ts';
import { type EpochLine, epochLine, epochTable } from './epoch-line.ts';
import { firstRecord, restartRecord, scalarsRecord } from './tensorboard.ts';

/** The logs of one model of a run. */
export class RunLog {
  readonly #folder: RunFolder;
  readonly #model: string;
  readonly #events: EventFile | null;

  private constructor(folder: RunFolder, model: string, events: EventFile | null) {
    this.#folder = folder;
    this.#model = model;
    this.#events = events;
  }

  /** `step` is where the training begins or goes on. Throws RunFolderError if an event file cannot be made. */
  static async open(
    folder: RunFolder,
    model: string,
    { tensorboard, step }: { readonly tensorboard: boolean; readonly step: number },
  ): Promise<RunLog> {
    const events = tensorboard ? await EventFile.create(join(folder.tensorboard, model), step) : null;
    return new RunLog(folder, model, events);
  }

  /** Losses are those of the steps since the last call. */
  step({ recent, step, learningRate, P, imagesPerSecond }: StepReport): void {
    const heatmapWeight: Record<string, number> = recent.heatmap === null ? {} : { 'step/P': P };
    this.#events?.add(step, {
      ...named('step', recent),
      'step/learning_rate': learningRate,
      ...heatmapWeight,
      'step/images_per_second': imagesPerSecond,
    });
  }

  /** `range` is C1 and C2 where there are any. Resolves when everything so far is written. */
  async epoch(report: EpochReport, range: RelevanceRange | null, signs: CollapseSigns): Promise<void> {
    await appendToLog(this.#folder, epochLine(this.#model, report, range, signs));
    await writeFileAtomically(this.#folder.table, epochTable(await readLog(this.#folder)), style);
    this.#events?.add(report.position.step, {
      ...named('train', report.train),
      ...(report.validation ? named('validation', report.validation) : {}),
      ...(range ? { ...bounds('C1', range.C1), ...bounds('C2', range.C2) } : {}),
      ...collapseScalars(signs),
    });
    await this.#events?.written();
  }

  async close(): Promise<void> {
    await this.#events?.close();
  }
}

/** The signs of the epochs of a model up to a step. Throws RunFolderError where the log is damaged. */
export async function loggedSigns(
  folder: RunFolder,
  model: string,
  lastStep: number,
): Promise<CollapseSigns[]> {
  if (!(await exists(folder.log))) return [];
  const lines = (await readLog(folder)) as EpochLine[];
  const own = lines.filter((line) => line.model === model && line.step <= lastStep);
  // Runs from before there were signs have none.
  return own.flatMap(({ collapse }) => collapse ?? []);
}

function named(group: string, { total, classification, heatmap }: LossReport): Record<string, number> {
  const losses = { [`${group}/loss`]: total, [`${group}/classification`]: classification };
  return heatmap === null ? losses : { ...losses, [`${group}/heatmap`]: heatmap };
}

function collapseScalars(signs: CollapseSigns): Record<string, number> {
  const { logitNorm, foregroundLogitNorm } = signs;
  const worst = deadestLayer(signs);
  return {
    'collapse/logit_norm': logitNorm,
    ...(foregroundLogitNorm === null ? {} : { 'collapse/foreground_logit_norm': foregroundLogitNorm }),
    ...(worst ? { 'collapse/dead_share': worst.share } : {}),
  };
}

function bounds(name: string, value: number | readonly number[]): Record<string, number> {
  if (typeof value === 'number') return { [name]: value };
  return Object.fromEntries(value.map((bound, i) => [`${name}/${i}`, bound]));
}

const style = { where: 'run folder', error: RunFolderError } as const;

const now = (): number => Date.now() / 1000;

/** A file of events that grows. A viewer reads along and waits at a record that is not whole yet. */
class EventFile {
  readonly #path: string;
  readonly #file: FileHandle;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  static async create(folder: string, step: number): Promise<EventFile> {
    const path = join(folder, `events.out.tfevents.${Math.floor(now())}.isnet.${process.pid}`);
    try {
      await mkdir(folder, { recursive: true });
      const events = new EventFile(path, await open(path, 'a'));
      events.#append(firstRecord(now()));
      // What a cut-off process wrote behind the state that we go on from will come again.
      if (step > 0) events.#append(restartRecord(now(), step + 1));
      await events.written();
      return events;
    } catch (cause) {
      throw cause instanceof RunFolderError ? cause : writeError(path, cause);
    }
  }

  add(step: number, scalars: Readonly<Record<string, number>>): void {
    this.#append(scalarsRecord({ wallTime: now(), step, scalars }));
  }

  #append(bytes: Uint8Array): void {
    this.#writes = this.#writes.then(() => this.#file.appendFile(bytes));
    // Whoever waits for the writes hears of it; until then it must not end the process.
    this.#writes.catch(() => {});
  }

  /** Rejects with RunFolderError if something could not be written. */
  async written(): Promise<void> {
    try {
      await this.#writes;
    } catch (cause) {
      throw writeError(this.#path, cause);
    }
  }

  async close(): Promise<void> {
    await this.#writes.catch(() => {});
    await this.#file.close();
  }
}

const writeError = (path: string, cause: unknown): RunFolderError =>
  new RunFolderError(
    `run folder: '${path}' cannot be written (${(cause as Error).message}); free some space, or leave out --tensorboard`,
    { cause },
  );
