// The models that a path on the command line means: those of a run folder, or the one of a weights file.
import { stat } from 'node:fs/promises';
import { CheckpointError, UsageError } from '../../engine/errors.ts';
import { didYouMean } from '../../engine/nearest-name.ts';
import type { Device } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { loadModel, type ModelCard } from '../checkpoint.ts';
import { readRunConfig } from '../experiment.ts';
import { exists, openRunFolder } from '../run-folder.ts';
import { stagesOf, weightsPath } from '../stage.ts';

/** A model that was read from disk. */
export interface LoadedModel {
  readonly name: ModelCard['method'];
  readonly path: string;
  readonly model: Module;
  readonly card: ModelCard;
}

/**
 * Loads the reported models of a run folder, or the model of a weights file; throws CheckpointError if there is nothing
 * to load at the path.
 */
export async function loadModels(
  device: Device,
  path: string,
  which: 'best' | 'last',
): Promise<LoadedModel[]> {
  const models: LoadedModel[] = [];
  for (const file of await weightsFiles(path, which)) {
    const { model, card } = await loadModel(device, file);
    models.push({ name: card.method, path: file, model, card });
  }
  return models;
}

async function weightsFiles(path: string, which: 'best' | 'last'): Promise<string[]> {
  if (!(await exists(path))) {
    throw new CheckpointError(`load: there is no run or weights file '${path}'; check the path`);
  }
  if (!(await stat(path)).isDirectory()) return [path];
  const folder = await openRunFolder(path);
  const stages = stagesOf(await readRunConfig(folder)).filter(({ role }) => role !== 'range-copy');
  const files: string[] = [];
  for (const stage of stages) {
    const file = weightsPath(folder, stage, which);
    if (await exists(file)) files.push(file);
  }
  if (files.length === 0) {
    throw new CheckpointError(
      `load: the run '${path}' has no ${which} weights yet; go on training it, or try --weights`,
    );
  }
  return files;
}

/** What `--target` means: `predicted`, or the position of a class. Throws UsageError, with the nearest, for no class. */
export function targetOf(command: string, name: string, classNames: readonly string[]): number | 'predicted' {
  if (name === 'predicted') return name;
  const target = classNames.indexOf(name);
  if (target >= 0) return target;
  throw new UsageError(
    `${command}: there is no class '${name}'${didYouMean(name, classNames)}; use predicted or one of ${classNames.join(', ')}`,
  );
}
