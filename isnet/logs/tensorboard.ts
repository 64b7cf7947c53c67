// Event files of TensorBoard: protocol buffers in the framing of TFRecord, of which scalars need little.

/** Numbers of a step by their names; `train/loss` is `loss` in the group `train`. */
export interface ScalarEvent {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step: number;
  readonly scalars: Readonly<Record<string, number>>;
}

/** The first record of a file. */
export function firstRecord(wallTime: number): Uint8Array<ArrayBuffer> {
  return record([...double(1, wallTime), ...text(3, 'brain.Event:2')]);
}

/** Says that a run goes on: viewers drop what earlier files of the folder have from this step on. */
export function restartRecord(wallTime: number, step: number): Uint8Array<ArrayBuffer> {
  const START = 1;
  return record([...double(1, wallTime), ...whole(2, step), ...message(7, whole(1, START))]);
}

/** Numbers of one step. */
export function scalarsRecord({ wallTime, step, scalars }: ScalarEvent): Uint8Array<ArrayBuffer> {
  const values = Object.entries(scalars).flatMap(([tag, value]) =>
    message(1, [...text(1, tag), ...float(2, value)]),
  );
  return record([...double(1, wallTime), ...whole(2, step), ...message(5, values)]);
}

/** Length and contents, each with its check sum: uint64, crc, bytes, crc. */
function record(bytes: readonly number[]): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(8 + 4 + bytes.length + 4);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(bytes.length), true);
  view.setUint32(8, masked(crc32c(framed.subarray(0, 8))), true);
  framed.set(bytes, 12);
  view.setUint32(12 + bytes.length, masked(crc32c(framed.subarray(12, 12 + bytes.length))), true);
  return framed;
}

/** Check sums of data that may hold check sums are turned and shifted. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

// Castagnoli's polynomial, its bits from low to high.
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C of bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// Fields of a message: number and wire type in one varint, then the value.
const wire = { varint: 0, bits64: 1, bytes: 2, bits32: 5 } as const;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

const key = (field: number, type: number): number[] => varint(field * 8 + type);

const whole = (field: number, value: number): number[] => [...key(field, wire.varint), ...varint(value)];

const message = (field: number, bytes: readonly number[]): number[] => [
  ...key(field, wire.bytes),
  ...varint(bytes.length),
  ...bytes,
];

const text = (field: number, value: string): number[] => message(field, [...new TextEncoder().encode(value)]);

function double(field: number, value: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return [...key(field, wire.bits64), ...new Uint8Array(view.buffer)];
}

function float(field: number, value: number): number[] {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value, true);
  return [...key(field, wire.bits32), ...new Uint8Array(view.buffer)];
}
