// DICOM images (single frames) as radiologists see them: rescaled, windowed, MONOCHROME1 inverted, in 16 bits.
// Values, tags and formulas: DICOM PS3.3 C.7.6.3 (pixels), C.11.1 (rescale) and C.11.2 (window).
import type { DataSet, Element } from 'dicom-parser';
import { DataError } from '../../../engine/errors.ts';
import type { Raster } from '../raster.ts';
import { decodeRle } from './dicom-rle.ts';
import { decodeLosslessJpeg } from './jpeg-lossless.ts';

/** Transfer syntaxes by how their pixels are packed; deflated ones are unpacked by the parser. */
const syntaxes: Readonly<Record<string, 'plain' | 'rle' | 'jpeg' | 'lossless-jpeg'>> = {
  '1.2.840.10008.1.2': 'plain',
  '1.2.840.10008.1.2.1': 'plain',
  '1.2.840.10008.1.2.1.99': 'plain',
  '1.2.840.10008.1.2.2': 'plain',
  '1.2.840.10008.1.2.5': 'rle',
  '1.2.840.10008.1.2.4.50': 'jpeg',
  '1.2.840.10008.1.2.4.57': 'lossless-jpeg',
  '1.2.840.10008.1.2.4.70': 'lossless-jpeg',
};
const BIG_ENDIAN = '1.2.840.10008.1.2.2';

const otherSyntaxes: Readonly<Record<string, string>> = {
  '1.2.840.10008.1.2.4.51': 'JPEG with 12 bits',
  '1.2.840.10008.1.2.4.80': 'JPEG-LS',
  '1.2.840.10008.1.2.4.81': 'JPEG-LS',
  '1.2.840.10008.1.2.4.90': 'JPEG 2000',
  '1.2.840.10008.1.2.4.91': 'JPEG 2000',
};

/** What the header says of the pixels. */
interface Header {
  readonly rows: number;
  readonly columns: number;
  /** 1 (grey) or 3 (colours). */
  readonly samples: number;
  readonly photometric: string;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly isSigned: boolean;
  readonly isPlanar: boolean;
  readonly slope: number;
  readonly intercept: number;
  readonly padding: number | null;
  readonly window: Window | null;
}

interface Window {
  readonly centre: number;
  readonly width: number;
  readonly form: string;
}

/** Decodes an 8-bit JPEG. */
export type DecodeJpeg = (bytes: Uint8Array) => Promise<Raster>;

/**
 * The image of a DICOM file: grey as 16 bits, black and white at the ends of the first window of the file, or of all
 * values if it has none; colours as 8 bits. Rejects with a DataError without file name for what is not supported:
 * several frames, palettes, JPEG 2000, JPEG-LS, 12-bit JPEG.
 */
export async function decodeDicom(bytes: Uint8Array, decodeJpeg: DecodeJpeg): Promise<Raster> {
  const { default: dicom } = await import('dicom-parser');
  let dataSet: DataSet;
  try {
    dataSet = dicom.parseDicom(bytes);
  } catch (cause) {
    // The parser throws plain strings and objects.
    const { exception = cause } = cause as { exception?: unknown };
    const reason = exception instanceof Error ? exception.message : String(exception);
    throw new DataError(`is no readable DICOM file (${reason}); export it again`, { cause });
  }
  const header = headerOf(dataSet);
  const element = dataSet.elements.x7fe00010;
  if (!element) throw new DataError('is a DICOM file without pixels; leave it out');
  const syntax = dataSet.string('x00020010') ?? '1.2.840.10008.1.2';
  const packing = syntaxes[syntax];
  const read = () =>
    dicom.readEncapsulatedPixelDataFromFragments(dataSet, element, 0, element.fragments?.length);
  switch (packing) {
    case undefined: {
      const name = otherSyntaxes[syntax] ?? `transfer syntax ${syntax}`;
      throw new DataError(`is DICOM with ${name}, which is not read; convert it, e.g. with 'gdcmconv --raw'`);
    }
    case 'plain':
      return displayed(header, plainValues(header, dataSet, element, syntax === BIG_ENDIAN));
    case 'rle':
      return displayed(
        { ...header, isPlanar: false },
        valuesOfBytes(header, decodeRle(read(), header), false),
      );
    case 'lossless-jpeg':
      return displayed({ ...header, isPlanar: false }, extended(header, decodeLosslessJpeg(read(), header)));
    case 'jpeg':
      return displayedJpeg(header, await decodeJpeg(read()));
  }
}

function headerOf(dataSet: DataSet): Header {
  const required = (tag: string, name: string): number => {
    const value = dataSet.uint16(tag);
    if (value === undefined)
      throw new DataError(`is a DICOM file without ${name}; it is no image, leave it out`);
    return value;
  };
  const frames = dataSet.intString('x00280008') ?? 1;
  if (frames !== 1) {
    throw new DataError(
      `is a DICOM file of ${frames} frames; export the frame that is wanted as an image of its own`,
    );
  }
  const photometric = dataSet.string('x00280004') ?? 'MONOCHROME2';
  if (!/^(MONOCHROME[12]|RGB|YBR_FULL|YBR_FULL_422|YBR_ICT|YBR_RCT)$/.test(photometric)) {
    throw new DataError(
      `is DICOM with ${photometric} colours, which are not read; convert it to grey or RGB`,
    );
  }
  const isSigned = dataSet.uint16('x00280103') === 1;
  const bitsAllocated = required('x00280100', 'bits allocated');
  if (bitsAllocated !== 8 && bitsAllocated !== 16) {
    throw new DataError(`is DICOM with ${bitsAllocated} bits per value; convert it to 8 or 16`);
  }
  return {
    rows: required('x00280010', 'rows'),
    columns: required('x00280011', 'columns'),
    samples: dataSet.uint16('x00280002') ?? 1,
    photometric,
    bitsAllocated,
    bitsStored: dataSet.uint16('x00280101') ?? bitsAllocated,
    isSigned,
    isPlanar: dataSet.uint16('x00280006') === 1,
    slope: dataSet.floatString('x00281053') ?? 1,
    intercept: dataSet.floatString('x00281052') ?? 0,
    padding: (isSigned ? dataSet.int16('x00280120') : dataSet.uint16('x00280120')) ?? null,
    window: windowOf(dataSet),
  };
}

function windowOf(dataSet: DataSet): Window | null {
  const centre = dataSet.floatString('x00281050');
  const width = dataSet.floatString('x00281051');
  if (centre === undefined || width === undefined || !(width >= 1)) return null;
  return { centre, width, form: dataSet.string('x00281056') ?? 'LINEAR' };
}

function plainValues(
  header: Header,
  { byteArray }: DataSet,
  { dataOffset, length }: Element,
  isBig: boolean,
): Int32Array {
  if (header.photometric === 'YBR_FULL_422') {
    throw new DataError(
      'is DICOM with YBR_FULL_422 colours, not packed, which are not read; convert it to RGB',
    );
  }
  const bytes = byteArray.subarray(dataOffset, dataOffset + length);
  return valuesOfBytes(header, bytes, isBig);
}

/** Stored values from bytes, with the unused upper bits cleared or filled with the sign. */
function valuesOfBytes(header: Header, bytes: Uint8Array, isBig: boolean): Int32Array {
  const { rows, columns, samples, bitsAllocated } = header;
  const count = rows * columns * samples;
  const size = bitsAllocated / 8;
  if (bytes.length < count * size) {
    throw new DataError(
      `is cut off: ${bytes.length} bytes of pixels where ${columns}x${rows} needs ${count * size}; export it again`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Int32Array(count);
  for (let i = 0; i < count; i++) values[i] = size === 1 ? bytes[i] : view.getUint16(2 * i, !isBig);
  return extended(header, values);
}

function extended({ bitsStored, isSigned }: Header, values: Int32Array): Int32Array {
  const shift = 32 - bitsStored;
  return values.map((value) => (isSigned ? (value << shift) >> shift : (value << shift) >>> shift));
}

function displayed(header: Header, values: Int32Array): Raster {
  const { rows, columns, samples } = header;
  if (samples === 1) return { width: columns, height: rows, channels: 1, data: windowed(header, values) };
  return { width: columns, height: rows, channels: 3, data: colours(header, values) };
}

/** An 8-bit JPEG comes with its colours converted; what is grey is windowed like the rest. */
function displayedJpeg(header: Header, jpeg: Raster): Raster {
  const { rows, columns } = header;
  if (jpeg.width !== columns || jpeg.height !== rows) {
    throw new DataError(
      `says ${columns}x${rows}, but its JPEG is ${jpeg.width}x${jpeg.height}; export it again`,
    );
  }
  return header.samples === 1 ? displayed(header, Int32Array.from(jpeg.data)) : jpeg;
}

/** Grey values as they are shown, black 0 and white 65535. */
function windowed(header: Header, values: Int32Array): Uint16Array {
  const { slope, intercept, photometric } = header;
  const window = header.window ?? wholeRange(header, values);
  const isInverted = photometric === 'MONOCHROME1';
  return Uint16Array.from(values, (value) => {
    const share = shareOf(slope * value + intercept, window);
    return Math.round(65535 * (isInverted ? 1 - share : share));
  });
}

/** Where in the window a value lies, 0 to 1: PS3.3 C.11.2.1.2 and C.11.2.1.3. */
function shareOf(x: number, { centre, width, form }: Window): number {
  if (form === 'SIGMOID') return 1 / (1 + Math.exp((-4 * (x - centre)) / width));
  const share =
    form === 'LINEAR_EXACT' || width === 1
      ? (x - centre) / width + 0.5
      : (x - (centre - 0.5)) / (width - 1) + 0.5;
  return Math.min(Math.max(share, 0), 1);
}

/** From the lowest to the highest value; the filling round a collimated image does not count. */
function wholeRange({ slope, intercept, padding }: Header, values: Int32Array): Window {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value === padding) continue;
    const x = slope * value + intercept;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  if (!(high > low)) return { centre: Number.isFinite(low) ? low : 0, width: 1, form: 'LINEAR_EXACT' };
  return { centre: (low + high) / 2, width: high - low, form: 'LINEAR_EXACT' };
}

function colours(
  { rows, columns, isPlanar, photometric, bitsStored }: Header,
  values: Int32Array,
): Uint8Array {
  const count = rows * columns;
  const out = new Uint8ClampedArray(3 * count);
  const scale = 255 / (2 ** bitsStored - 1);
  for (let i = 0; i < count; i++) {
    const [a, b, c] = [0, 1, 2].map((k) => scale * (isPlanar ? values[k * count + i] : values[3 * i + k]));
    out.set(photometric.startsWith('YBR') ? rgbOfYbr(a, b, c) : [a, b, c], 3 * i);
  }
  return new Uint8Array(out.buffer);
}

/** YBR_FULL to RGB, PS3.3 C.7.6.3.1.2 (the inverse of its matrix). */
const rgbOfYbr = (y: number, cb: number, cr: number): [number, number, number] => [
  y + 1.402 * (cr - 128),
  y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
  y + 1.772 * (cb - 128),
];
