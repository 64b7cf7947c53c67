// Buffers that results share: never two at a time, and not much more than the least that could do.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Lifetime, planMemory } from '../engine/memory-plan.ts';

const total = (sizes: readonly number[]) => sizes.reduce((sum, n) => sum + n, 0);

/** Bytes that are needed at the busiest moment: no plan can do with less. */
function leastBytes(lifetimes: readonly Lifetime[]): number {
  const jobs = lifetimes.map(({ first }) => first);
  const neededAt = (job: number) =>
    total(lifetimes.filter(({ first, last }) => first <= job && job <= last).map(({ size }) => size));
  return Math.max(0, ...jobs.map(neededAt));
}

test('a chain alternates between two buffers', () => {
  const chain = Array.from({ length: 9 }, (_, i) => ({ size: 256, first: i, last: i + 1 }));
  expect(planMemory(chain).sizes).toEqual([256, 256]);
});

test('a small result may lie in a large buffer', () => {
  const { sizes, bufferOf, largest } = planMemory([
    { size: 256, first: 2, last: 3 },
    { size: 1024, first: 0, last: 1 },
  ]);
  expect(sizes).toEqual([1024]);
  expect(bufferOf).toEqual([0, 0]);
  expect(largest).toEqual([1]);
});

test('results that live at the same time have buffers of their own, large enough', () => {
  const lifetime = fc
    .tuple(
      fc.integer({ min: 1, max: 40 }),
      fc.nat(30),
      fc.oneof(fc.nat(10), fc.constant(Number.POSITIVE_INFINITY)),
    )
    .map(([size, first, length]) => ({ size: 256 * size, first, last: first + length }));
  fc.assert(
    fc.property(fc.array(lifetime, { maxLength: 40 }), (lifetimes) => {
      const { sizes, bufferOf } = planMemory(lifetimes);
      lifetimes.forEach((a, i) => {
        expect(sizes[bufferOf[i]]).toBeGreaterThanOrEqual(a.size);
        lifetimes.slice(i + 1).forEach((b, j) => {
          const overlap = a.first <= b.last && b.first <= a.last;
          if (overlap) expect(bufferOf[i]).not.toBe(bufferOf[i + 1 + j]);
        });
      });
      expect(total(sizes)).toBeGreaterThanOrEqual(leastBytes(lifetimes));
      // Separate buffers cannot be cut up, so some room is lost; on these, never half of it.
      expect(total(sizes)).toBeLessThanOrEqual(2 * leastBytes(lifetimes));
    }),
    { seed: 1, numRuns: 300 },
  );
});
