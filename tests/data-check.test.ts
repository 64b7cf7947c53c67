// `isnet data check`, `preview` and `phantom` as their users meet them.

import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import type { DataReport } from '../isnet/data/files/check.ts';
import { openPicture } from '../isnet/data/files/decode.ts';
import { drawPhantom, phantomClasses } from '../isnet/data/phantom.ts';
import { readPng } from '../lrp/png.ts';
import { isnet } from './command-line.ts';
import { pattern, temporaryFolder, upperHalf, write, writeImages, writePicture } from './image-files.ts';

const folder = temporaryFolder();
const SIZE = 8;
const complete = { train: { a: 3, b: 2 }, val: { a: 1, b: 1 }, test: { a: 1, b: 1 } };

const check = async (source: string, ...options: string[]) => {
  const { exitCode, output, errors } = await isnet('data', 'check', source, '--json', ...options);
  return { exitCode, errors, report: JSON.parse(output || 'null') as DataReport };
};

const found = ({ problems }: DataReport) =>
  problems.map(({ severity, kind, file }) => [severity, kind, file]);

describe('isnet data check', () => {
  test('counts a sound data set and exits with 0', async () => {
    const root = await writeImages(join(folder, 'sound'), complete);
    const { exitCode, report } = await check(root);
    expect(exitCode).toBe(0);
    expect(report.problems).toEqual([]);
    expect(report.splits).toEqual({
      train: { images: 5, masked: 5, classes: { a: 3, b: 2 }, uncertain: {} },
      val: { images: 2, masked: 2, classes: { a: 1, b: 1 }, uncertain: {} },
      test: { images: 2, masked: 2, classes: { a: 1, b: 1 }, uncertain: {} },
    });
    expect(report.sizes).toEqual([{ width: SIZE, height: SIZE, images: 9 }]);
    expect(report.foregroundShare).toBe(0.5);
  });

  test('prints a table', async () => {
    const root = await writeImages(join(folder, 'table'), complete);
    const { exitCode, output } = await isnet('data', 'check', root);
    expect(exitCode).toBe(0);
    expect(output).toContain(
      [
        'class       train   val   test',
        'a               3     1      1',
        'b               2     1      1',
        'images          5     2      2',
        'with mask       5     2      2',
        '',
        'sizes: 8x8 (9)',
        'masks: 50.0 % foreground on average',
        '',
        '0 errors, 0 warnings',
      ].join('\n'),
    );
  });

  const blank = (value: number) => new Array(SIZE * SIZE).fill(value);

  test.each<[string, string, (root: string) => Promise<unknown> | unknown, string, string]>([
    [
      'a damaged image',
      'damaged',
      (root) => write(join(root, 'data/val/a/0.png'), 'x'),
      'unreadable',
      'data/val/a/0.png',
    ],
    [
      'a damaged mask',
      'mask',
      (root) => write(join(root, 'masks/val/a/0.png'), 'x'),
      'unreadable',
      'masks/val/a/0.png',
    ],
    [
      'a mask of another size',
      'size',
      (root) => writePicture(join(root, 'masks/test/b/0.png'), upperHalf(4), 4),
      'size-mismatch',
      'masks/test/b/0.png',
    ],
    [
      'an empty mask',
      'empty',
      (root) => writePicture(join(root, 'masks/train/a/1.png'), blank(0), SIZE),
      'empty-mask',
      'masks/train/a/1.png',
    ],
    [
      'a full mask',
      'full',
      (root) => writePicture(join(root, 'masks/train/a/1.png'), blank(255), SIZE),
      'full-mask',
      'masks/train/a/1.png',
    ],
    [
      'a test image that was trained on',
      'leak',
      (root) => copyFileSync(join(root, 'data/train/b/0.png'), join(root, 'data/test/b/0.png')),
      'duplicate-across-splits',
      'data/train/b/0.png',
    ],
  ])('finds %s and exits with 1', async (_, name, change, kind, file) => {
    const root = await writeImages(join(folder, name), complete);
    await change(root);
    const { exitCode, report } = await check(root);
    expect(exitCode).toBe(1);
    // A copy is found at whichever of the two comes first.
    const [problem, ...others] = report.problems;
    expect([problem.severity, problem.kind, others]).toEqual(['error', kind, []]);
    if (kind === 'duplicate-across-splits')
      expect(`${problem.file} ${problem.text}`).toContain(join(root, file));
    else expect(problem.file).toBe(join(root, file));
  });

  test('finds a copy in another format', async () => {
    const root = await writeImages(join(folder, 'format'), complete);
    const bytes = await sharp(join(root, 'data/train/a/0.png'))
      .toColourspace('b-w')
      .png({ compressionLevel: 0 })
      .toBuffer();
    write(join(root, 'data/test/a/copy.png'), bytes);
    const { report } = await check(root);
    expect(report.problems).toMatchObject([{ kind: 'duplicate-across-splits' }]);
  });

  test('only warns of what training can live with', async () => {
    const root = await writeImages(join(folder, 'warned'), {
      train: { a: 10, b: 1 },
      val: { a: 1 },
      test: { b: 1 },
    });
    await writePicture(join(root, 'data/train/a/unmasked.png'), pattern(77), SIZE);
    copyFileSync(join(root, 'data/train/a/0.png'), join(root, 'data/train/a/copy.png'));
    copyFileSync(join(root, 'masks/train/a/0.png'), join(root, 'masks/train/a/copy.png'));
    const soft = upperHalf(SIZE).map((value, i) => (i === 40 ? 100 : value));
    await writePicture(join(root, 'masks/train/a/1.png'), soft, SIZE);
    const { exitCode, report } = await check(root);
    expect(exitCode).toBe(0);
    expect(found(report)).toEqual([
      ['warning', 'duplicate-image', join(root, 'data/train/a/0.png')],
      ['warning', 'imbalance', null],
      ['warning', 'no-mask', null],
      ['warning', 'soft-mask', join(root, 'masks/train/a/1.png')],
    ]);
    const { output } = await isnet('data', 'check', root);
    expect(output).toContain("warnings: soft mask (1)\n  '");
    expect(output).toContain('has soft edges (1 of 64 pixels)');
    expect(output.trimEnd()).toMatch(/0 errors, 4 warnings$/);
  });

  test('takes an empty mask as the policy says', async () => {
    const root = await writeImages(join(folder, 'policy'), complete);
    await writePicture(join(root, 'masks/train/a/1.png'), blank(0), SIZE);
    const { exitCode, report } = await check(root, '--empty-masks', 'all-background');
    expect(exitCode).toBe(0);
    expect(found(report)).toEqual([['warning', 'empty-mask', join(root, 'masks/train/a/1.png')]]);
  });

  test('reads a manifest, and says which of its files are missing', async () => {
    await writePicture(join(folder, 'm/x.png'), pattern(1), SIZE);
    const lines = ['file,split,label:p,label:q', 'x.png,train,1,-1', 'none.png,train,0,1'];
    const { exitCode, report } = await check(write(join(folder, 'm/list.csv'), lines.join('\n')));
    expect(exitCode).toBe(1);
    expect(report.problems[0]).toMatchObject({ kind: 'missing-file', file: join(folder, 'm/none.png') });
    expect(report.splits.train).toEqual({
      images: 2,
      masked: 0,
      classes: { p: 1, q: 1 },
      uncertain: { q: 1 },
    });
  });

  test('of nothing is one line', async () => {
    const { exitCode, errors } = await isnet('data', 'check', join(folder, 'nowhere'));
    expect(exitCode).toBe(1);
    expect(errors).toMatch(/^error: data: there is no folder or CSV file '.*nowhere'; check the path\n$/);
  });
});

describe('isnet data preview', () => {
  test('draws images with the outlines of their masks', async () => {
    const root = await writeImages(join(folder, 'preview'), complete);
    const picture = join(folder, 'preview.png');
    const args = ['data', 'preview', root, '--output', picture, '--columns', '3', '--size', '8'];
    const { exitCode, output } = await isnet(...args);
    expect(exitCode).toBe(0);
    expect(output).toContain('5 images of train');
    const { width, height, rgba } = await readPng(picture);
    // Pictures of 8 x 8 are enlarged to 96 x 96, with gaps of 4.
    expect([width, height]).toEqual([3 * 96 + 2 * 4, 2 * 96 + 4]);
    const isMagenta = (x: number, y: number) =>
      rgba.subarray(4 * (y * width + x), 4 * (y * width + x) + 3).join() === '255,0,255';
    expect([isMagenta(0, 0), isMagenta(50, 47), isMagenta(50, 48), isMagenta(50, 20)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    const again = await isnet(...args);
    expect(again.exitCode).toBe(1);
    expect(again.errors).toMatch(/exists and is kept; pass --overwrite/);
  });

  test('names the split that was meant, and a setting out of range', async () => {
    const root = await writeImages(join(folder, 'meant'), complete);
    const output = join(folder, 'never.png');
    const split = await isnet('data', 'preview', root, '--output', output, '--split', 'tran');
    expect(split).toMatchObject({ exitCode: 2 });
    expect(split.errors).toContain("has no images in 'tran' (did you mean 'train'?); use one of");
    const turn = await isnet('data', 'preview', root, '--output', output, '--rotate', '300');
    expect(turn.errors).toContain('data preview: augment.rotate is 300; use a number from 0 to 180');
    expect(existsSync(output)).toBe(false);
  });
});

test('isnet data preview of nothing says where to look', async () => {
  const nothing = join(folder, 'nothing');
  mkdirSync(join(nothing, 'data/train/a'), { recursive: true });
  const { exitCode, errors } = await isnet('data', 'preview', nothing);
  expect(exitCode).toBe(1);
  expect(errors).toContain(`'${nothing}' has no images at all; isnet data check '${nothing}' says what`);
});

describe('isnet data phantom', () => {
  const small = ['--train-count', '4', '--validation-count', '2', '--test-count', '2', '--size', '64'];

  test('writes a sound data set that says on every level that it is synthetic', async () => {
    const out = join(folder, 'phantom');
    const { exitCode, output } = await isnet('data', 'phantom', '--out', out, ...small);
    expect(exitCode).toBe(0);
    expect(output).toContain('synthetic phantoms, not patients');
    expect(readFileSync(join(out, 'README.txt'), 'utf8')).toMatch(/^SYNTHETIC PHANTOMS\. NOT X-RAYS/);
    expect(readdirSync(join(out, 'data')).sort()).toEqual([
      'test-biased',
      'test-deceiving',
      'test-unbiased',
      'train',
      'val',
    ]);
    expect(readdirSync(join(out, 'data/train'))).toEqual([...phantomClasses]);
    for (const name of readdirSync(join(out, 'data/train/synthetic-normal')))
      expect(name).toMatch(/^synthetic-\d+\.png$/);
    const { exitCode: sound, report } = await check(out);
    expect(sound).toBe(0);
    expect(report.problems).toEqual([]);
    expect(report.splits.train).toMatchObject({
      images: 4,
      masked: 4,
      classes: { 'synthetic-normal': 2, 'synthetic-opacity': 2 },
    });
  });

  test('never writes into a folder that holds something, or where it may not', async () => {
    const taken = join(folder, 'taken');
    write(join(taken, 'mine.txt'), 'mine');
    const { exitCode, errors } = await isnet('data', 'phantom', '--out', taken, ...small);
    expect(exitCode).toBe(1);
    expect(errors).toMatch(/phantom: '.*taken' is not empty \(it holds mine\.txt\); choose a new folder/);
    expect(readdirSync(taken)).toEqual(['mine.txt']);
    const file = await isnet('data', 'phantom', '--out', join(taken, 'mine.txt', 'sub'), ...small);
    expect(file.errors).toMatch(/cannot be made \(part of the path is a file\); choose another place/);
  });

  test('leaves no folder behind that is refused for its size', async () => {
    const out = join(folder, 'tiny');
    const args = ['data', 'phantom', '--out', out, '--size', '32'];
    const { exitCode, errors } = await isnet(...args);
    expect(exitCode).toBe(2);
    expect(errors).toContain('phantom: a side of 32 pixels has no room for the marker; use a whole number');
    expect(existsSync(out)).toBe(false);
  });

  // Root may write anywhere.
  test.skipIf(process.getuid?.() === 0)('says that a folder is read-only', async () => {
    const locked = join(folder, 'locked');
    mkdirSync(locked);
    chmodSync(locked, 0o500);
    const { errors } = await isnet('data', 'phantom', '--out', join(locked, 'new'), ...small);
    expect(errors).toMatch(/cannot be made \(no permission\)/);
  });

  // A disk of 128 KiB in a mount namespace of its own: needs no rights where such namespaces are allowed.
  const ownMount = (script: string) =>
    spawnSync('unshare', ['-rm', 'sh', '-ec', script], { encoding: 'utf8' });
  const mount = (path: string) => `mount -t tmpfs -o size=128k none '${path}'`;
  const canMount = ownMount(mount(tmpdir())).status === 0;
  if (!canMount) console.warn('data-check.test: the test of a full disk is SKIPPED, no namespaces');

  test.skipIf(!canMount)('says that the disk is full, and at which file', () => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const root = join(import.meta.dirname, '..');
    const command = `'${process.execPath}' --import tsx isnet/cli.ts data phantom --out '${disk}/phantom'`;
    const { status, stderr } = ownMount(`cd '${root}'; ${mount(disk)}; ${command}`);
    expect(stderr).toMatch(
      /^error: phantom: the disk is full, '.*synthetic-\d+\.png' was not written \(ENOSPC\)/,
    );
    expect(status).toBe(1);
  });
});

describe('a phantom', () => {
  const options = { size: 64, seed: 1, stream: 'test', index: 5 } as const;
  const draw = (label: number, marker: 'own' | 'none' | 'other') =>
    drawPhantom({ ...options, label, marker });
  const differences = (a: Uint8Array, b: Uint8Array) => [...a.keys()].filter((i) => a[i] !== b[i]);

  test('differs between the tests in its marker alone, which is no foreground', () => {
    for (const label of [0, 1]) {
      const { image, mask } = draw(label, 'none');
      for (const marker of ['own', 'other'] as const) {
        const marked = draw(label, marker);
        expect(marked.mask).toEqual(mask);
        const changed = differences(image, marked.image);
        expect(changed.length).toBeGreaterThan(10);
        for (const i of changed) {
          expect(mask[i]).toBe(0);
          expect(Math.floor(i / 64)).toBeLessThan(10);
        }
      }
    }
  });

  test('deceives with the marker of the other class', () => {
    const ink = (label: number, marker: 'own' | 'other') =>
      differences(draw(label, 'none').image, draw(label, marker).image);
    expect(ink(0, 'other')).toEqual(ink(1, 'own'));
    expect(ink(1, 'other')).toEqual(ink(0, 'own'));
    expect(ink(0, 'own')).not.toEqual(ink(1, 'own'));
  });

  test('shows its class in the lungs, and only there', () => {
    const normal = draw(0, 'none');
    const opacity = draw(1, 'none');
    const changed = differences(normal.image, opacity.image);
    const inLungs = changed.filter((i) => normal.mask[i] === 255);
    expect(changed.length).toBeGreaterThan(20);
    // The soft outline of a lung reaches a pixel or two beyond its mask.
    expect(inLungs.length / changed.length).toBeGreaterThan(0.85);
    for (const i of inLungs) expect(opacity.image[i]).toBeGreaterThan(normal.image[i]);
  });

  test('is refused where it cannot be drawn', () => {
    expect(() => drawPhantom({ ...options, label: 2, marker: 'own' })).toThrow(/there is no class 2; use 0/);
    expect(() => drawPhantom({ ...options, size: 32, label: 0, marker: 'own' })).toThrow(
      /a side of 32 pixels has no room/,
    );
  });
});

test('the picture files of a phantom are 8-bit grey', async () => {
  const out = join(folder, 'grey');
  await isnet(
    'data',
    'phantom',
    '--out',
    out,
    '--train-count',
    '1',
    '--validation-count',
    '0',
    '--test-count',
    '0',
  );
  const { channels, data, width } = await openPicture(
    join(out, 'data/train/synthetic-normal/synthetic-00000.png'),
  );
  expect([channels, width]).toEqual([1, 128]);
  expect(data).toEqual(
    drawPhantom({ label: 0, marker: 'own', size: 128, seed: 0, stream: 'train', index: 0 }).image,
  );
});
