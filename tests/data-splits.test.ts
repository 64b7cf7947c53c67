// What a run is trained and tested on: which images stand for all, which tests there are and in which order, and how many.
import { describe, expect, test } from 'vitest';
import { countTable, labelCounts } from '../isnet/data/label-counts.ts';
import { markerBiasBenchmark } from '../isnet/data/marker-bias-benchmark.ts';
import { loadMnist } from '../isnet/data/mnist.ts';
import { arePaired, type Sample, testName, testSplitsOf } from '../isnet/data/sample-list.ts';
import { firstOfEachClass, markerSplits, representatives, shownClasses } from '../isnet/data/splits.ts';

/** Images by their labels, one letter per class that is shown. */
const labelled = (...images: string[]) => ({
  count: images.length,
  classNames: ['a', 'b', 'c'],
  labels: Int8Array.from(
    images.flatMap((image) => ['a', 'b', 'c'].map((name) => Number(image.includes(name)))),
  ),
});

describe('images that stand for all', () => {
  test('are of all classes by their share, also where one class follows another', () => {
    const source = labelled(...'aaaaaaaabbbb');
    expect(representatives(source, 6)).toEqual([0, 1, 2, 3, 8, 9]);
    expect(representatives(source, 12)).toHaveLength(12);
    expect(representatives(source, 100)).toHaveLength(12);
  });

  test('have at least one image of every kind', () => {
    expect(representatives(labelled(...'aaaaaaaaaaaaaaaaaaab', 'ac'), 4)).toEqual([0, 1, 2, 3, 19, 20]);
  });

  test('are the first ones where classes take turns, as in the quickstart', () => {
    const { train, test: digits } = loadMnist();
    const benchmark = { train, test: digits, trainCount: 1500, validationCount: 500, testCount: 10, seed: 0 };
    const { train: source } = markerSplits(markerBiasBenchmark(benchmark));
    expect(representatives(source, 1000)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  });
});

test('the first image of each class is no image twice', () => {
  expect(firstOfEachClass(labelled('b', 'ab', 'a', 'b'))).toEqual([1, 0]);
  expect(shownClasses({ classNames: ['a', 'b'] }, [1, 1])).toBe('a + b');
  expect(shownClasses({ classNames: ['a', 'b'] }, [0, -1])).toBe('none');
});

const samples = (...files: string[]): Sample[] =>
  files.map((file) => {
    const [split, className] = file.split('/');
    const labels = ['a', 'b'].map((name) => Number(name === className) as 0 | 1);
    return { file, split, labels, mask: { whole: null, byClass: {} }, group: null };
  });

describe('tests', () => {
  test('begin with what training resembles, and keep their order', () => {
    const names = ['train', 'test-other', 'test-deceiving', 'test-biased', 'test-a', 'test-unbiased'];
    const splits = testSplitsOf(samples(...names.map((name) => `${name}/a/1.png`)));
    expect(splits.map(testName)).toEqual(['biased', 'unbiased', 'deceiving', 'a', 'other']);
    expect(testSplitsOf(samples('test-a/a/1.png', 'test/a/1.png')).map(testName)).toEqual(['test', 'a']);
  });

  test('are the validation images where there are no others', () => {
    expect(testSplitsOf(samples('train/a/1.png', 'val/a/1.png')).map(testName)).toEqual(['validation']);
    expect(testSplitsOf(samples('train/a/1.png'))).toEqual([]);
  });

  test('have names of their own, whatever the splits are called', () => {
    expect(['test', 'test-test', 'test-x'].map(testName)).toEqual(['test', 'test-test', 'x']);
  });

  test('are paired if they show the same files in the same classes', () => {
    const tests = ['test-x', 'test-y'];
    const paired = samples('test-x/a/1.png', 'test-x/b/2.png', 'test-y/a/1.png', 'test-y/b/2.png');
    expect(arePaired(paired, tests)).toBe(true);
    expect(arePaired(paired.slice(0, 3), tests)).toBe(false);
    expect(arePaired(samples('test-x/a/1.png', 'test-y/b/1.png'), tests)).toBe(false);
    expect(arePaired(paired, ['test-x'])).toBe(false);
  });
});

test('counts stand in a table, uncertain ones in brackets, and many classes are cut', () => {
  const train = labelCounts([1, 0, 0, 1, -1, 0], ['a', 'b', 'c']);
  expect(train).toEqual({ images: 2, classes: { a: 2, b: 0, c: 0 }, uncertain: { b: 1 } });
  expect(countTable({ train }, ['a', 'b', 'c'], { most: 2, extra: [['with mask', 1]] })).toEqual([
    'class                  train',
    'a                          2',
    'b                    0 (+1?)',
    'and 1 more classes',
    'images                     2',
    'with mask                  1',
  ]);
});
