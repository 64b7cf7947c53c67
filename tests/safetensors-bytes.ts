// Safetensors files put together by hand, right and wrong ones, for the tests of the reader.

/** `<where>: <what>; <what to do>` in lower case, on one line, without a full stop. */
export const messageForm = /^[^;\n]+: [^;\n]+; [^;\n]*[^.\n]$/;

/** A file put together by hand, so that the reader is not judged by our writer. */
export function fileOf(header: string | object, data: ArrayLike<number> = []): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** One entry of a header. */
export function tensor(dtype: string, shape: unknown, begin: unknown, end: unknown): object {
  return { dtype, shape, data_offsets: [begin, end] };
}
