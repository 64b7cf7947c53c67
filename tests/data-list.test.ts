// Which files a data set consists of, by folder and by manifest, and what is said of one that is laid out wrongly.
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DataError } from '../engine/errors.ts';
import { listSamples } from '../isnet/data/files/list-samples.ts';
import { parseManifest } from '../isnet/data/files/manifest.ts';
import { type SampleList, soundList } from '../isnet/data/sample-list.ts';
import { temporaryFolder, write, writeImages } from './image-files.ts';

const folder = temporaryFolder();
let folders = 0;
const newRoot = (): string => join(folder, String(folders++));
const touch = (...parts: string[]): string => write(join(...parts), '');

const errors = ({ problems }: SampleList) => problems.filter(({ severity }) => severity === 'error');
const kinds = ({ problems }: SampleList) => problems.map(({ kind }) => kind);

describe('a folder', () => {
  test('gives every image with its split, label and mask', async () => {
    const root = await writeImages(newRoot(), {
      train: { cat: 1, dog: 1 },
      val: { dog: 1 },
      test: { cat: 1 },
    });
    const list = await listSamples(root);
    expect(list.classNames).toEqual(['cat', 'dog']);
    expect(list.problems).toEqual([]);
    expect(list.isMultiLabel).toBe(false);
    const rows = list.samples.map(({ file, split, labels, mask }) => [file, split, labels, mask.whole]);
    expect(rows).toEqual([
      [join(root, 'data/test/cat/0.png'), 'test', [1, 0], join(root, 'masks/test/cat/0.png')],
      [join(root, 'data/train/cat/0.png'), 'train', [1, 0], join(root, 'masks/train/cat/0.png')],
      [join(root, 'data/train/dog/0.png'), 'train', [0, 1], join(root, 'masks/train/dog/0.png')],
      [join(root, 'data/val/dog/0.png'), 'val', [0, 1], join(root, 'masks/val/dog/0.png')],
    ]);
  });

  test('may be data itself, with masks beside it, and may be a link', async () => {
    const root = await writeImages(newRoot(), { train: { a: 1 }, val: { a: 1 }, test: { a: 1 } });
    symlinkSync(root, join(folder, 'link'));
    for (const path of [join(root, 'data'), join(folder, 'link')]) {
      const { samples } = await listSamples(path);
      expect(samples.every(({ mask }) => mask.whole !== null)).toBe(true);
      expect(samples.length).toBe(3);
    }
  });

  test('takes a mask in another format, and one mask per class', async () => {
    const root = newRoot();
    touch(root, 'data/train/a/1.jpg');
    touch(root, 'data/train/b/2.dcm');
    touch(root, 'masks/train/a/1.png');
    touch(root, 'masks/train/b/2/a.png');
    touch(root, 'masks/train/b/2/b.webp');
    const [one, two] = (await listSamples(root)).samples;
    expect(one.mask).toEqual({ whole: join(root, 'masks/train/a/1.png'), byClass: {} });
    const byClass = { a: join(root, 'masks/train/b/2/a.png'), b: join(root, 'masks/train/b/2/b.webp') };
    expect(two.mask).toEqual({ whole: null, byClass });
  });

  test('names a test class that training does not know, and the one that was meant', async () => {
    const root = await writeImages(newRoot(), { train: { normal: 1, opacity: 1 }, test: { opacty: 1 } });
    const list = await listSamples(root);
    const [problem] = errors(list);
    expect(problem).toMatchObject({ kind: 'unknown-label', file: join(root, 'data/test/opacty') });
    expect(problem.text).toBe(
      "is no class of the training images (did you mean 'opacity'?); known are normal, opacity",
    );
    expect(() => soundList(list)).toThrow(DataError);
    expect(() => soundList(list)).toThrow(/^data: '.*opacty': is no class/);
  });

  test('names a class without training images', async () => {
    const root = await writeImages(newRoot(), { train: { a: 1 }, val: { a: 1 }, test: { a: 1 } });
    mkdirSync(join(root, 'data/train/b'));
    const [problem] = errors(await listSamples(root));
    expect(problem.kind).toBe('class-missing-in-training');
    expect(problem.text).toContain("no training image shows 'b'");
  });

  test('names a folder that is no split, and the one that was meant', async () => {
    const root = await writeImages(newRoot(), { train: { a: 1 }, vall: { a: 1 }, test: { a: 1 } });
    const [problem] = errors(await listSamples(root));
    expect(problem.text).toContain("is no split (did you mean 'val'?)");
  });

  test('is told of everything that is left out', async () => {
    const root = await writeImages(newRoot(), { train: { a: 1 }, val: { a: 1 }, test: { a: 1 } });
    touch(root, 'data/train/a/notes.txt');
    touch(root, 'data/train/loose.png');
    touch(root, 'masks/train/a/nobody.png');
    const list = await listSamples(root);
    expect(errors(list)).toEqual([]);
    expect(kinds(list).sort()).toEqual(['mask-without-image', 'misplaced-file', 'misplaced-file']);
  });

  test('refuses two images that would share a mask', async () => {
    const root = await writeImages(newRoot(), { train: { a: 1 }, val: { a: 1 }, test: { a: 1 } });
    touch(root, 'data/train/a/0.jpg');
    expect(errors(await listSamples(root))).toMatchObject([{ kind: 'duplicate-file' }]);
  });

  test('without splits is explained', async () => {
    const root = newRoot();
    touch(root, 'cat/1.png');
    await expect(listSamples(root)).rejects.toThrow(
      /has neither a folder data nor splits .* data\/train\/<class>/,
    );
  });

  test('that is not there, or is another file, is named', async () => {
    await expect(listSamples(join(folder, 'nowhere'))).rejects.toThrow(
      /there is no folder or CSV file '.*nowhere'/,
    );
    await expect(listSamples(touch(folder, 'list.txt'))).rejects.toThrow(
      /is neither a folder nor a CSV file/,
    );
  });
});

describe('a manifest', () => {
  const manifest = (...lines: string[]): SampleList => parseManifest('/data/list.csv', lines.join('\n'));
  const labels = (list: SampleList) => list.samples.map((sample) => sample.labels);

  test('gives files relative to itself, masks and groups', () => {
    const list = manifest('file,label,mask,split,group', 'a.png,cat,m/a.png,train,p1', '/b.png,dog,,val,');
    expect(list.samples).toEqual([
      {
        file: '/data/a.png',
        split: 'train',
        labels: [1],
        mask: { whole: '/data/m/a.png', byClass: {} },
        group: 'p1',
      },
    ]);
    expect(list.problems[0]).toMatchObject({ kind: 'unknown-label', file: '/data/list.csv' });
    expect(list.problems[0].text).toBe("line 3 has the label 'dog'; known are cat");
  });

  test('understands quotes, a byte order mark and Windows line ends', () => {
    const list = parseManifest('/l.csv', '\ufefffile,split,label\r\n"a, b.png",train,"x"\r\n');
    expect(list.samples[0].file).toBe('/a, b.png');
  });

  test('takes several labels per image, none, and uncertain ones', () => {
    const list = manifest(
      'file,split,labels',
      'a,train,x;y',
      'b,train,none',
      'c,train,y=-1',
      'd,train,',
      'e,train,-1',
    );
    expect(list.isMultiLabel).toBe(true);
    expect(list.classNames).toEqual(['x', 'y']);
    expect(labels(list)).toEqual([
      [1, 1],
      [0, 0],
      [0, -1],
      [-1, -1],
      [-1, -1],
    ]);
  });

  test('takes one column per class, written as CheXpert does', () => {
    const list = manifest(
      'file,split,label:Edema,label:No Finding',
      'a,train,1.0,0.0',
      'b,train,-1.0,1',
      'c,test,,0',
    );
    expect(list.classNames).toEqual(['Edema', 'No Finding']);
    expect(labels(list)).toEqual([
      [1, 0],
      [-1, 1],
      [-1, 0],
    ]);
  });

  test('takes one mask per class', () => {
    const list = manifest('file,split,label:x,label:y,mask:y', 'a,train,1,1,m.png');
    expect(list.samples[0].mask).toEqual({ whole: null, byClass: { y: '/data/m.png' } });
    expect(errors(manifest('file,split,label:x,mask:z', 'a,train,1,m'))[0].text).toContain(
      "'mask:z' is the mask of no class",
    );
  });

  test.each([
    ['a missing column', ['path,split,label', 'a,train,x'], /has no column 'file' \(it has path\); add it/],
    ['no split column', ['file,label', 'a,x'], /has no column 'split'; add it/],
    ['no labels', ['file,split', 'a,train'], /has no labels; use one of the columns label, labels/],
    ['labels twice', ['file,split,label,labels', 'a,train,x,x'], /has labels in label and labels; use one/],
    ['a column twice', ['file,split,label,label', 'a,train,x,x'], /has two columns 'label'/],
    ['no lines', ['file,split,label'], /lists no images/],
    ['a line with a cell too many', ['file,split,label', 'a,train,x,y'], /is no CSV table \(.*line 2/],
  ])('with %s is refused', (_, lines, message) => {
    expect(() => manifest(...lines)).toThrow(message);
    expect(() => manifest(...lines)).toThrow(/^data: '\/data\/list\.csv' /);
  });

  test.each([
    [
      'a file twice',
      ['a,train,x', 'a,train,x'],
      'duplicate-file',
      "line 3 names 'a' as line 2 does; remove one",
    ],
    [
      'a file under two paths',
      ['a,train,x', './a,val,x'],
      'duplicate-file',
      "line 3 names './a' as line 2 does",
    ],
    [
      'an unknown split',
      ['a,train,x', 'b,tran,x'],
      'misplaced-file',
      "has the split 'tran' (did you mean 'train'?)",
    ],
    ['an unknown label', ['a,train,x', 'b,test,z'], 'unknown-label', "line 3 has the label 'z'"],
    ['no file', ['a,train,x', ',test,x'], 'missing-file', 'line 3 names no file'],
  ])('with %s has an error of its own', (_, lines, kind, text) => {
    const [problem] = errors(manifest('file,split,label', ...lines));
    expect(problem.kind).toBe(kind);
    expect(problem.text).toContain(text);
  });

  test('with an impossible value says what values there are', () => {
    const [problem] = errors(manifest('file,split,label:x', 'a,train,1', 'b,train,2'));
    expect(problem.text).toBe("line 3 has '2' for x; use 1, 0, or -1 or blank if it is uncertain");
  });

  test('with a patient in training and test is refused, in two tests it is not', () => {
    const lines = ['file,split,label,group', 'a,train,x,p1', 'b,test-one,x,p2', 'c,test-two,x,p2'];
    const groupErrors = (list: SampleList) =>
      errors(list).filter(({ kind }) => kind === 'group-across-splits');
    expect(groupErrors(manifest(...lines))).toEqual([]);
    const [problem] = groupErrors(manifest(...lines, 'd,test-one,x,p1'));
    expect(problem.text).toBe(
      "group 'p1' is in train and test-one; put all images of a group into one split",
    );
  });

  test('says which files do not exist', async () => {
    const path = write(join(newRoot(), 'list.csv'), 'file,split,label\nnone.png,train,x\n');
    const [problem] = errors(await listSamples(path));
    expect(problem).toMatchObject({ kind: 'missing-file', file: join(path, '../none.png') });
  });
});

test('the first error stops training, and says how many more there are', () => {
  const list = parseManifest('/l.csv', 'file,split,label\na,train,x\na,train,x\na,train,x');
  expect(() => soundList(list)).toThrow(
    "data: '/l.csv': line 3 names 'a' as line 2 does; remove one (and 1 more: isnet data check '/l.csv')",
  );
});
