// The part of a configuration that says which images to train on, and messages that name what was probably meant.
import { describe, expect, test } from 'vitest';
import { UsageError } from '../engine/errors.ts';
import { didYouMean, nearestName } from '../engine/nearest-name.ts';
import { settingsOf, type TrainOptions } from '../isnet/commands/train-options.ts';
import { type ImageDataConfig, parseDataConfig, parseModelConfig, parseRunConfig } from '../isnet/config.ts';
import { completeConfig, imageDefaults, quickstartConfig } from '../isnet/quickstart-config.ts';

const complete = (data: object) => completeConfig([{ data } as never]);

describe('settings of images', () => {
  test('need no more than the place of the images', () => {
    const { data } = complete({ dataset: 'images', source: 'mine' });
    expect(data).toEqual({ ...imageDefaults, source: 'mine' });
  });

  test('keep what is given, in a file or on top of one', () => {
    const file = { data: { dataset: 'images', source: 'mine', height: 64 } } as const;
    const { data } = completeConfig([file, { data: { width: 32, trainCount: undefined } }]);
    expect(data as ImageDataConfig).toMatchObject({ source: 'mine', height: 64, width: 32, channels: 1 });
  });

  test('complete augment setting by setting', () => {
    const { data } = complete({ dataset: 'images', source: 'mine', augment: { rotate: 10 } });
    expect((data as ImageDataConfig).augment).toEqual({ ...imageDefaults.augment, rotate: 10 });
  });

  test('leave the quickstart as it is', () => {
    expect(completeConfig([]).data).toEqual(quickstartConfig.data);
  });

  test.each<[string, object, string]>([
    ['a missing place', {}, 'data.source is missing; use the path of a folder or of a CSV file'],
    [
      'an unknown setting',
      { source: 'm', hieght: 3 },
      "no setting 'hieght' (did you mean 'height'?) in 'data'; use dataset, source, height",
    ],
    ['a setting of the other data set', { source: 'm', trainCount: 3 }, "no setting 'trainCount'"],
    [
      'an unknown setting of augment',
      { source: 'm', augment: { rotation: 3 } },
      "no setting 'rotation' (did you mean 'rotate'?) in 'data.augment'; use flip, rotate, brightness, contrast",
    ],
    [
      'a word for a number',
      { source: 'm', height: 'tall' },
      'data.height is "tall"; use a whole number from 8 up',
    ],
    [
      'a margin below none',
      { source: 'm', maskMargin: -1 },
      'data.maskMargin is -1; use a whole number from 0 up',
    ],
    [
      'half a pixel',
      { source: 'm', maskMargin: 0.5 },
      'data.maskMargin is 0.5; use a whole number from 0 up',
    ],
    [
      'a misspelt margin',
      { source: 'm', maskMargn: 2 },
      "no setting 'maskMargn' (did you mean 'maskMargin'?) in 'data'",
    ],
    ['two channels', { source: 'm', channels: 2 }, 'data.channels is 2; use 1 (grey) or 3 (colours)'],
    [
      'a misspelt choice',
      { source: 'm', resize: 'strech' },
      'data.resize is "strech" (did you mean \'stretch\'?); use one of stretch, crop, pad',
    ],
  ])('with %s are refused', (_, data, message) => {
    expect(() => complete({ dataset: 'images', ...data })).toThrow(UsageError);
    expect(() => complete({ dataset: 'images', ...data })).toThrow(message);
  });

  test('of no known data set are refused', () => {
    expect(() => complete({ dataset: 'mnist' })).toThrow(
      'data.dataset is "mnist" (did you mean \'mnist-marker\'?); use one of mnist-marker, mnist-marker-grey,',
    );
  });
});

describe('settings of a benchmark', () => {
  test('are its counts and the margin of its masks, and those of MNIST with a marker are more', () => {
    expect(complete({ dataset: 'fashion-photos', testCount: 9 }).data).toEqual({
      dataset: 'fashion-photos',
      trainCount: 8000,
      validationCount: 500,
      testCount: 9,
      maskMargin: 0,
    });
    expect(complete({ dataset: 'mnist-marker', testCount: 9 }).data).toEqual({
      ...quickstartConfig.data,
      testCount: 9,
    });
  });

  test('of a file may be for another benchmark than that of the command line', () => {
    const file = { data: { dataset: 'fashion-marker', trainCount: 7 } } as const;
    const { data } = completeConfig([file, { data: { dataset: 'emoji-photos' } }]);
    expect(data).toMatchObject({ dataset: 'emoji-photos', trainCount: 7, testCount: 2000 });
  });

  test.each([
    [{ dataset: 'fashion-photos', trainCount: 0 }, 'data.trainCount is 0; use a whole number from 1 up'],
    [{ dataset: 'emoji-photos', maskMargin: '2' }, 'data.maskMargin is "2"; use a whole number from 0 up'],
    [
      { dataset: 'fashion-photos', maskmargin: 2 },
      "no setting 'maskmargin' (did you mean 'maskMargin'?) in 'data'; use dataset, trainCount",
    ],
    [{ dataset: 'mnist-marker', maskMargin: -3 }, 'data.maskMargin is -3; use a whole number from 0 up'],
    [{ dataset: 'fashion-photos', folder: 'x' }, "no setting 'folder' in 'data'; use dataset, trainCount"],
  ])('%j are refused', (data, message) => {
    expect(() => complete(data)).toThrow(message);
  });
});

describe('the margin of masks', () => {
  const counts = { trainCount: 1, validationCount: 1, testCount: 1 };
  const { maskMargin: _, ...images } = imageDefaults;

  test.each([
    { ...images, source: 'mine' },
    { dataset: 'fashion-photos', ...counts },
    { dataset: 'mnist-marker', ...counts, background: 'black', markerSize: 2, folder: null },
  ])('is none in weights files from before there was one: $dataset', (written) => {
    expect(parseDataConfig(written)).toEqual({ ...written, maskMargin: 0 });
  });

  test('is kept as it is given', () => {
    for (const dataset of ['images', 'fashion-photos', 'mnist-marker']) {
      const source = dataset === 'images' ? { source: 'mine' } : {};
      expect(complete({ dataset, ...source, maskMargin: 2 }).data).toMatchObject({ maskMargin: 2 });
    }
  });
});

describe('settings of a network by name', () => {
  const model = (settings: object) => completeConfig([{ model: settings } as never]);

  test('need no more than the name, and come with a learning rate that it survives', () => {
    const config = model({ kind: 'densenet121' });
    expect(config.model).toEqual({ kind: 'densenet121', dropout: null, negativeSlope: 0, weights: null });
    expect([config.classifier.learningRate, config.isnet.learningRate]).toEqual([1e-3, 1e-3]);
    expect(
      completeConfig([{ model: { kind: 'vgg11' }, isnet: { learningRate: 2 } }]).isnet.learningRate,
    ).toBe(2);
  });

  test('of a file keep convolutions without biases where the command line is silent about them', () => {
    const file = { model: { convBias: false } } as never;
    const isKept = (given: Partial<TrainOptions>) =>
      completeConfig([file, settingsOf({ outputDir: 'runs', ...given })]).model;
    // commander's value of `--no-conv-bias` where nobody wrote it
    expect(isKept({ convBias: true })).toMatchObject({ convBias: false });
    const written = settingsOf({ outputDir: 'runs', convBias: false });
    expect(completeConfig([written]).model).toMatchObject({ convBias: false });
    const { convBias: _, negativeSlope: __, ...older } = quickstartConfig.model;
    expect(parseRunConfig({ ...completeConfig([]), model: older }).model).toEqual({
      ...quickstartConfig.model,
      negativeSlope: 0,
    });
  });

  test('have the slope of ReLUs that is given, and none in weights files from before there was one', () => {
    const given = settingsOf({ outputDir: 'runs', model: 'resnet18', negativeSlope: 0.1 });
    expect(completeConfig([given]).model).toMatchObject({ kind: 'resnet18', negativeSlope: 0.1 });
    const older = { kind: 'resnet18', dropout: null, weights: null };
    expect(parseModelConfig(older)).toEqual({ ...older, negativeSlope: 0 });
    expect(parseModelConfig({ ...older, kind: 'vit_small' })).toMatchObject({ negativeSlope: 0 });
  });

  test('of a file may be changed to those of another network, and back', () => {
    const file = { model: { kind: 'resnet18', dropout: 0.5 } } as const;
    expect(completeConfig([file, { model: { kind: 'vit_small' } }]).model).toMatchObject({
      kind: 'vit_small',
    });
    const back = completeConfig([file, { model: { kind: 'small-cnn' } }]);
    expect(back.model).toEqual({ ...quickstartConfig.model, dropout: 0.5 });
  });

  test('of a file that leave the dropout to the network leave it to small-cnn, too', () => {
    const file = { model: { kind: 'resnet18', dropout: null, weights: null } } as const;
    const command = settingsOf({ outputDir: 'runs', model: 'small-cnn', hidden: [5] });
    expect(completeConfig([file, command]).model).toEqual({ ...quickstartConfig.model, hidden: [5] });
    expect(completeConfig([file, { model: { kind: 'vgg11' } }]).model.dropout).toBe(null);
    // Said of small-cnn itself it is a mistake.
    const mistake = { model: { dropout: null } } as never;
    expect(() => completeConfig([mistake])).toThrow('model.dropout is null; use');
    expect(() => completeConfig([file, { model: { kind: 'small-cnn' } }, mistake])).toThrow(
      'model.dropout is null; use',
    );
  });

  test.each<[string, object, string]>([
    ['a misspelt name', { kind: 'resnet-18' }, "(did you mean 'resnet18'?); use one of small-cnn, resnet18"],
    [
      'settings of small-cnn',
      { kind: 'resnet18', blocks: [] },
      "there is no setting 'blocks' in 'model'; use kind, dropout, negativeSlope, weights",
    ],
    [
      'settings of no network',
      { batchnorm: true },
      "'batchnorm' (did you mean 'batchNorm'?) in 'model'; use kind, blocks",
    ],
    ['a network without classes', { kind: 'unet' }, 'model.kind is "unet"'],
    [
      'a slope where no ReLU is',
      { kind: 'vit_small', negativeSlope: 0.1 },
      'model.negativeSlope is 0.1; use 0 for a network without ReLUs',
    ],
    ['a slope of 1', { kind: 'vgg11', negativeSlope: 1 }, 'use a number from 0 to 0.99'],
    ['weights of no file', { kind: 'resnet18', weights: 3 }, 'use the path of a safetensors file, or null'],
  ])('with %s are refused', (_, settings, message) => {
    expect(() => model(settings)).toThrow(UsageError);
    expect(() => model(settings)).toThrow(message);
  });
});

test('a setting of another section names the nearest of that section', () => {
  expect(() => completeConfig([{ isnet: { learningrate: 1 } } as never])).toThrow(
    "no setting 'learningrate' (did you mean 'learningRate'?) in 'isnet'",
  );
  expect(() => completeConfig([{ clasifier: {} } as never])).toThrow(
    "no setting 'clasifier' (did you mean 'classifier'?); use name, seed",
  );
});

describe('settings that stand beside their section are refused with its name:', () => {
  test.each<[object, string]>([
    [
      { dataset: 'images', source: 'm', height: 64 },
      "'dataset', 'source', 'height' belong in the section 'data'; write { \"data\": { \"dataset\": ... } }",
    ],
    [
      { maskMargin: 2, rate: 1 },
      '\'maskMargin\' belongs in the section \'data\'; write { "data": { "maskMargin": ... } }',
    ],
    [{ kind: 'resnet18' }, '\'kind\' belongs in the section \'model\'; write { "model": { "kind": ... } }'],
    [{ P: 0.5 }, '\'P\' belongs in the section \'isnet\'; write { "isnet": { "P": ... } }'],
    [
      { epochs: 3, P: 0.5 },
      "'epochs' belongs in the section 'classifier' or 'isnet'; write { \"classifier\": { \"epochs\": ... } }",
    ],
  ])('%j', (settings, message) => {
    expect(() => completeConfig([settings as never], 'mine.json')).toThrow(`mine.json: ${message}`);
  });

  test('not where a section is all that there is', () => {
    const data = { ...imageDefaults, source: 'm', epochs: 3 };
    expect(() => parseDataConfig(data)).toThrow("there is no setting 'epochs'; use dataset, source, height");
  });
});

describe('the nearest name', () => {
  test.each([
    ['hieght', 'height', 'two letters swapped'],
    ['WIDTH', 'width', 'capitals'],
    ['chanels', 'channels', 'a letter missing'],
    ['resizee', 'resize', 'a letter too many'],
    ['flop', 'flip', 'another letter'],
    ['chan', 'channels', 'a beginning'],
  ])('of %s is %s: %s', (given, name) => {
    expect(nearestName(given, ['height', 'width', 'channels', 'resize', 'flip'])).toBe(name);
  });

  test('is none where nothing is like it', () => {
    expect(nearestName('zzz', ['height', 'width'])).toBe(null);
    expect(didYouMean('zzz', ['height', 'width'])).toBe('');
    expect(nearestName('x', [])).toBe(null);
  });
});
