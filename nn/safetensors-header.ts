// Checks the header of a safetensors file, which comes from elsewhere: every number in it is proved before it is used.
// Nothing is repaired. A reader that guesses loads other weights than the one that wrote the file.
import { CheckpointError } from '../engine/errors.ts';
import { formatShape, sizeOf } from '../engine/shape.ts';
import { type Dtype, dtypes } from './safetensors-dtypes.ts';

/** One tensor as the header describes it; `begin` and `end` count bytes from the start of the data. */
export interface Entry {
  readonly name: string;
  readonly dtypeName: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A header that holds: the entries tile the data, in the order of their bytes. */
export interface Header {
  readonly entries: readonly Entry[];
  readonly metadata: Record<string, string>;
  readonly dataStart: number;
}

/** The one name that no tensor may have. */
export const metadataKey = '__metadata__';
/** Bytes of the number in front of the header, its length. */
export const lengthBytes = 8;
/** The reference implementation's limit. It stops a damaged length from asking for gigabytes of JSON. */
export const maxHeaderBytes = 100_000_000;
const again = 'download or export the file again';

/** Reads and checks everything in front of the data of a whole file. Throws CheckpointError for any damage. */
export function readHeader(bytes: Uint8Array, where: string): Header {
  const dataStart = lengthBytes + readHeaderLength(bytes, where);
  const header = parseHeader(bytes.subarray(lengthBytes, dataStart), where);
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === metadataKey) metadata = checkMetadata(value, where);
    else entries.push(checkEntry(name, value, where));
  }
  // Several empty tensors may begin at one offset; the end then puts them before the tensor that holds something.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCoverage(entries, bytes.length - dataStart, where);
  return { entries, metadata, dataStart };
}

function readHeaderLength(bytes: Uint8Array, where: string): number {
  if (bytes.length < lengthBytes) {
    throw new CheckpointError(
      `${where}: ${bytes.length} bytes are no safetensors file, 8 is the least; ${again}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw new CheckpointError(
      `${where}: the header claims ${length} bytes, over the limit of ${maxHeaderBytes}; check that this is a safetensors file`,
    );
  }
  if (length > BigInt(bytes.length - lengthBytes)) {
    throw new CheckpointError(
      `${where}: the header claims ${length} bytes but only ${bytes.length - lengthBytes} follow; the file is cut short, ${again}`,
    );
  }
  return Number(length);
}

function parseHeader(bytes: Uint8Array, where: string): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${where}: the header is not JSON in UTF-8; ${again}`, { cause });
  }
  if (!isObject(header)) {
    throw new CheckpointError(`${where}: the header is ${kindOf(header)}, not an object; ${again}`);
  }
  const twice = findDuplicateKey(text);
  if (twice !== undefined) {
    // Readers differ in which one they keep, so two programs would see different weights.
    throw new CheckpointError(
      `${where}: the header names '${twice}' twice; export the file with unique names`,
    );
  }
  return header;
}

/** First key that occurs twice in one object of `json`, which must be valid; JSON.parse keeps the last one silently. */
function findDuplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === '{') open.push(new Set());
    else if (c === '}') open.pop();
    else if (c === '"') {
      const start = i++;
      while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
      let next = i + 1;
      while (' \t\r\n'.includes(json[next])) next++;
      if (json[next] !== ':') continue;
      const key: string = JSON.parse(json.slice(start, i + 1));
      const keys = open[open.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function checkMetadata(value: unknown, where: string): Record<string, string> {
  if (!isObject(value)) {
    throw new CheckpointError(
      `${where}: ${metadataKey} is ${kindOf(value)}, not an object of strings; ${again}`,
    );
  }
  const pairs = Object.entries(value).map(([key, text]): [string, string] => {
    if (typeof text !== 'string') {
      throw new CheckpointError(
        `${where}: ${metadataKey}.${key} is ${kindOf(text)}, not a string; store it as JSON text`,
      );
    }
    return [key, text];
  });
  return Object.fromEntries(pairs);
}

function checkEntry(name: string, value: unknown, where: string): Entry {
  const subject = `${where}: tensor '${name}'`;
  if (!isObject(value)) {
    throw new CheckpointError(`${subject} is ${kindOf(value)} in the header, not an object; ${again}`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSizes(shape)) {
    throw new CheckpointError(
      `${subject} has shape ${show(shape)}, not a list of whole numbers from 0 up; ${again}`,
    );
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw new CheckpointError(
      `${subject} has data_offsets ${show(offsets)}, not [begin, end] with begin <= end; ${again}`,
    );
  }
  const [begin, end] = offsets;
  const known = typeof dtype === 'string' ? dtypes.get(dtype) : undefined;
  if (known === undefined) {
    throw new CheckpointError(
      `${subject} has the unknown dtype ${show(dtype)}; convert it to one of ${[...dtypes.keys()].join(', ')}`,
    );
  }
  const expectedBytes = known.bytes * sizeOf(shape);
  if (expectedBytes !== end - begin) {
    throw new CheckpointError(
      `${subject} is ${dtype} ${formatShape(shape)}, ${expectedBytes} bytes, but its offsets span ${end - begin}; ${again}`,
    );
  }
  return { name, dtypeName: String(dtype), dtype: known, shape, begin, end };
}

/** The tensors, sorted, must tile the data: a gap may hide bytes, an overlap makes two names share numbers. */
function checkCoverage(entries: readonly Entry[], dataBytes: number, where: string): void {
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (end > dataBytes) {
      throw new CheckpointError(
        `${where}: tensor '${name}' ends at byte ${end} but the data has ${dataBytes}; the file is cut short, ${again}`,
      );
    }
    if (begin !== covered) {
      const fault = begin < covered ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw new CheckpointError(
        `${where}: tensor '${name}' begins at byte ${begin} where ${covered} is due and ${fault}; ${again}`,
      );
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw new CheckpointError(
      `${where}: ${dataBytes - covered} bytes after the last tensor belong to none, a hole at the end; ${again}`,
    );
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `of type ${typeof value}`;
}

/** A value of the header for an error message: one level deep and short, whatever the file holds. */
function show(value: unknown): string {
  if (Array.isArray(value)) {
    const items = value.slice(0, 8).map((item) => (Array.isArray(item) ? '[...]' : show(item)));
    return `[${items.join(', ')}${value.length > 8 ? ', ...' : ''}]`;
  }
  return isObject(value) ? '{...}' : String(JSON.stringify(value)).slice(0, 40);
}
