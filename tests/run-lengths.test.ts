// COCO's compressed run lengths: texts decoded by hand and by pycocotools, masks there and back, and damage.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DataError } from '../engine/errors.ts';
import { maskOf, parseAnnotations } from '../isnet/experts/annotations.ts';
import { decodeRunLengths } from '../isnet/experts/run-lengths.ts';

const decode = (text: string): number[] => decodeRunLengths(text, 'here');

/** The way back, by the bits: a number as a string of binary digits in two's complement, cut into fives. */
function encode(lengths: readonly number[]): string {
  return lengths
    .map((length, i) => (i < 3 ? length : length - lengths[i - 2]))
    .map((number) => {
      let groups = 1;
      while (number < -(2 ** (5 * groups - 1)) || number >= 2 ** (5 * groups - 1)) groups++;
      const bits = BigInt.asUintN(5 * groups, BigInt(number))
        .toString(2)
        .padStart(5 * groups, '0');
      const fives = Array.from({ length: groups }, (_, g) => bits.slice(5 * g, 5 * g + 5)).reverse();
      return fives
        .map((five, g) => String.fromCharCode(48 + Number.parseInt(five, 2) + (g < groups - 1 ? 32 : 0)))
        .join('');
    })
    .join('');
}

/** Lengths of the runs of a mask [height, width] down its columns, the first one outside. */
function runsOf(mask: readonly boolean[], height: number): number[] {
  const width = mask.length / height;
  const lengths = [0];
  let isInside = false;
  for (let i = 0; i < mask.length; i++) {
    const value = mask[(i % height) * width + Math.floor(i / height)];
    if (value !== isInside) lengths.push(0);
    isInside = value;
    lengths[lengths.length - 1]++;
  }
  return lengths;
}

const coco = (counts: unknown, [height, width]: readonly [number, number]) => ({
  images: [{ id: 1, file_name: 'a.png' }],
  annotations: [{ image_id: 1, segmentation: { counts, size: [height, width] } }],
});

describe('compressed run lengths', () => {
  test('by hand: small numbers are one character each, from the fourth on less the one two before', () => {
    // 4, 3, 3, then 1 - 3 and 1 - 3: -2 is 30 of 32, and the character 78 is N.
    expect(decode('433NN')).toEqual([4, 3, 3, 1, 1]);
    // 405 = 12 * 32 + 21: character 48 + 32 + 21, then 48 + 12. 16 needs a second group, for its highest bit is no sign.
    expect(decode('e<')).toEqual([405]);
    expect(decode('`0')).toEqual([16]);
    expect(decode('09')).toEqual([0, 9]);
    expect(decode('')).toEqual([]);
  });

  test('as pycocotools 2.0 writes a square of 20 x 20 pixels in 50 x 40', () => {
    const text = 'e<d0d00000000000000000000000000000000000000kh0';
    const [annotated] = parseAnnotations(coco(text, [40, 50]));
    const { data } = maskOf(annotated.regions[0], 50, 40);
    const square = Array.from({ length: 2000 }, (_, i) => {
      const [row, column] = [Math.floor(i / 50), i % 50];
      return row >= 5 && row < 25 && column >= 10 && column < 30 ? 255 : 0;
    });
    expect([...data]).toEqual(square);
  });

  test('go there and back for masks of any size', () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }));
    // Runs, and not noise: a few changes along the columns.
    const drawn = sizes.chain(([height, width]) =>
      fc
        .array(fc.integer({ min: 1, max: height * width }), { maxLength: 30 })
        .map((changes) => ({ height, width, changes: new Set(changes) })),
    );
    fc.assert(
      fc.property(drawn, fc.boolean(), ({ height, width, changes }, startsInside) => {
        let isInside = startsInside;
        const mask = new Array<boolean>(height * width);
        for (let i = 0; i < mask.length; i++) {
          if (changes.has(i)) isInside = !isInside;
          mask[(i % height) * width + Math.floor(i / height)] = isInside;
        }
        const [annotated] = parseAnnotations(coco(encode(runsOf(mask, height)), [height, width]));
        const { data } = maskOf(annotated.regions[0], width, height);
        expect([...data].map((value) => value === 255)).toEqual(mask);
      }),
      { seed: 3, numRuns: 200 },
    );
  });

  test('and so do lengths of large images', () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { maxLength: 20 });
    fc.assert(
      fc.property(lengths, (values) => {
        expect(decode(encode(values))).toEqual(values);
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  test.each([
    ['43 N', /damaged at character 2 of 4: ' ' is none of its characters; export the annotations again/],
    ['4p', /damaged at character 1 of 2: 'p' is none of its characters/],
    ['4é', /'é' is none/],
    ['43e', /damaged at character 2 of 3: the last number is cut off/],
    ['PPPPPPPP0', /damaged at character 0 of 9: a number of more than 7 characters/],
    ['4N', /damaged at character 1 of 2: run 2 would have -2 pixels/],
    ['413M', /damaged at character 3 of 4: run 4 would have -2 pixels/],
  ])('%j is refused', (text, message) => {
    expect(() => decode(text)).toThrow(DataError);
    expect(() => decode(text)).toThrow(message);
  });

  test.each<[string, string | number[]]>([
    ['compressed', '433NN'],
    ['uncompressed', [4, 3, 3, 1, 1]],
  ])('of another size than they say are refused, %s', (_, counts) => {
    const read = () => parseAnnotations(coco(counts, [4, 4]));
    expect(read).toThrow(DataError);
    expect(read).toThrow(
      'annotations: annotations.0: its run lengths cover 12 pixels, its size is 4x4; export the annotations again',
    );
  });
});
