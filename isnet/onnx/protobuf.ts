// Protocol buffers as far as ONNX files use them: messages are tables of fields, and the tables read and write the bytes.
// A library would know more kinds of fields and still want these tables. The growing buffers of those that are small
// enough for a browser copy the weights of a large network several times; here they are copied once.
import { CheckpointError, UsageError } from '../../engine/errors.ts';

type Kind = 'int' | 'float' | 'double' | 'text' | 'bytes' | Schema;

/** A field by its number, with the types that it has when it is read and when it is written. */
export interface Field<_Read, _Write> {
  readonly number: number;
  readonly kind: Kind;
  readonly isRepeated: boolean;
  /** Whether repeated numbers are written as one run. Both forms are read. */
  readonly isPacked: boolean;
}

/** The fields of a message by their name here. */
export interface Schema {
  readonly [name: string]: Field<unknown, unknown>;
}

/** A message as it is read: lists are empty and other fields undefined where the file has none. */
export type Message<S extends Schema> = {
  readonly [K in keyof S]: S[K] extends Field<infer Read, unknown> ? Read : never;
};

/** A message to be written. */
export type Draft<S extends Schema> = {
  readonly [K in keyof S]?: S[K] extends Field<unknown, infer Write> ? Write : never;
};

interface Values {
  int: number;
  float: number;
  double: number;
  text: string;
  bytes: Uint8Array;
}

/** A field that stands once or not at all. */
export const one = <K extends keyof Values>(
  number: number,
  kind: K,
): Field<Values[K] | undefined, Values[K]> => ({ number, kind, isRepeated: false, isPacked: false });

/** A field that may be repeated. */
export const many = <K extends keyof Values>(
  number: number,
  kind: K,
): Field<readonly Values[K][], readonly Values[K][]> => ({ number, kind, isRepeated: true, isPacked: false });

/** Numbers in a row, written as one run. */
export const packed = <K extends 'int' | 'float' | 'double'>(
  number: number,
  kind: K,
): Field<readonly number[], readonly number[]> => ({ number, kind, isRepeated: true, isPacked: true });

/** A message in a message. */
export const inner = <S extends Schema>(
  number: number,
  kind: S,
): Field<Message<S> | undefined, Draft<S>> => ({ number, kind, isRepeated: false, isPacked: false });

/** Messages in a message. */
export const inners = <S extends Schema>(
  number: number,
  kind: S,
): Field<readonly Message<S>[], readonly Draft<S>[]> => ({ number, kind, isRepeated: true, isPacked: false });

// What follows a field's number: a varint, 8 bytes, bytes with their length, or 4 bytes.
const [VARINT, EIGHT, SIZED, FOUR] = [0, 1, 2, 5];
const wireType = (kind: Kind): number =>
  kind === 'int' ? VARINT : kind === 'double' ? EIGHT : kind === 'float' ? FOUR : SIZED;

const isNumeric = (kind: Kind): boolean => kind === 'int' || kind === 'float' || kind === 'double';

/** Bytes of a message. Throws UsageError above 2 GiB, which no reader of protocol buffers takes. */
export function encode<S extends Schema>(schema: S, message: Draft<S>): Uint8Array<ArrayBuffer> {
  const parts = partsOf(schema, message);
  const length = lengthOf(parts);
  if (length >= 2 ** 31) {
    throw new UsageError(
      `onnx: the file would have ${length} bytes and may have 2^31; export a smaller model`,
    );
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

const lengthOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, { length }) => sum + length, 0);

function partsOf(schema: Schema, message: Readonly<Record<string, unknown>>): Uint8Array[] {
  return Object.entries(schema).flatMap(([name, { number, kind, isRepeated, isPacked }]) => {
    const value = message[name];
    if (value === undefined) return [];
    const values = isRepeated ? (value as readonly unknown[]) : [value];
    if (!isPacked)
      return values.flatMap((item) => [varint(8 * number + wireType(kind)), ...valueParts(kind, item)]);
    return values.length === 0
      ? []
      : sized(
          8 * number + SIZED,
          values.flatMap((item) => valueParts(kind, item)),
        );
  });
}

function valueParts(kind: Kind, value: unknown): Uint8Array[] {
  switch (kind) {
    case 'int':
      return [varint(value as number)];
    case 'float':
      return [new Uint8Array(new Float32Array([value as number]).buffer)];
    case 'double':
      return [new Uint8Array(new Float64Array([value as number]).buffer)];
    case 'text':
      return withLength([new TextEncoder().encode(value as string)]);
    case 'bytes':
      return withLength([value as Uint8Array]);
    default:
      return withLength(partsOf(kind, value as Readonly<Record<string, unknown>>));
  }
}

const withLength = (parts: Uint8Array[]): Uint8Array[] => [varint(lengthOf(parts)), ...parts];
const sized = (key: number, parts: Uint8Array[]): Uint8Array[] => [varint(key), ...withLength(parts)];

/** Seven bits a byte, the lowest first, the eighth set in all but the last; negative numbers as 64 bits. */
function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return Uint8Array.of(...out, Number(rest));
}

/**
 * The message that the bytes hold; fields that the schema does not know are left out. Bytes are views of the input. Throws
 * CheckpointError, beginning with `where`, for bytes that are no message.
 */
export function decode<S extends Schema>(schema: S, bytes: Uint8Array, where: string): Message<S> {
  return new Reader(bytes, where).message(schema) as Message<S>;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  #offset = 0;

  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
  }

  message(schema: Schema): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    const byNumber = new Map<number, readonly [string, Schema[string]]>();
    for (const [name, field] of Object.entries(schema)) {
      byNumber.set(field.number, [name, field]);
      found[name] = field.isRepeated ? [] : undefined;
    }
    while (this.#offset < this.#bytes.length) {
      const key = this.#varint();
      const [name, field] = byNumber.get(Math.floor(key / 8)) ?? [];
      if (name === undefined || field === undefined) this.#skip(key & 7);
      else if (field.isRepeated) this.#append(found[name] as unknown[], field.kind, key & 7);
      else found[name] = this.#value(field.kind, key & 7);
    }
    return found;
  }

  #append(list: unknown[], kind: Kind, type: number): void {
    if (!isNumeric(kind) || type !== SIZED) {
      list.push(this.#value(kind, type));
      return;
    }
    const run = new Reader(this.#sized(), this.#where);
    while (run.#offset < run.#bytes.length) list.push(run.#value(kind, wireType(kind)));
  }

  #value(kind: Kind, type: number): unknown {
    if (type !== wireType(kind)) this.#fail(`a field has wire type ${type} for ${wireType(kind)}`);
    switch (kind) {
      case 'int':
        return this.#varint();
      case 'float':
        return this.#view.getFloat32(this.#take(4), true);
      case 'double':
        return this.#view.getFloat64(this.#take(8), true);
      case 'text':
        return new TextDecoder().decode(this.#sized());
      case 'bytes':
        return this.#sized();
      default:
        return new Reader(this.#sized(), this.#where).message(kind);
    }
  }

  #skip(type: number): void {
    if (type === VARINT) this.#varint();
    else if (type === EIGHT) this.#take(8);
    else if (type === SIZED) this.#sized();
    else if (type === FOUR) this.#take(4);
    else this.#fail(`a field has the unknown wire type ${type}`);
  }

  #sized(): Uint8Array {
    const length = this.#varint();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  #varint(): number {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#take(1)];
      if (shift === 0n && byte < 128) return byte;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
    return this.#fail('a number has more than 64 bits');
  }

  /** Moves on by `count` bytes; returns where they begin. */
  #take(count: number): number {
    const start = this.#offset;
    if (!(count >= 0 && count <= this.#bytes.length - start))
      this.#fail(`${count} bytes are expected at the end`);
    this.#offset = start + count;
    return start;
  }

  #fail(problem: string): never {
    throw new CheckpointError(
      `${this.#where}: this is no ONNX file, or a damaged one (${problem}); copy it again`,
    );
  }
}
