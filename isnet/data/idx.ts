// Reads IDX, the file format of MNIST: a magic number, the sizes, then bytes. Works on bytes from anywhere (file, fetch).
import { DataError } from '../../engine/errors.ts';

/** Handwritten digits (or look-alikes such as Fashion-MNIST) as they come: 0 is paper, 255 is ink. */
export interface Digits {
  /** [N, H, W] */
  readonly pixels: Uint8Array;
  /** [N], 0..9 */
  readonly labels: Uint8Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
}

/** One IDX file: `data` is a view of the bytes that were parsed, not a copy. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const UNSIGNED_BYTE = 0x08;

/**
 * Parses an IDX file of unsigned bytes with `rank` axes: 3 for images [N, H, W], 1 for labels [N].
 * Throws DataError for another magic number, a size of 0, a file that is cut off and one that goes on after its data.
 */
export function parseIdx(where: string, bytes: Uint8Array, rank: number): IdxArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) {
    throw new DataError(
      `${where}: ${bytes.length} bytes, but the IDX header alone has ${headerBytes}; the file is cut off, fetch it again`,
    );
  }
  checkMagic(where, view.getUint32(0), rank);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  if (shape.includes(0)) {
    throw new DataError(
      `${where}: the IDX header says [${shape.join(', ')}], which holds nothing; fetch it again`,
    );
  }
  const expectedBytes = headerBytes + shape.reduce((size, n) => size * n, 1);
  if (bytes.length < expectedBytes) {
    throw new DataError(
      `${where}: ${bytes.length} bytes, but [${shape.join(', ')}] needs ${expectedBytes}; the file is cut off, ` +
        `fetch it again`,
    );
  }
  if (bytes.length > expectedBytes) {
    throw new DataError(
      `${where}: ${bytes.length - expectedBytes} bytes after the end of [${shape.join(', ')}]; the header is damaged ` +
        `or two files were joined, fetch it again`,
    );
  }
  return { shape, data: bytes.subarray(headerBytes) };
}

function checkMagic(where: string, magic: number, rank: number): void {
  if (magic === UNSIGNED_BYTE * 256 + rank) return;
  const found = `0x${magic.toString(16).padStart(8, '0')}`;
  if (magic >>> 16 === 0x1f8b) {
    throw new DataError(`${where}: starts with ${found}, which is gzip; unpack the file first`);
  }
  if (magic >>> 16 !== 0) {
    throw new DataError(
      `${where}: starts with ${found}, which is no IDX magic number; pass the path of an IDX file`,
    );
  }
  if (magic >>> 8 !== UNSIGNED_BYTE) {
    throw new DataError(
      `${where}: holds IDX type 0x${(magic >>> 8).toString(16)}; only unsigned bytes (0x8) are read, so convert it`,
    );
  }
  throw new DataError(
    `${where}: has ${magic & 0xff} axes where ${rank} are expected (magic ${found}); images have 3 axes and labels 1, ` +
      `so check whether the two files are swapped`,
  );
}

/** Joins an image file [N, H, W] and its label file [N]. Throws DataError if either is damaged or the two disagree. */
export function parseDigits(where: string, imageBytes: Uint8Array, labelBytes: Uint8Array): Digits {
  const images = parseIdx(`${where} images`, imageBytes, 3);
  const labels = parseIdx(`${where} labels`, labelBytes, 1);
  const [count, height, width] = images.shape;
  if (labels.shape[0] !== count) {
    throw new DataError(
      `${where}: ${count} images but ${labels.shape[0]} labels; take both files from the same download and split`,
    );
  }
  const strange = labels.data.findIndex((label) => label > 9);
  if (strange >= 0) {
    throw new DataError(
      `${where}: sample ${strange} has label ${labels.data[strange]}; digits have labels 0 to 9, so fetch it again`,
    );
  }
  return { pixels: images.data, labels: labels.data, count, height, width };
}
