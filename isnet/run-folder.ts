// The folder of one run (Node only). A run owns the names below and nothing else in it, and never takes them from another
// run unasked: hours of training must not be lost to a repeated command.
import { randomUUID } from 'node:crypto';
import { access, mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IsnetError } from '../engine/errors.ts';
import { readFileBytes, writeFileAtomically } from '../engine/files.ts';

/** A run folder is taken, cannot be written or does not hold what it should. */
export class RunFolderError extends IsnetError {
  override name = 'RunFolderError';
}

/** Paths of everything a run writes. */
export interface RunFolder {
  readonly path: string;
  readonly config: string;
  readonly environment: string;
  /** Which images of which classes it is trained and tested on, in numbers. */
  readonly data: string;
  /** One line per epoch and model. */
  readonly log: string;
  /** The same as a table. */
  readonly table: string;
  /** Event files, a folder per model, where asked for. */
  readonly tensorboard: string;
  /** Results; written last, so that its presence means the run is finished. */
  readonly metrics: string;
  /** Everything that was measured, with intervals. */
  readonly evaluation: string;
  /** The same for people: one HTML file. */
  readonly report: string;
  /** What the weights are, for whoever is given them. */
  readonly card: string;
  /** Weights and optimiser of the model in training: what `--resume` needs besides the configuration. */
  readonly state: string;
  readonly picture: string;
  /** The picture's captions. */
  readonly captions: string;
  /** A weights file by its name without ending. */
  readonly weights: (name: string) => string;
}

/** Names that a run owns in its folder: these, and no others, are deleted by `--overwrite`. */
const ownFiles = [
  'config.json',
  'environment.json',
  'data.json',
  'metrics.jsonl',
  'metrics.csv',
  'metrics.json',
  'evaluation.json',
  'report.html',
  'MODEL_CARD.md',
] as const;
const ownFolders = ['weights', 'state', 'heatmaps'] as const;
/** Folders that only some runs have. */
const optionalFolders = ['tensorboard'] as const;

/** The paths in a run folder, whether or not it exists. */
export function runFolder(path: string): RunFolder {
  return {
    path,
    config: join(path, 'config.json'),
    environment: join(path, 'environment.json'),
    data: join(path, 'data.json'),
    log: join(path, 'metrics.jsonl'),
    table: join(path, 'metrics.csv'),
    tensorboard: join(path, 'tensorboard'),
    metrics: join(path, 'metrics.json'),
    evaluation: join(path, 'evaluation.json'),
    report: join(path, 'report.html'),
    card: join(path, 'MODEL_CARD.md'),
    state: join(path, 'state', 'resume.safetensors'),
    picture: join(path, 'heatmaps', 'test-images.png'),
    captions: join(path, 'heatmaps', 'test-images.txt'),
    weights: (name) => join(path, 'weights', `${name}.safetensors`),
  };
}

/**
 * Makes sure that the folder can be written, creating it if need be. Throws RunFolderError if it already holds something
 * and `overwrite` is not set, or if it is no run's; nothing in it is touched until `clearRunFolder`.
 */
export async function createRunFolder(path: string, { overwrite = false } = {}): Promise<RunFolder> {
  const folder = runFolder(path);
  try {
    await mkdir(path, { recursive: true });
    // A lock alone is of a run that ended before it began.
    const names = (await readdir(path)).filter((name) => name !== '.lock');
    if (names.length > 0 && !overwrite) {
      throw new RunFolderError(
        `run folder: '${path}' exists and is kept; pass --overwrite to replace it, --resume '${path}' to go on with it, or another --name`,
      );
    }
    if (names.length > 0 && !names.includes('config.json')) {
      throw new RunFolderError(
        `run folder: '${path}' is not from a run (it has no config.json), so it is not overwritten; pass another --name`,
      );
    }
    const probe = join(path, `.${randomUUID()}.tmp`);
    await writeFile(probe, '');
    await rm(probe);
  } catch (cause) {
    throw folderError(path, cause);
  }
  return folder;
}

/** The folder of an earlier run. Throws RunFolderError if there is none at the path. */
export async function openRunFolder(path: string): Promise<RunFolder> {
  const folder = runFolder(path);
  if (!(await exists(folder.config))) {
    throw new RunFolderError(`run folder: '${path}' holds no run (no config.json); check the path`);
  }
  return folder;
}

/** Deletes what an earlier run left under the run's own names, and makes the folders inside. */
export async function clearRunFolder({ path }: RunFolder): Promise<void> {
  try {
    for (const name of [...ownFiles, ...ownFolders, ...optionalFolders])
      await rm(join(path, name), { recursive: true, force: true });
    for (const name of ownFolders) await mkdir(join(path, name));
  } catch (cause) {
    throw folderError(path, cause);
  }
}

/** Takes back a folder that was created but never filled. */
export async function abandonRunFolder({ path }: RunFolder): Promise<void> {
  if ((await readdir(path)).length === 0) await rmdir(path);
}

/** Whether there is a file or folder at the path. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Writes a value as readable JSON, whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`, style);
}

/** Reads JSON. Throws RunFolderError, naming the path, if it is missing or no JSON. */
export async function readJson(path: string): Promise<unknown> {
  return parseJson(path, new TextDecoder().decode(await readFileBytes(path, style)));
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RunFolderError(
      `run folder: '${path}' is no JSON (${(cause as Error).message}); restore the file`,
      {
        cause,
      },
    );
  }
}

/** One line of metrics.jsonl. */
export interface LogLine {
  readonly model: string;
  readonly epoch: number;
}

/**
 * Adds an epoch to metrics.jsonl. An earlier line of the same model and epoch is replaced: a resumed run may repeat an
 * epoch that was logged but not saved.
 */
export async function appendToLog(folder: RunFolder, line: LogLine): Promise<void> {
  const before = (await exists(folder.log)) ? await readLog(folder) : [];
  const others = before.filter(({ model, epoch }) => model !== line.model || epoch !== line.epoch);
  const text = [...others, line].map((entry) => `${JSON.stringify(entry)}\n`).join('');
  await writeFileAtomically(folder.log, text, style);
}

/** The lines of metrics.jsonl. Throws RunFolderError, naming the path, if it is missing or damaged. */
export async function readLog(folder: RunFolder): Promise<LogLine[]> {
  const text = new TextDecoder().decode(await readFileBytes(folder.log, style));
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseJson(folder.log, line) as LogLine);
}

const style = { where: 'run folder', error: RunFolderError } as const;

/** How errors call a folder, and the option that names another. */
export interface FolderWords {
  readonly where: string;
  readonly option: string;
}

/** The error of a folder that cannot be made or written. Errors of ours pass. */
export function folderError(
  path: string,
  cause: unknown,
  { where, option }: FolderWords = { where: 'run folder', option: '--output-dir' },
): RunFolderError {
  if (cause instanceof RunFolderError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const reasons: Readonly<Record<string, string>> = {
    ENOTDIR: 'part of the path is a file',
    EEXIST: 'it is a file',
    EACCES: 'no permission',
    EPERM: 'no permission',
    EROFS: 'the disk is read-only',
    ENOSPC: 'the disk is full',
  };
  const reason = reasons[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new RunFolderError(
    `${where}: '${path}' cannot be written (${reason}); choose another ${option} or change its permissions`,
    { cause },
  );
}
