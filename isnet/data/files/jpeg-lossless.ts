// Lossless JPEG (ITU-T T.81, process 14), which most X-ray archives pack their images with and picture libraries leave
// out: each value is predicted from its neighbours, and the difference is Huffman-coded.
import { DataError } from '../../../engine/errors.ts';

interface LosslessImage {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
}

const damaged = (what: string): DataError =>
  new DataError(`has damaged lossless JPEG pixels (${what}); export it again`);

/** Tables and sizes, collected from the segments in front of the scan. */
interface Frame {
  precision: number;
  rows: number;
  columns: number;
  componentIds: number[];
  restartInterval: number;
  /** By 16 bits that lie ahead: length of the code << 8 | what it stands for; 0 for no code. */
  readonly tables: Map<number, Uint16Array>;
}

interface Scan {
  readonly predictor: number;
  /** Low bits that were cut off before packing. */
  readonly pointTransform: number;
  /** One per component. */
  readonly tables: readonly Uint16Array[];
  /** Where the packed bits begin. */
  readonly start: number;
}

/** The values of one packed image, interleaved by pixel. Throws DataError if it is damaged or not of the given size. */
export function decodeLosslessJpeg(bytes: Uint8Array, { rows, columns, samples }: LosslessImage): Int32Array {
  const frame: Frame = {
    precision: 0,
    rows: 0,
    columns: 0,
    componentIds: [],
    restartInterval: 0,
    tables: new Map(),
  };
  const scan = readSegments(bytes, frame);
  if (frame.rows !== rows || frame.columns !== columns || frame.componentIds.length !== samples) {
    const { componentIds } = frame;
    throw damaged(
      `${frame.columns}x${frame.rows}x${componentIds.length} where the header says ${columns}x${rows}x${samples}`,
    );
  }
  return decodeScan(bytes, frame, scan);
}

/** Reads up to the scan. */
function readSegments(bytes: Uint8Array, frame: Frame): Scan {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1];
    const length = view.getUint16(at + 2);
    const segment = bytes.subarray(at + 4, at + 2 + length);
    at += 2 + length;
    if (marker === 0xc4) readTables(segment, frame);
    else if (marker === 0xdd) frame.restartInterval = segment[0] * 256 + segment[1];
    else if (marker === 0xda) return scanOf(segment, frame, at);
    else if (marker === 0xc3) readFrame(segment, frame);
    else if (marker >= 0xc0 && marker <= 0xcf)
      throw damaged(`it is packed by process 0x${marker.toString(16)}`);
  }
  throw damaged('it ends before its pixels');
}

function readFrame(segment: Uint8Array, frame: Frame): void {
  const [precision, rowsHigh, rowsLow, columnsHigh, columnsLow, count] = segment;
  frame.precision = precision;
  frame.rows = rowsHigh * 256 + rowsLow;
  frame.columns = columnsHigh * 256 + columnsLow;
  for (let c = 0; c < count; c++) {
    const [id, sampling] = segment.subarray(6 + 3 * c);
    if (sampling !== 0x11) throw damaged('its colours have different sizes');
    frame.componentIds.push(id);
  }
}

function readTables(segment: Uint8Array, { tables }: Frame): void {
  for (let at = 0; at < segment.length; ) {
    const id = segment[at] & 15;
    const counts = segment.subarray(at + 1, at + 17);
    const table = new Uint16Array(65536);
    let symbol = at + 17;
    // Codes of one length are consecutive numbers; the first of the next length is twice the one that follows.
    let code = 0;
    for (let length = 1; length <= 16; length++, code *= 2) {
      for (let i = 0; i < counts[length - 1]; i++, code++, symbol++) {
        const first = code << (16 - length);
        table.fill((length << 8) | segment[symbol], first, first + (1 << (16 - length)));
      }
    }
    tables.set(id, table);
    at = symbol;
  }
}

function scanOf(segment: Uint8Array, { tables, componentIds }: Frame, start: number): Scan {
  const count = segment[0];
  if (count !== componentIds.length) throw damaged('its colours are in separate scans');
  const chosen = Array.from({ length: count }, (_, c) => tables.get(segment[2 + 2 * c] >> 4));
  const predictor = segment[1 + 2 * count];
  if (chosen.includes(undefined) || predictor < 1 || predictor > 7) throw damaged('a table is missing');
  return { predictor, pointTransform: segment[3 + 2 * count] & 15, tables: chosen as Uint16Array[], start };
}

/** Reads bits of a scan, highest first, without the zero that follows each byte 255. */
class BitReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #bits = 0;
  #count = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  #fill(): void {
    while (this.#count <= 16) {
      const byte = this.#at < this.#bytes.length ? this.#bytes[this.#at] : 0;
      const isMarker = byte === 0xff && this.#bytes[this.#at + 1] !== 0;
      // Beyond the end or at a marker come zeros: the last code may look a few bits ahead.
      if (!isMarker) this.#at += byte === 0xff ? 2 : 1;
      this.#bits = (this.#bits << 8) | (isMarker ? 0 : byte);
      this.#count += 8;
    }
  }

  /** A difference: its size in bits by the table, then the bits. */
  difference(table: Uint16Array): number {
    this.#fill();
    const entry = table[(this.#bits >> (this.#count - 16)) & 0xffff];
    if (entry === 0) throw damaged('unknown code');
    this.#count -= entry >> 8;
    const size = entry & 255;
    if (size === 0) return 0;
    if (size === 16) return 32768;
    this.#fill();
    this.#count -= size;
    const value = (this.#bits >> this.#count) & ((1 << size) - 1);
    return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
  }

  /** Leaves the rest of the byte and passes a restart marker. */
  restart(): void {
    this.#bits = 0;
    this.#count = 0;
    const { length } = this.#bytes;
    while (this.#at < length && !(this.#bytes[this.#at] === 0xff && this.#bytes[this.#at + 1] >= 0xd0))
      this.#at++;
    this.#at += 2;
  }

  get isPastEnd(): boolean {
    return this.#at - this.#count / 8 > this.#bytes.length;
  }
}

function decodeScan(
  bytes: Uint8Array,
  frame: Frame,
  { predictor, pointTransform, tables, start }: Scan,
): Int32Array {
  const { rows, columns, precision, restartInterval } = frame;
  const samples = tables.length;
  const stride = columns * samples;
  const values = new Int32Array(rows * stride);
  const reader = new BitReader(bytes, start);
  const middle = 1 << (precision - pointTransform - 1);
  let firstRow = 0;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const done = y * columns + x;
      if (restartInterval > 0 && done > 0 && done % restartInterval === 0) {
        reader.restart();
        firstRow = y;
      }
      for (let c = 0; c < samples; c++) {
        const i = y * stride + x * samples + c;
        let guess: number;
        if (y === firstRow) guess = x === 0 ? middle : values[i - samples];
        else if (x === 0) guess = values[i - stride];
        else
          guess = predicted(predictor, values[i - samples], values[i - stride], values[i - stride - samples]);
        values[i] = (guess + reader.difference(tables[c])) & 0xffff;
      }
    }
    if (reader.isPastEnd) throw damaged(`${y} of ${rows} rows`);
  }
  return pointTransform === 0 ? values : values.map((value) => value << pointTransform);
}

/** Table H.1: a left, b above, c above left. */
function predicted(predictor: number, a: number, b: number, c: number): number {
  switch (predictor) {
    case 1:
      return a;
    case 2:
      return b;
    case 3:
      return c;
    case 4:
      return a + b - c;
    case 5:
      return a + ((b - c) >> 1);
    case 6:
      return b + ((a - c) >> 1);
    default:
      return (a + b) >> 1;
  }
}
