// Published photographs in their layout, on tiny files that are made here, and what holds for all published data sets.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { listSamples } from '../isnet/data/files/list-samples.ts';
import { publishedData } from '../isnet/data/files/published/index.ts';
import { matStrings } from '../isnet/data/files/published/mat-strings.ts';
import { splitOf } from '../isnet/data/files/published/published.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { isnet } from './command-line.ts';
import { write, writePicture } from './image-files.ts';
import { expectSound, imported, newFolder, picture, sampleOf, whiteOf } from './published-files.ts';

describe('facial attributes', () => {
  const header = '5_o_Clock_Shadow Smiling High_Cheekbones Rosy_Cheeks Young';

  test('of CelebAMask-HQ: parts of the head become one mask, the split is that of CelebA', async () => {
    const folder = newFolder();
    write(
      join(folder, 'CelebAMask-HQ-attribute-anno.txt'),
      `3\n${header}\n0.jpg  -1  1 -1  1  1\n1.jpg   1 -1 -1 -1  1\n2.jpg  -1  1  1 -1 -1\n`,
    );
    write(
      join(folder, 'CelebA-HQ-to-CelebA-mapping.txt'),
      'idx    orig_idx    orig_file\n0       119613      119614.jpg\n1       99094       099095.jpg\n2       200121      200122.jpg\n',
    );
    write(join(folder, 'list_eval_partition.txt'), '099095.jpg 1\n119614.jpg 0\n200122.jpg 2\n');
    for (let n = 0; n < 3; n++) await picture(folder, 'CelebA-HQ-img', `${n}.jpg`);
    const part = (name: string, column: number) =>
      writePicture(
        join(folder, 'CelebAMask-HQ-mask-anno/0', `00000_${name}.png`),
        Array.from({ length: 16 }, (_, i) => (i % 4 === column ? 255 : 0)),
        4,
      );
    await part('skin', 0);
    await part('l_eye', 1);
    await part('cloth', 3);
    const list = await imported('celeba', folder);
    expect(list.classNames).toEqual(['Smiling', 'High_Cheekbones', 'Rosy_Cheeks']);
    expect(list.samples.map(({ split, labels }) => [split, ...labels])).toEqual([
      ['train', 1, 0, 1],
      ['val', 0, 0, 0],
      ['test', 1, 1, 0],
    ]);
    const { columns } = await whiteOf(list.samples[0].mask.whole);
    expect(columns).toEqual([0, 1, 2, 3]);
    expect(list.samples[1].mask.whole).toBe(null);
    await expectSound(list);
  });

  test.each(['spaces', 'commas'])('of CelebA, with tables in %s', async (kind) => {
    const folder = newFolder();
    const isSpaced = kind === 'spaces';
    const table = (lines: string[]) =>
      lines.map((line) => (isSpaced ? line : line.replaceAll(/ +/g, ','))).join('\n');
    const attributes = ['000001.jpg -1 1 -1 1 1', '000002.jpg 1 -1 1 -1 -1'];
    const partition = ['000001.jpg 0', '000002.jpg 2'];
    if (isSpaced) {
      write(join(folder, 'Anno/list_attr_celeba.txt'), `${table(['2', header, ...attributes])}\n`);
      write(join(folder, 'Eval/list_eval_partition.txt'), table(partition));
      write(join(folder, 'Anno/identity_CelebA.txt'), '000001.jpg 2880\n000002.jpg 2937\n');
    } else {
      write(join(folder, 'list_attr_celeba.csv'), table([`image_id ${header}`, ...attributes]));
      write(join(folder, 'list_eval_partition.csv'), table(['image_id partition', ...partition]));
    }
    const images = isSpaced ? 'Img/img_align_celeba' : 'img_align_celeba/img_align_celeba';
    for (const name of ['000001.jpg', '000002.jpg']) await picture(folder, images, name);
    const list = await imported('celeba', folder, '--classes', 'Young,Smiling');
    expect(list.samples.map(({ split, labels, group }) => [split, group, ...labels])).toEqual([
      ['train', isSpaced ? '2880' : null, 1, 1],
      ['test', isSpaced ? '2937' : null, 0, 0],
    ]);
  });
});

/** A MATLAB file with one cell array of texts, written by the rules of its format and compressed as MATLAB does. */
function matFile(name: string, texts: readonly string[]): Buffer {
  const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
  const element = (type: number, data: Buffer) =>
    Buffer.concat([u32(type, data.length), data, Buffer.alloc((8 - (data.length % 8)) % 8)]);
  // Four bytes and fewer are kept within the tag.
  const small = (type: number, data: Buffer) =>
    Buffer.concat([
      Buffer.from(Uint16Array.of(type, data.length).buffer),
      data,
      Buffer.alloc(4 - data.length),
    ]);
  const matrix = (kind: number, dims: number[], named: Buffer, content: Buffer) =>
    element(14, Buffer.concat([element(6, u32(kind, 0)), element(5, u32(...dims)), named, content]));
  const cells = texts.map((text) =>
    matrix(4, [1, text.length], element(1, Buffer.alloc(0)), element(4, Buffer.from(text, 'utf16le'))),
  );
  const named = name.length <= 4 ? small(1, Buffer.from(name)) : element(1, Buffer.from(name));
  const compressed = deflateSync(matrix(1, [texts.length, 1], named, Buffer.concat(cells)));
  const header = Buffer.alloc(128, ' ');
  header.writeUInt16LE(0x0100, 124);
  header.write('IM', 126);
  return Buffer.concat([header, u32(15, compressed.length), compressed]);
}

describe('Stanford Dogs', () => {
  const annotation = (boxes: readonly number[][]): string =>
    `<annotation><size><width>8</width><height>8</height></size>${boxes
      .map(
        ([xmin, ymin, xmax, ymax]) =>
          `<object><name>dog</name><bndbox>\n<xmin>${xmin}</xmin><ymin>${ymin}</ymin><xmax>${xmax}</xmax><ymax>${ymax}</ymax>\n</bndbox></object>`,
      )
      .join('')}</annotation>`;
  const breeds = ['n02085620-Chihuahua', 'n02085782-Japanese_spaniel'];
  const written = async (): Promise<string> => {
    const folder = newFolder();
    for (const breed of breeds) {
      for (let n = 1; n <= 20; n++) {
        const name = `${breed.split('-')[0]}_${n}`;
        await picture(folder, 'Images', breed, `${name}.jpg`);
        write(
          join(folder, 'Annotation', breed, name),
          annotation(
            n === 1
              ? [
                  [1, 2, 3, 4],
                  [5, 2, 6, 3],
                ]
              : [[0, 0, 3, 7]],
          ),
        );
      }
    }
    return folder;
  };
  const pathsOf = (numbers: readonly number[]) =>
    breeds.flatMap((breed) => numbers.map((n) => `${breed}/${breed.split('-')[0]}_${n}.jpg`));
  const firstTwelve = Array.from({ length: 12 }, (_, n) => n + 1);

  test('have the published split, read from its MATLAB files, and boxes as masks', async () => {
    const folder = await written();
    write(join(folder, 'lists/train_list.mat'), matFile('file_list', pathsOf(firstTwelve)));
    write(join(folder, 'test_list.mat'), matFile('list', pathsOf([13, 14, 15])));
    const list = await imported('dogs', folder);
    expect(list.classNames).toEqual(['Chihuahua', 'Japanese_spaniel']);
    const splitsOf = (numbers: readonly number[]) =>
      new Set(
        list.samples
          .filter(({ file }) => numbers.includes(Number(file.match(/_(\d+)\.jpg/)?.[1])))
          .map(({ split }) => split),
      );
    expect(list.samples.length).toBe(30);
    expect(splitsOf(firstTwelve)).toEqual(new Set(['train', 'val']));
    expect(splitsOf([13, 14, 15])).toEqual(new Set(['test']));
    const { labels, mask } = sampleOf(list, 'n02085782_1.jpg');
    expect(labels).toEqual([0, 1]);
    // Both ends of a box are its own.
    expect(await whiteOf(mask.whole)).toEqual({ size: '8x8', rows: [2, 3, 4], columns: [1, 2, 3, 5, 6] });
    await expectSound(list);
  });

  test('without its lists are split at random, and the import says so', async () => {
    const folder = await written();
    const output = join(folder, 'dogs.csv');
    const { output: said } = await isnet('data', 'import', 'dogs', folder, '--output', output);
    expect(said).toContain(
      'there are no train_list.mat and test_list.mat: 70 % training, 10 % validation, 20 % test',
    );
    const list = await listSamples(output);
    expect(new Set(list.samples.map(({ split }) => split))).toEqual(new Set(['train', 'val', 'test']));
  });

  test('with an annotation missing or without a box are refused by name', async () => {
    const folder = await written();
    const path = join(folder, 'Annotation', breeds[0], 'n02085620_3');
    write(path, '<annotation></annotation>');
    const refused = async () =>
      (await isnet('data', 'import', 'dogs', folder, '--output', join(folder, 'dogs.csv'))).errors;
    expect(await refused()).toContain(`the annotation '${path}' has no box`);
    rmSync(path);
    expect(await refused()).toContain(`the annotation '${path}' is missing`);
  });

  test('lists that are cut off or no MATLAB files are refused', () => {
    const file = matFile('file_list', ['a.jpg', 'b.jpg']);
    expect(matStrings(file)).toEqual(['a.jpg', 'b.jpg']);
    expect(() => matStrings(file.subarray(0, file.length - 3))).toThrow('the MATLAB file is cut off');
    expect(() => matStrings(Buffer.alloc(200))).toThrow('no MATLAB file of level 5');
  });
});

test.each([...publishedData.keys()])('%s refuses a folder that holds something else', async (name) => {
  const folder = newFolder();
  write(join(folder, 'readme.txt'), '');
  const { exitCode, errors } = await isnet(
    'data',
    'import',
    name,
    folder,
    '--output',
    join(folder, 'out.csv'),
  );
  expect(exitCode).toBe(1);
  expect(errors).toContain(`import: '${folder}' does not look like `);
});

test.each([...publishedData])('%s has a configuration that a run can be started with', (_, { settings }) => {
  const config = completeConfig([settings('data.csv')], 'test');
  expect(config.data).toMatchObject({ dataset: 'images', source: 'data.csv', height: 224 });
});

test('an import keeps what is there, suggests names and refuses classes that are not published', async () => {
  const folder = newFolder();
  for (let n = 1; n <= 3; n++) await picture(folder, 'MontgomerySet/CXR_png', `MCUCXR_000${n}_0.png`);
  const output = write(join(folder, 'out.csv'), 'mine');
  const kept = await isnet('data', 'import', 'tuberculosis', folder, '--output', output);
  expect(kept.errors).toContain(`'${output}' exists and is kept; pass --overwrite`);
  expect(readFileSync(output, 'utf8')).toBe('mine');
  expect((await isnet('data', 'import', 'chexprt', folder, '--output', 'x')).errors).toContain(
    "did you mean 'chexpert'",
  );
  write(join(folder, 'COVID/images/1.png'), '');
  const unknown = await isnet('data', 'import', 'covid', folder, '--output', 'x', '--classes', 'covid');
  expect(unknown.errors).toContain("has no class 'covid'; use some of covid-19, normal");
});

test('random splits follow the group and the seed, in the shares that are said', () => {
  const splits = Array.from({ length: 5000 }, (_, n) => splitOf(`patient ${n}`, 7));
  const count = (name: string) => splits.filter((split) => split === name).length;
  // 10 % and 20 % of 5000, four standard deviations.
  expect(Math.abs(count('val') - 500)).toBeLessThan(85);
  expect(Math.abs(count('test') - 1000)).toBeLessThan(114);
  expect(splitOf('patient 3', 7)).toBe(splits[3]);
  expect(Array.from({ length: 100 }, (_, n) => splitOf(`patient ${n}`, 8))).not.toEqual(splits.slice(0, 100));
});
