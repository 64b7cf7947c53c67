// Comparing lists of numbers, with a message that names the element.
import { expect } from 'vitest';

/** Every expected number is met to `digits` decimals. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, digits = 7): void {
  for (let i = 0; i < expected.length; i++)
    expect(actual[i], `element ${i}`).toBeCloseTo(expected[i], digits);
}
