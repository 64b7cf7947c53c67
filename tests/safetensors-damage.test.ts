// Proves that every damage we could think of is one clear sentence, and never other weights.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../engine/errors.ts';
import { parseSafetensors, serializeSafetensors } from '../nn/safetensors.ts';
import { fileOf, messageForm, tensor } from './safetensors-bytes.ts';

function withHeaderLength(length: bigint): Uint8Array {
  const bytes = fileOf('{}');
  new DataView(bytes.buffer).setBigUint64(0, length, true);
  return bytes;
}

describe('a damaged file is refused', () => {
  const f32 = tensor('F32', [1], 0, 4);
  const four = [0, 0, 0, 0];
  test.each<[string, Uint8Array, RegExp]>([
    ['no bytes at all', new Uint8Array(0), /0 bytes are no safetensors file/],
    ['shorter than its length field', new Uint8Array(7), /7 bytes are no safetensors file/],
    ['header longer than the file', withHeaderLength(3n), /claims 3 bytes but only 2 follow/],
    ['header longer than the limit', withHeaderLength(100_000_001n), /over the limit of 100000000/],
    [
      'header length beyond 2^53',
      withHeaderLength(2n ** 64n - 1n),
      /claims 18446744073709551615 bytes, over/,
    ],
    ['header of no bytes', withHeaderLength(0n), /header is not JSON/],
    ['header not JSON', fileOf('{"a":'), /header is not JSON/],
    [
      'header not UTF-8',
      fileOf(`{"__metadata__":{"a":"\ufffd"}}`).map((b) => (b === 0xef ? 0xff : b)),
      /UTF-8/,
    ],
    ['header with a byte order mark', fileOf('\ufeff{}'), /header is not JSON/],
    ['header a list', fileOf('[]'), /header is a list, not an object/],
    ['header null', fileOf('null'), /header is null, not an object/],
    ['header a number', fileOf('12'), /header is of type number, not an object/],
    ['tensor not an object', fileOf('{"a":[1]}'), /'a' is a list in the header, not an object/],
    ['unknown dtype', fileOf({ a: tensor('Q4', [1], 0, 4) }, four), /unknown dtype "Q4"/],
    [
      'dtype not a string',
      fileOf('{"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}}', four),
      /unknown dtype 32/,
    ],
    ['dtype missing', fileOf('{"a":{"shape":[1],"data_offsets":[0,4]}}', four), /unknown dtype undefined/],
    ['dtype named like a built-in', fileOf({ a: tensor('constructor', [1], 0, 4) }, four), /unknown dtype/],
    [
      'negative size',
      fileOf({ a: tensor('F32', [-1, -1], 0, 4) }, four),
      /shape \[-1, -1\], not a list of whole/,
    ],
    [
      'fractional size',
      fileOf({ a: tensor('F32', [0.5, 2], 0, 4) }, four),
      /shape \[0.5, 2\], not a list of whole/,
    ],
    ['size beyond 2^53', fileOf({ a: tensor('F32', [1e300, 0], 0, 0) }), /not a list of whole/],
    ['shape not a list', fileOf({ a: tensor('F32', '1', 0, 4) }, four), /shape "1", not a list of whole/],
    [
      'shape missing',
      fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', four),
      /shape undefined, not a list/,
    ],
    [
      'shape nested too deeply',
      fileOf(`{"a":{"shape":${'['.repeat(1e4)}${']'.repeat(1e4)}}}`),
      /shape \[\[\.{3}\]\]/,
    ],
    [
      'shape too long to quote',
      fileOf({ a: tensor('F32', new Array(1e4).fill(-1), 0, 4) }),
      /(-1, ){8}\.{3}\]/,
    ],
    [
      'offsets missing',
      fileOf('{"a":{"dtype":"F32","shape":[1]}}'),
      /data_offsets undefined, not \[begin, end\]/,
    ],
    [
      'three offsets',
      fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}'),
      /data_offsets \[0, 4, 8\]/,
    ],
    [
      'offsets backwards',
      fileOf({ a: tensor('F32', [1], 4, 0) }, four),
      /data_offsets \[4, 0\], not \[begin, end\]/,
    ],
    ['negative offset', fileOf({ a: tensor('F32', [1], -4, 0) }, four), /data_offsets \[-4, 0\], not/],
    [
      'offsets that do not fit the shape',
      fileOf({ a: tensor('F32', [2], 0, 4) }, four),
      /8 bytes, but .* span 4/,
    ],
    [
      'offsets that do not fit the dtype',
      fileOf({ a: tensor('F64', [1], 0, 4) }, four),
      /8 bytes, but .* span 4/,
    ],
    ['shape whose size overflows', fileOf({ a: tensor('U8', [2 ** 32, 2 ** 32], 0, 4) }, four), /span 4/],
    [
      'data cut short',
      fileOf({ a: f32 }, [0, 0, 0]),
      /ends at byte 4 but the data has 3; the file is cut|cut short/,
    ],
    [
      'overlap',
      fileOf({ a: f32, b: tensor('F32', [1], 2, 6) }, [...four, 0, 0]),
      /'b' begins at byte 2 where 4 .* overlaps/,
    ],
    [
      'two names for the same bytes',
      fileOf({ a: f32, b: f32 }, four),
      /'b' begins at byte 0 where 4 .* overlaps/,
    ],
    [
      'hole between tensors',
      fileOf({ a: f32, b: tensor('U8', [1], 5, 6) }, [...four, 0, 0]),
      /'b' .* leaves a hole/,
    ],
    [
      'hole at the start',
      fileOf({ a: tensor('U8', [1], 1, 2) }, [0, 0]),
      /'a' begins at byte 1 where 0 .* hole/,
    ],
    ['hole at the end', fileOf({ a: f32 }, [...four, 0]), /1 bytes after the last tensor/],
    [
      'name twice',
      fileOf('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":1}'),
      /names 'a' twice/,
    ],
    [
      'dtype twice',
      fileOf('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'),
      /'dtype' twice/,
    ],
    ['metadata a list', fileOf('{"__metadata__":[]}'), /__metadata__ is a list, not an object of strings/],
    [
      'metadata with a number',
      fileOf('{"__metadata__":{"epoch":3}}'),
      /__metadata__\.epoch is of type number/,
    ],
    [
      'metadata with null',
      fileOf('{"__metadata__":{"epoch":null}}'),
      /__metadata__\.epoch is null, not a string/,
    ],
    [
      'integer beyond 2^53',
      fileOf({ a: tensor('I64', [1], 0, 8) }, [0, 0, 0, 0, 0, 0, 0x40, 0]),
      /holds 18014398509481984 at 0/,
    ],
    [
      'a truth value of 2',
      fileOf({ a: tensor('BOOL', [2], 0, 2) }, [1, 2]),
      /BOOL but holds the byte 2 at 1/,
    ],
  ])('%s', (_, bytes, expected) => {
    let caught: unknown;
    try {
      parseSafetensors(bytes, 'model.safetensors');
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(CheckpointError);
    const { message } = caught as CheckpointError;
    expect(message).toMatch(expected);
    expect(message).toMatch(messageForm);
    expect(message.startsWith('model.safetensors: ')).toBe(true);
    expect(message.length).toBeLessThan(220);
  });

  test('at whatever byte it was cut', () => {
    const whole = serializeSafetensors([['w', { shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }]], { epoch: '3' });
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseSafetensors(whole.subarray(0, length)), `${length} bytes`).toThrow(CheckpointError);
    }
  });

  test('with random bytes in its header it is read or refused, never anything else', () => {
    const whole = serializeSafetensors([['w', { shape: [2], data: [1, 2] }]], { epoch: '3' });
    const headerEnd = whole.length - 8;
    fc.assert(
      fc.property(fc.nat(headerEnd - 1), fc.nat(255), (at, byte) => {
        const damaged = whole.slice();
        damaged[at] = byte;
        try {
          parseSafetensors(damaged);
        } catch (error) {
          if (!(error instanceof CheckpointError)) throw error;
        }
      }),
      { seed: 5, numRuns: 500 },
    );
  });
});
