// From words on the command line to values. Each parser throws commander's error, which names the option.
import { InvalidArgumentError } from 'commander';
import type { HeatmapWeight } from '../weight.ts';

/** `12` */
export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Use a whole number from 0 up.');
  return Number(text);
}

/** `0.002` or `2e-3` */
export function decimal(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new InvalidArgumentError('Use a number.');
  return value;
}

/** `0,1,2` */
export function wholeNumbers(text: string): number[] {
  return text.split(',').map(wholeNumber);
}

/** `classifier,oracle`, each once */
export const names = (text: string): string[] => withoutRepeats(text.split(','));

/** `0.7`, `ramp:0.7:3` (from 0 up to 0.7 over three epochs) or `0:0.3,5:0.7` (by first epoch) */
export function heatmapWeight(text: string): HeatmapWeight {
  const problem = 'Use a number such as 0.7, a ramp ramp:0.7:3 or values by first epoch 0:0.3,5:0.7.';
  const parts = text.split(':');
  const numbers = (words: readonly string[]): number[] => {
    const values = words.map((word) => (word === '' ? Number.NaN : Number(word)));
    if (values.some(Number.isNaN)) throw new InvalidArgumentError(problem);
    return values;
  };
  if (parts.length === 1) return numbers(parts)[0];
  if (parts[0] === 'ramp' && parts.length === 3) {
    const [to, epochs] = numbers(parts.slice(1));
    return { to, epochs };
  }
  const entries = text.split(',').map((entry) => numbers(entry.split(':')));
  if (entries.some((entry) => entry.length !== 2)) throw new InvalidArgumentError(problem);
  withoutRepeats(entries.map(([epoch]) => epoch));
  return Object.fromEntries(entries);
}

/** `natural`, `running` or `1,25` */
export function range(text: string): 'natural' | 'running' | { readonly C1: number; readonly C2: number } {
  if (text === 'natural' || text === 'running') return text;
  const [C1, C2, ...rest] = text.split(',').map(decimal);
  if (C2 === undefined || rest.length > 0)
    throw new InvalidArgumentError('Use natural, running, or C1 and C2 such as 1,25.');
  return { C1, C2 };
}

/** `none`, `stages` or the names of modules: `layer2,layer3` */
export function modules(text: string): 'none' | 'stages' | string[] {
  return text === 'none' || text === 'stages' ? text : withoutRepeats(text.split(','));
}

/** Pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** `64` or `80x64`, width first */
export function size(text: string): Size {
  const [, width, height] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? [];
  if (width === undefined) throw new InvalidArgumentError('Use a size such as 64 or 80x64 (width x height).');
  return { width: Number(width), height: Number(height ?? width) };
}

/** Wraps a parser of lists that refuses what would be made, counted or meant twice. */
export const distinct =
  <T>(parse: (text: string) => T[]) =>
  (text: string): T[] =>
    withoutRepeats(parse(text));

function withoutRepeats<T>(values: T[]): T[] {
  const repeated = values.find((value, i) => values.indexOf(value) < i);
  if (repeated === undefined) return values;
  throw new InvalidArgumentError(`${repeated} is named more than once; name it once.`);
}

/** Wraps a parser that takes one argument: commander passes the previous value too. */
export function once<T>(parse: (text: string) => T): (text: string, previous: unknown) => T {
  return (text) => parse(text);
}
