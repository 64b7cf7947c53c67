// DICOM files for tests, written from PS3.5: one image in explicit little endian, packed in several ways.

/** What a file says of its image; what is left out is not in the file. */
export interface DicomImage {
  readonly syntax?: string;
  readonly rows: number;
  readonly columns: number;
  readonly samples?: number;
  readonly photometric?: string;
  readonly bitsAllocated?: number;
  readonly bitsStored?: number;
  readonly isSigned?: boolean;
  readonly planar?: number;
  readonly slope?: string;
  readonly intercept?: string;
  readonly centre?: string;
  readonly width?: string;
  readonly windowForm?: string;
  readonly padding?: number;
  readonly frames?: string;
  /** Bytes of the pixels as they stand in the file, or one packed frame. */
  readonly pixels: Uint8Array;
  readonly isPacked?: boolean;
}

const EXPLICIT = '1.2.840.10008.1.2.1';
const BIG_ENDIAN = '1.2.840.10008.1.2.2';

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** One element; `isBig` turns numbers round. */
function element(tag: number, vr: string, value: Uint8Array, isBig = false): Uint8Array {
  const padded = value.length % 2 === 0 ? value : join([value, Uint8Array.of(vr === 'UI' ? 0 : 32)]);
  const isLong = vr === 'OW' || vr === 'OB';
  const head = new DataView(new ArrayBuffer(isLong ? 12 : 8));
  head.setUint16(0, tag >>> 16, !isBig);
  head.setUint16(2, tag & 0xffff, !isBig);
  head.setUint8(4, vr.charCodeAt(0));
  head.setUint8(5, vr.charCodeAt(1));
  if (isLong) head.setUint32(8, padded.length, !isBig);
  else head.setUint16(6, padded.length, !isBig);
  return join([new Uint8Array(head.buffer), padded]);
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Bytes of 16-bit values. */
export function words(values: readonly number[], isBig = false): Uint8Array {
  const view = new DataView(new ArrayBuffer(2 * values.length));
  values.forEach((value, i) => {
    view.setUint16(2 * i, value & 0xffff, !isBig);
  });
  return new Uint8Array(view.buffer);
}

/** Pixels in encapsulated form: an empty offset table, one fragment, the end. */
function encapsulated(frame: Uint8Array): Uint8Array {
  const padded = frame.length % 2 === 0 ? frame : join([frame, Uint8Array.of(0)]);
  const head = (tag: number, length: number): Uint8Array => {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint16(0, 0xfffe, true);
    view.setUint16(2, tag, true);
    view.setUint32(4, length, true);
    return new Uint8Array(view.buffer);
  };
  const begin = new Uint8Array([0xe0, 0x7f, 0x10, 0, 79, 66, 0, 0, 0xff, 0xff, 0xff, 0xff]);
  return join([begin, head(0xe000, 0), head(0xe000, padded.length), padded, head(0xe0dd, 0)]);
}

/** The file. */
export function dicomFile(image: DicomImage): Uint8Array {
  const { syntax = EXPLICIT, rows, columns, samples = 1, photometric = 'MONOCHROME2', pixels } = image;
  const { bitsAllocated = 16, bitsStored = bitsAllocated, isSigned = false, isPacked = false } = image;
  const isBig = syntax === BIG_ENDIAN;
  const number = (tag: number, value: number | undefined, vr = 'US') =>
    value === undefined ? [] : [element(tag, vr, words([value], isBig), isBig)];
  const text = (tag: number, vr: string, value: string | undefined) =>
    value === undefined ? [] : [element(tag, vr, ascii(value), isBig)];
  const meta = element(0x00020010, 'UI', ascii(syntax));
  const metaLength = new Uint8Array(new Uint32Array([meta.length]).buffer);
  return join([
    new Uint8Array(128),
    ascii('DICM'),
    element(0x00020000, 'UL', metaLength),
    meta,
    ...number(0x00280002, samples),
    ...text(0x00280004, 'CS', photometric),
    ...number(0x00280006, image.planar),
    ...text(0x00280008, 'IS', image.frames),
    ...number(0x00280010, rows),
    ...number(0x00280011, columns),
    ...number(0x00280100, bitsAllocated),
    ...number(0x00280101, bitsStored),
    ...number(0x00280103, isSigned ? 1 : 0),
    ...number(0x00280120, image.padding, isSigned ? 'SS' : 'US'),
    ...text(0x00281050, 'DS', image.centre),
    ...text(0x00281051, 'DS', image.width),
    ...text(0x00281052, 'DS', image.intercept),
    ...text(0x00281053, 'DS', image.slope),
    ...text(0x00281056, 'CS', image.windowForm),
    isPacked ? encapsulated(pixels) : element(0x7fe00010, bitsAllocated === 8 ? 'OB' : 'OW', pixels, isBig),
  ]);
}

/** 16-bit grey values in the run-length coding of PS3.5 annex G: runs of zeros and of literals, high bytes first. */
export function packRle(values: readonly number[]): Uint8Array {
  const planes = [values.map((value) => value >> 8), values.map((value) => value & 255)].map((bytes) => {
    const out: number[] = [];
    for (let i = 0; i < bytes.length; ) {
      let run = 1;
      while (i + run < bytes.length && run < 128 && bytes[i + run] === bytes[i]) run++;
      if (run > 1) out.push(257 - run, bytes[i]);
      else out.push(0, bytes[i]);
      i += run;
    }
    return Uint8Array.from(out.length % 2 === 0 ? out : [...out, 128]);
  });
  const head = new Uint32Array(16);
  head.set([2, 64, 64 + planes[0].length]);
  return join([new Uint8Array(head.buffer), ...planes]);
}

/**
 * 16-bit grey values as lossless JPEG (ITU-T T.81, process 14) with the predictor 1 to 7 and, if wanted, restarts after
 * so many rows. All seventeen sizes of a difference have codes of five bits.
 */
export function packLosslessJpeg(
  values: readonly number[],
  columns: number,
  predictor: number,
  restartRows = 0,
): Uint8Array {
  const rows = values.length / columns;
  const segment = (marker: number, body: readonly number[]): number[] => [
    0xff,
    marker,
    (body.length + 2) >> 8,
    (body.length + 2) & 255,
    ...body,
  ];
  const sizes = Array.from({ length: 17 }, (_, i) => i);
  const out = [
    0xff,
    0xd8,
    ...segment(0xc4, [0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...sizes]),
    ...segment(0xc3, [16, rows >> 8, rows & 255, columns >> 8, columns & 255, 1, 1, 0x11, 0]),
    ...(restartRows > 0 ? segment(0xdd, [(restartRows * columns) >> 8, (restartRows * columns) & 255]) : []),
    ...segment(0xda, [1, 1, 0, predictor, 0, 0]),
  ];
  let bits = '';
  const endPart = () => {
    for (let i = 0; i < bits.length; i += 8) {
      const byte = Number.parseInt(bits.slice(i, i + 8).padEnd(8, '1'), 2);
      out.push(byte);
      if (byte === 255) out.push(0);
    }
    bits = '';
  };
  for (let y = 0; y < rows; y++) {
    if (restartRows > 0 && y > 0 && y % restartRows === 0) {
      endPart();
      out.push(0xff, 0xd0 + ((y / restartRows - 1) % 8));
    }
    const isFirst = y === 0 || (restartRows > 0 && y % restartRows === 0);
    for (let x = 0; x < columns; x++) {
      const at = y * columns + x;
      const [a, b, c] = [values[at - 1], values[at - columns], values[at - columns - 1]];
      const guesses = [0, a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1];
      const guess = isFirst ? (x === 0 ? 32768 : a) : x === 0 ? b : guesses[predictor];
      // Differences are counted modulo 2^16, from -32767 to 32768.
      const wrapped = (values[at] - guess) & 0xffff;
      const difference = wrapped > 32768 ? wrapped - 65536 : wrapped;
      const size = difference === 0 ? 0 : Math.floor(Math.log2(Math.abs(difference))) + 1;
      bits += size.toString(2).padStart(5, '0');
      if (size === 0 || size === 16) continue;
      const low = difference < 0 ? difference + 2 ** size - 1 : difference;
      bits += low.toString(2).padStart(size, '0');
    }
  }
  endPart();
  return Uint8Array.from([...out, 0xff, 0xd9]);
}
