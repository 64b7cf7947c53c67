// Lists on the command line: nothing in them is there twice, where it would be made, counted or meant twice.
import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import { distinct, heatmapWeight, modules, names, wholeNumbers } from '../isnet/commands/parse.ts';

describe('a list', () => {
  test.each([
    [names, 'oracle,classifier,oracle', 'oracle'],
    [distinct(wholeNumbers), '1,0,01', '1'],
    [modules, 'layer2,layer2', 'layer2'],
    [heatmapWeight, '0:0.3,5:0.7,5:0.8', '5'],
  ])('%o refuses %s', (parse, text, repeated) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError);
    expect(() => parse(text)).toThrow(`${repeated} is named more than once; name it once.`);
  });

  test('of different values is taken', () => {
    expect(names('oracle,classifier')).toEqual(['oracle', 'classifier']);
    expect(distinct(wholeNumbers)('1,0,10')).toEqual([1, 0, 10]);
    expect(modules('layer2,layer3')).toEqual(['layer2', 'layer3']);
    expect(heatmapWeight('0:0.3,5:0.3')).toEqual({ 0: 0.3, 5: 0.3 });
  });

  test('of sizes may repeat them', () => {
    expect(wholeNumbers('64,64')).toEqual([64, 64]);
  });
});
