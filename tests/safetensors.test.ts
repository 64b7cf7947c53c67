// Proves that numbers and names survive a safetensors file bit for bit.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointError, ShapeError, UsageError } from '../engine/errors.ts';
import { parseSafetensors, serializeSafetensors } from '../nn/safetensors.ts';
import { goldenTensors } from './golden-files.ts';
import { fileOf, messageForm, tensor } from './safetensors-bytes.ts';

describe('reading', () => {
  test.each([
    ['F64', [0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x80], [1.5, -0]],
    ['F32', [0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0xff], [1.5, Number.NEGATIVE_INFINITY]],
    ['F16', [0x00, 0x3e, 0x00, 0xc0, 0xff, 0x7b, 0x00, 0x04], [1.5, -2, 65504, 2 ** -14]],
    ['F16', [0x01, 0x00, 0xff, 0x83, 0x00, 0x80], [2 ** -24, -1023 * 2 ** -24, -0]],
    [
      'F16',
      [0x00, 0x7c, 0x00, 0xfc, 0x01, 0x7e],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
    ],
    ['BF16', [0xc0, 0x3f, 0x49, 0xc0], [1.5, -3.140625]],
    ['I64', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 0, 0, 0], [-1, 2 ** 32]],
    ['U64', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0], [Number.MAX_SAFE_INTEGER]],
    ['I32', [0xfe, 0xff, 0xff, 0xff], [-2]],
    ['U32', [0xfe, 0xff, 0xff, 0xff], [2 ** 32 - 2]],
    ['I16', [0xfe, 0xff, 0x00, 0x01], [-2, 256]],
    ['U16', [0xfe, 0xff], [65534]],
    ['I8', [0xfe, 0x7f], [-2, 127]],
    ['U8', [0xfe, 0x7f], [254, 127]],
    ['BOOL', [0, 1, 1], [0, 1, 1]],
  ])('%s bytes %j become the numbers they stand for', (dtype, bytes, expected) => {
    const file = fileOf({ t: tensor(dtype, [expected.length], 0, bytes.length) }, bytes);
    const { data, ...rest } = parseSafetensors(file).tensors.get('t') ?? { data: [] };
    expect(rest).toEqual({ dtype, shape: [expected.length] });
    expect([...data]).toEqual(expected);
  });

  test('a scalar and an empty tensor are tensors', () => {
    const header = { scalar: tensor('U8', [], 0, 1), empty: tensor('F32', [3, 0], 1, 1) };
    const { tensors } = parseSafetensors(fileOf(header, [7]));
    expect([...tensors].map(([name, t]) => [name, t.shape, [...t.data]])).toEqual([
      ['scalar', [], [7]],
      ['empty', [3, 0], []],
    ]);
  });

  test('empty tensors may stand in the header behind the tensor that begins where they do', () => {
    const header = { full: tensor('U8', [2], 0, 2), empty: tensor('U8', [0], 0, 0) };
    expect([...parseSafetensors(fileOf(header, [1, 2])).tensors.keys()]).toEqual(['empty', 'full']);
  });

  test('the order of names in the header does not matter', () => {
    const header = { b: tensor('U8', [1], 1, 2), a: tensor('U8', [1], 0, 1) };
    expect([...(parseSafetensors(fileOf(header, [5, 6])).tensors.get('b')?.data ?? [])]).toEqual([6]);
  });

  test('data at an odd address is read, and does not change with the bytes it came from', () => {
    const odd = Buffer.concat([
      Buffer.from([9]),
      fileOf({ t: tensor('F32', [1], 0, 4) }, [0, 0, 0xc0, 0x3f]),
    ]);
    const file = odd.subarray(1);
    const { tensors } = parseSafetensors(file);
    file.fill(0);
    expect(tensors.get('t')?.data[0]).toBe(1.5);
  });

  test('names that mean something to JavaScript are only names', () => {
    const file = fileOf(
      `{"__metadata__":{"__proto__":"m"},"__proto__":${JSON.stringify(tensor('U8', [], 0, 1))}}`,
      [3],
    );
    const { tensors, metadata } = parseSafetensors(file);
    expect(tensors.get('__proto__')?.data[0]).toBe(3);
    expect(Object.entries(metadata)).toEqual([['__proto__', 'm']]);
  });

  test('a file without tensors is a file', () => {
    expect(parseSafetensors(fileOf('{}')).tensors.size).toBe(0);
  });

  test('names that repeat inside strings, or in different objects, are not duplicates', () => {
    const header = { __metadata__: { 'a"b': '"a":1,"a":2', shape: '{"shape":' }, a: tensor('U8', [], 0, 1) };
    expect(parseSafetensors(fileOf(header, [1])).metadata.shape).toBe('{"shape":');
  });

  test('every golden file parses, with as many values as its shapes hold', () => {
    for (const { name, tensors, metadata } of goldenTensors('')) {
      expect(metadata.provenance, name).toBeTypeOf('string');
      expect(tensors.size, name).toBeGreaterThan(0);
      for (const [key, { shape, data }] of tensors) {
        expect(data.length, `${name} ${key}`).toBe(shape.reduce((size, n) => size * n, 1));
      }
    }
  });
});

describe('writing', () => {
  const arbitraryTensor = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }).chain((shape) => {
    const size = shape.reduce((product, n) => product * n, 1);
    return fc.record({
      shape: fc.constant(shape),
      data: fc.float32Array({ minLength: size, maxLength: size }),
    });
  });
  const arbitraryName = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('__proto__', '10', '9', 'constructor', '"', '\\'),
  );

  test('what is written is read back bit for bit, in the same order', () => {
    const entries = fc.uniqueArray(fc.tuple(arbitraryName, arbitraryTensor), {
      selector: ([name]) => name,
      maxLength: 5,
    });
    fc.assert(
      fc.property(
        entries,
        fc.dictionary(arbitraryName, fc.string({ unit: 'binary' })),
        (tensors, metadata) => {
          const file = parseSafetensors(serializeSafetensors(tensors, metadata));
          expect([...file.tensors.keys()]).toEqual(inOrderOfData(tensors));
          for (const [name, { shape, data }] of tensors) {
            const read = file.tensors.get(name);
            expect(read?.dtype).toBe('F32');
            expect(read?.shape).toEqual(shape);
            expect(new Uint8Array(read?.data.buffer ?? [])).toEqual(new Uint8Array(data.slice().buffer));
          }
          expect(Object.entries(file.metadata).sort()).toEqual(Object.entries(metadata).sort());
        },
      ),
      { seed: 1, numRuns: 100 },
    );
  });

  test('the data begins at a multiple of 8 bytes, behind a header padded with spaces', () => {
    for (const name of ['a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg', 'abcdefgh']) {
      const bytes = serializeSafetensors([[name, { shape: [1], data: [1.5] }]]);
      const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      expect(headerBytes % 8).toBe(0);
      expect(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes))).toBe(
        `{"${name}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`.padEnd(headerBytes, ' '),
      );
      expect([...bytes.subarray(8 + headerBytes)]).toEqual([0, 0, 0xc0, 0x3f]);
    }
  });

  test('f64 values are rounded to f32', () => {
    const file = parseSafetensors(
      serializeSafetensors([['t', { shape: [], data: new Float64Array([0.1]) }]]),
    );
    expect(file.tensors.get('t')?.data[0]).toBe(Math.fround(0.1));
  });

  const one = { shape: [1], data: [1] };
  test.each<[string, () => unknown, new (m: string) => Error, RegExp]>([
    [
      'a name twice',
      () =>
        serializeSafetensors([
          ['a', one],
          ['a', one],
        ]),
      UsageError,
      /name 'a' is taken/,
    ],
    ['the name of the metadata', () => serializeSafetensors([['__metadata__', one]]), UsageError, /is taken/],
    [
      'too few values',
      () => serializeSafetensors([['a', { shape: [2], data: [1] }]]),
      ShapeError,
      /\[2\] but 1 values/,
    ],
    [
      'no shape',
      () => serializeSafetensors([['a', { shape: [-1, -1], data: [1] }]]),
      ShapeError,
      /is no shape/,
    ],
    [
      'a number beyond f32',
      () => serializeSafetensors([['a', { shape: [1], data: [1e300] }]]),
      CheckpointError,
      /1e\+300 at 0/,
    ],
    [
      'metadata that is no string',
      () => serializeSafetensors([], JSON.parse('{"epoch":3}')),
      UsageError,
      /'epoch' is a number/,
    ],
    [
      'a header no reader would take',
      () => serializeSafetensors([], { log: 'x'.repeat(1e8) }),
      UsageError,
      /100000\d\d\d bytes/,
    ],
  ])('%s is refused', (_, write, errorClass, expected) => {
    let caught: unknown;
    try {
      write();
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(errorClass);
    expect((caught as Error).message).toMatch(expected);
    expect((caught as Error).message).toMatch(messageForm);
  });

  test('infinity and NaN are kept, because a diverged model must be inspectable', () => {
    const data = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const { tensors } = parseSafetensors(serializeSafetensors([['t', { shape: [3], data }]]));
    expect([...(tensors.get('t')?.data ?? [])]).toEqual(data);
  });
});

/** Empty tensors share an offset with the next one, and JSON does not order integer-like names: those may be swapped. */
function inOrderOfData(tensors: [string, { data: Float32Array }][]): string[] {
  const header = Object.keys(
    JSON.parse(`{${tensors.map(([name]) => `${JSON.stringify(name)}:0`).join(',')}}`),
  );
  let offset = 0;
  const ranges = new Map<string, number[]>();
  for (const [name, { data }] of tensors) {
    ranges.set(name, [offset, offset + data.length]);
    offset += data.length;
  }
  const rangeOf = (name: string): number[] => ranges.get(name) ?? [];
  return header.sort((a, b) => rangeOf(a)[0] - rangeOf(b)[0] || rangeOf(a)[1] - rangeOf(b)[1]);
}
