// Finds the texts in a MATLAB file: the lists of Stanford Dogs are published as cells of texts. Format: "MAT-File Format",
// The MathWorks, level 5.
import { inflateSync } from 'node:zlib';
import { DataError } from '../../../../engine/errors.ts';

const HEADER_BYTES = 128;
const [MATRIX, COMPRESSED] = [14, 15];
/** Class of an array of characters, and of an array of arrays. */
const [CELL, CHARACTERS] = [1, 4];
/** Types that characters are kept in: bytes, 16 bits, UTF-8, UTF-16. */
const WIDE = [3, 4, 17];

interface Element {
  readonly type: number;
  readonly data: Uint8Array;
}

function* elementsOf(bytes: Uint8Array, isPadded: boolean): Generator<Element> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 8 <= bytes.length; ) {
    // Up to four bytes are kept within the tag itself, whose upper half is then their number.
    const smallBytes = view.getUint16(at + 2, true);
    const type = smallBytes > 0 ? view.getUint16(at, true) : view.getUint32(at, true);
    const size = smallBytes > 0 ? smallBytes : view.getUint32(at + 4, true);
    const start = smallBytes > 0 ? at + 4 : at + 8;
    if (start + size > bytes.length)
      throw new DataError('import: the MATLAB file is cut off; fetch it again');
    yield { type, data: bytes.subarray(start, start + size) };
    at = smallBytes > 0 ? at + 8 : start + (isPadded && type !== COMPRESSED ? Math.ceil(size / 8) * 8 : size);
  }
}

/** All texts of a level 5 file, in their order. Throws DataError if it is none or cut off. */
export function matStrings(bytes: Uint8Array): string[] {
  const isLittle = bytes[126] === 0x49 && bytes[127] === 0x4d;
  if (bytes.length < HEADER_BYTES || !isLittle) {
    throw new DataError('import: this is no MATLAB file of level 5 (little-endian); fetch it again');
  }
  const texts: string[] = [];
  for (const element of elementsOf(bytes.subarray(HEADER_BYTES), true)) collect(element, texts);
  return texts;
}

function collect({ type, data }: Element, texts: string[]): void {
  if (type === COMPRESSED) {
    for (const inner of elementsOf(inflateSync(data), true)) collect(inner, texts);
  }
  if (type !== MATRIX) return;
  const [flags, , , ...content] = elementsOf(data, true);
  const arrayClass = flags?.data[0];
  if (arrayClass === CELL) for (const cell of content) collect(cell, texts);
  else if (arrayClass === CHARACTERS && content[0]) texts.push(textOf(content[0]));
}

function textOf({ type, data }: Element): string {
  const encoding = WIDE.includes(type) ? 'utf-16le' : 'utf-8';
  return new TextDecoder(encoding).decode(data);
}
