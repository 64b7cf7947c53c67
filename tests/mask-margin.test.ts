// Masks with a margin: what grows, and what becomes of images without any background left.
import { describe, expect, test } from 'vitest';
import { UsageError } from '../engine/errors.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { withMargin, withMaskMargin } from '../isnet/data/mask-margin.ts';

const drawn = (...rows: string[]): Float32Array =>
  Float32Array.from(rows.join(''), (pixel) => (pixel === '#' ? 1 : 0));

describe('a margin round masks', () => {
  test('reaches sideways, up, down and across, and ends at the edge of the image', () => {
    const mask = drawn('......', '......', '......', '....#.', '......');
    expect(withMargin(mask, 5, 6, 1)).toEqual(drawn('......', '......', '...###', '...###', '...###'));
    expect(withMargin(mask, 5, 6, 2)).toEqual(drawn('......', '..####', '..####', '..####', '..####'));
  });

  test('keeps planes apart, and empty ones empty', () => {
    const masks = drawn('...', '..#', '...', '...', '#..', '...');
    expect(withMargin(masks, 2, 3, 1)).toEqual(drawn('.##', '.##', '...', '...', '##.', '##.'));
  });

  test('of 0 leaves masks as they are; the masks given are never changed', () => {
    const mask = drawn('#..', '...');
    expect(withMargin(mask, 2, 3, 0)).toBe(mask);
    withMargin(mask, 2, 3, 2);
    expect(mask).toEqual(drawn('#..', '...'));
  });

  test.each([-1, 0.5, Number.NaN])('of %d pixels is refused', (margin) => {
    expect(() => withMargin(drawn('#'), 1, 1, margin)).toThrow(UsageError);
  });
});

describe('a data set with margins round its masks', () => {
  const dataset: Dataset = {
    images: new Float32Array(12),
    masks: drawn('#...', '.#..', '....'),
    labels: Uint8Array.of(0, 1, 1),
    count: 3,
    channels: 1,
    height: 1,
    width: 4,
    classNames: ['x', 'y'],
  };

  test('has other masks, and is else the same', () => {
    const { masks, ...rest } = withMaskMargin(dataset, 1);
    expect(masks).toEqual(drawn('##..', '###.', '....'));
    expect({ ...rest, masks: dataset.masks }).toEqual(dataset);
    expect(withMaskMargin(dataset, 0)).toBe(dataset);
  });

  test('takes an image without any background left for classification only', () => {
    const { masks, hasMask } = withMaskMargin(dataset, 2);
    expect(masks).toEqual(drawn('###.', '....', '....'));
    expect(hasMask).toEqual(Uint8Array.of(1, 0, 1));
    const isKnown = { ...dataset, hasMask: Uint8Array.of(0, 1, 1) };
    expect(withMaskMargin(isKnown, 2).hasMask).toEqual(Uint8Array.of(0, 0, 1));
  });

  test('may have no masks at all', () => {
    const unmasked = { ...dataset, masks: new Float32Array(12), hasMask: new Uint8Array(3) };
    expect(withMaskMargin(unmasked, 3).hasMask).toBe(unmasked.hasMask);
  });
});
