// Everything that decides a run, as plain JSON: the same configuration and seed give the same run. What it may say is in
// config-schemas.ts; here it is checked, and whoever wrote something else is told what and where.
import type { z } from 'zod';
import { UsageError } from '../engine/errors.ts';
import { didYouMean } from '../engine/nearest-name.ts';
import {
  augmentSchema,
  benchmarkSchema,
  choices,
  dataSchema,
  imagesSchema,
  isnetSchema,
  markerSchema,
  modelSchema,
  networkSchema,
  runSchema,
  smallCnnSchema,
  trainingSchema,
} from './config-schemas.ts';

/** What may stand in the sections of a run, whichever kind they are of. */
const sections: Readonly<Record<string, readonly z.ZodObject[]>> = {
  data: [imagesSchema, markerSchema],
  model: [smallCnnSchema, networkSchema],
  classifier: [trainingSchema],
  isnet: [isnetSchema],
};

/** A whole configuration; every setting has a value. */
export type RunConfig = z.infer<typeof runSchema>;
export type DataConfig = RunConfig['data'];
/** A benchmark by its name. */
export type BenchmarkDataConfig = z.infer<typeof benchmarkSchema>;
/** MNIST with a marker, the only benchmark with more settings than counts. */
export type MarkerDataConfig = z.infer<typeof markerSchema>;
/** The user's own images. */
export type ImageDataConfig = z.infer<typeof imagesSchema>;
export type ModelConfig = RunConfig['model'];
/** The network whose layers are settings. */
export type SmallCnnConfig = z.infer<typeof smallCnnSchema>;
export type TrainingConfig = RunConfig['classifier'];
export type IsnetConfig = RunConfig['isnet'];

type Settings<T> = T extends object ? Partial<T> : T;

/** Settings by section, as a file or the command line gives them: any of them may be missing. */
export type PartialRunConfig = { readonly [K in keyof RunConfig]?: Settings<RunConfig[K]> };

/**
 * The value as a configuration. Throws UsageError for the first setting that is missing, unknown or has a value that
 * cannot work, naming it and the values it may have; `where` (a file name, say) opens the message.
 */
export function parseRunConfig(value: unknown, where = 'config'): RunConfig {
  return checked(runSchema, value, where);
}

/** The value as the data section of a configuration; throws as `parseRunConfig` does. */
export function parseDataConfig(value: unknown, where = 'data'): DataConfig {
  return checked(dataSchema, value, where);
}

/** The value as the model section of a configuration; throws as `parseRunConfig` does. */
export function parseModelConfig(value: unknown, where = 'model'): ModelConfig {
  return checked(modelSchema, value, where);
}

/** The value as settings of images of one's own; throws as `parseRunConfig` does. */
export function parseImageDataConfig(value: unknown, where = 'data'): ImageDataConfig {
  return checked(imagesSchema, value, where);
}

function checked<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  // A misspelt setting is why another is missing: it comes first.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  const isRun = (schema as z.ZodType) === runSchema;
  throw new UsageError(`${where}: ${problemOf(issue, value, isRun)}`, { cause: result.error });
}

function problemOf(issue: z.core.$ZodIssue, whole: unknown, isRun: boolean): string {
  const path = issue.path.join('.');
  const at = (keys: readonly PropertyKey[]): unknown =>
    keys.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], whole);
  const given = at(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const misplaced = isRun && path === '' ? misplacedSettings(issue.keys) : null;
    if (misplaced) return misplaced;
    const known = knownSettings(path, given, isRun);
    const keys = issue.keys.map((key) => `'${key}'${didYouMean(key, known)}`).join(', ');
    const advice = known.length > 0 ? `use ${known.join(', ')}` : 'remove it';
    return `there is no setting ${keys}${path ? ` in '${path}'` : ''}; ${advice}`;
  }
  const isObject = issue.code === 'invalid_type' && issue.expected === 'object';
  const allowed = isObject
    ? `an object of settings: ${knownSettings(path, given, isRun).join(', ')}`
    : issue.message;
  const hint = issue.code === 'invalid_value' || issue.code === 'invalid_union' ? hintOf(issue, given) : '';
  const what = given === undefined ? 'is missing' : `is ${JSON.stringify(given)}`;
  return `${path || 'the whole'} ${what}${hint}; use ${allowed}`;
}

/** What to say of settings beside the sections where the first of them belongs in one; else null. */
function misplacedSettings([first, ...others]: readonly string[]): string | null {
  const homesOf = (key: string) => {
    const homes = Object.entries(sections).filter(([, schemas]) => schemas.some(({ shape }) => key in shape));
    return homes.map(([name]) => `'${name}'`).join(' or ');
  };
  const homes = homesOf(first);
  if (!homes) return null;
  const keys = [first, ...others.filter((key) => homesOf(key) === homes)];
  const list = keys.map((key) => `'${key}'`).join(', ');
  const example = `{ "${homes.split("'")[1]}": { "${first}": ... } }`;
  return `${list} ${keys.length > 1 ? 'belong' : 'belongs'} in the section ${homes}; write ${example}`;
}

/** The nearest of the values that a setting may have, for a misspelt one. */
function hintOf(issue: z.core.$ZodIssue, given: unknown): string {
  const lists: Readonly<Record<string, readonly string[]>> = { ...choices, kind: choices.model };
  const known = lists[String(issue.path.at(-1))] ?? [];
  return typeof given === 'string' ? didYouMean(given, known) : '';
}

function schemaOfData(dataset: unknown): z.ZodObject {
  if (dataset === 'images') return imagesSchema;
  const isOther = benchmarkSchema.shape.dataset.safeParse(dataset).success;
  return isOther ? benchmarkSchema : markerSchema;
}

/** Settings of a section, or of all if it is ''; of `data` and `model` those of the kind that is named in it. */
function knownSettings(section: string, given: unknown, isRun: boolean): string[] {
  const { dataset, kind } = (given ?? {}) as { dataset?: unknown; kind?: unknown };
  const data = schemaOfData(dataset);
  const model = kind === undefined || kind === 'small-cnn' ? smallCnnSchema : networkSchema;
  // A section may also be the whole of what is checked: then its path is empty.
  const part = dataset !== undefined ? data : kind !== undefined ? model : runSchema;
  const schemas: Readonly<Record<string, z.ZodObject>> = {
    '': isRun ? runSchema : part,
    data,
    'data.augment': augmentSchema,
    augment: augmentSchema,
    model,
    classifier: trainingSchema,
    isnet: isnetSchema,
  };
  return Object.keys(schemas[section]?.shape ?? {});
}
