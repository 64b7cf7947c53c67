// The run-length coding of DICOM (PS3.5 annex G): byte planes of the image, each packed like PackBits.
import { DataError } from '../../../engine/errors.ts';

interface RleImage {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly bitsAllocated: number;
}

const damaged = (what: string): DataError =>
  new DataError(`has damaged RLE pixels (${what}); export it again`);

/** Bytes of the pixels, little-endian and interleaved by pixel. Throws DataError if they are damaged. */
export function decodeRle(
  bytes: Uint8Array,
  { rows, columns, samples, bitsAllocated }: RleImage,
): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const valueBytes = bitsAllocated / 8;
  const planes = samples * valueBytes;
  const count = rows * columns;
  if (bytes.length < 64 || view.getUint32(0, true) !== planes) throw damaged(`not ${planes} segments`);
  const out = new Uint8Array(count * planes);
  for (let plane = 0; plane < planes; plane++) {
    const start = view.getUint32(4 + 4 * plane, true);
    const end = plane + 1 < planes ? view.getUint32(8 + 4 * plane, true) : bytes.length;
    const segment = unpacked(bytes.subarray(start, end), count);
    // The plane of the highest byte comes first.
    const sample = Math.floor(plane / valueBytes);
    const place = sample * valueBytes + (valueBytes - 1 - (plane % valueBytes));
    for (let i = 0; i < count; i++) out[i * planes + place] = segment[i];
  }
  return out;
}

/** n < 128: n + 1 bytes follow as they are; n > 128: the next byte, 257 - n times; 128: nothing. */
function unpacked(bytes: Uint8Array, count: number): Uint8Array {
  const out = new Uint8Array(count);
  let to = 0;
  for (let from = 0; from < bytes.length && to < count; ) {
    const n = bytes[from++];
    if (n < 128) {
      const run = bytes.subarray(from, Math.min(from + n + 1, from + count - to));
      out.set(run, to);
      to += run.length;
      from += n + 1;
    } else if (n > 128) {
      const end = Math.min(to + 257 - n, count);
      out.fill(bytes[from++], to, end);
      to = end;
    }
  }
  if (to < count) throw damaged(`${to} of ${count} bytes`);
  return out;
}
