// Published data sets in the layout they are published in, on tiny files of that layout: none of the real ones is here.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { checkFiles } from '../isnet/data/files/check.ts';
import { openPicture } from '../isnet/data/files/decode.ts';
import { listSamples } from '../isnet/data/files/list-samples.ts';
import { publishedData } from '../isnet/data/files/published/index.ts';
import { matStrings } from '../isnet/data/files/published/mat-strings.ts';
import { splitOf } from '../isnet/data/files/published/published.ts';
import type { Sample, SampleList } from '../isnet/data/sample-list.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { isnet } from './command-line.ts';
import { pattern, temporaryFolder, upperHalf, write, writePicture } from './image-files.ts';

const root = temporaryFolder();
let number = 0;
const newFolder = (): string => join(root, String(number++));
let pictures = 0;
const picture = (...path: string[]): Promise<string> => writePicture(join(...path), pattern(pictures++), 8);

/** Imports and lists what was written. */
async function imported(name: string, folder: string, ...options: string[]): Promise<SampleList> {
  const output = join(newFolder(), `${name}.csv`);
  write(join(output, '../keep'), '');
  const { exitCode, errors } = await isnet('data', 'import', name, folder, '--output', output, ...options);
  expect(errors).toBe('');
  expect(exitCode).toBe(0);
  return listSamples(output);
}

const sampleOf = ({ samples }: SampleList, ending: string): Sample => {
  const found = samples.filter(({ file }) => file.endsWith(ending));
  expect(found.length, ending).toBe(1);
  return found[0];
};

/** Rows and columns of a mask that are white. */
async function whiteOf(path: string | null): Promise<{ size: string; rows: number[]; columns: number[] }> {
  const { width, height, data } = await openPicture(path ?? '');
  const white = [...data.keys()].filter((i) => data[i] === 255);
  return {
    size: `${width}x${height}`,
    rows: [...new Set(white.map((i) => Math.floor(i / width)))].sort((a, b) => a - b),
    columns: [...new Set(white.map((i) => i % width))].sort((a, b) => a - b),
  };
}

/** Whether the list is one that training takes: only that small sets lack a split or a class is forgiven. */
async function expectSound(list: SampleList): Promise<void> {
  const { problems } = await checkFiles(list);
  const serious = problems.filter(({ severity }) => severity === 'error');
  expect(
    serious.filter(({ kind }) => !['missing-split', 'class-missing-in-training'].includes(kind)),
  ).toEqual([]);
}

describe('CheXpert', () => {
  const header =
    'Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices';
  const folder = newFolder();
  const row = (part: string, patient: number, view: string, values: string): string =>
    `CheXpert-v1.0-small/${part}/patient${String(patient).padStart(5, '0')}/study1/${view}.jpg,Female,68,${view.includes('frontal') ? 'Frontal' : 'Lateral'},AP,${values}`;
  const written = (async () => {
    const rows = [
      row('train', 1, 'view1_frontal', '1.0,,,,,,,,,0.0,,,,1.0'),
      row('train', 1, 'view2_lateral', '1.0,,,,,,,,,0.0,,,,1.0'),
      row('train', 2, 'view1_frontal', ',,-1.0,1.0,,-1.0,-1.0,,-1.0,,1.0,,1.0,'),
      ...Array.from({ length: 40 }, (_, n) =>
        row('train', 3 + n, 'view1_frontal', ',,1.0,,,1.0,1.0,,1.0,,1.0,,,'),
      ),
    ];
    write(join(folder, 'train.csv'), `${[header, ...rows].join('\n')}\n`);
    write(
      join(folder, 'valid.csv'),
      `${header}\n${row('valid', 64541, 'view1_frontal', '0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0')}\n`,
    );
    for (const line of [...rows, row('valid', 64541, 'view1_frontal', '')]) {
      await picture(folder, line.split(',')[0].split('/').slice(1).join('/'));
    }
  })();

  test('keeps frontal views with the five findings of the competition, absent where they are not mentioned', async () => {
    await written;
    const list = await imported('chexpert', folder);
    expect(list.isMultiLabel).toBe(true);
    expect(list.classNames).toEqual([
      'Cardiomegaly',
      'Edema',
      'Consolidation',
      'Atelectasis',
      'Pleural Effusion',
    ]);
    expect(list.samples.length).toBe(43);
    expect(sampleOf(list, 'patient00001/study1/view1_frontal.jpg').labels).toEqual([0, 0, 0, 0, 0]);
    expect(sampleOf(list, 'patient00002/study1/view1_frontal.jpg').labels).toEqual([-1, -1, -1, -1, 1]);
    expect(sampleOf(list, 'patient64541/study1/view1_frontal.jpg').labels).toEqual([1, 0, 0, 0, 0]);
    await expectSound(list);
  });

  test('splits by patient: valid.csv is the test, some patients of train.csv are validation', async () => {
    await written;
    const list = await imported('chexpert', folder);
    expect(sampleOf(list, 'patient64541/study1/view1_frontal.jpg')).toMatchObject({
      split: 'test',
      group: 'patient64541',
    });
    const splits = new Set(
      list.samples.filter(({ group }) => group !== 'patient64541').map(({ split }) => split),
    );
    expect(splits).toEqual(new Set(['train', 'val']));
    const other = await imported('chexpert', folder, '--seed', '1');
    expect(other.samples.map(({ split }) => split)).not.toEqual(list.samples.map(({ split }) => split));
  });

  test('takes the classes asked for, and masks of the user that mirror its paths', async () => {
    await written;
    const masks = newFolder();
    const mask = await writePicture(
      join(masks, 'train/patient00001/study1/view1_frontal.png'),
      upperHalf(),
      8,
    );
    for (const { file } of (await imported('chexpert', folder)).samples) {
      const path = file.slice(folder.length).replace('.jpg', '.png');
      if (!path.includes('patient00001')) await writePicture(join(masks, path), upperHalf(), 8);
    }
    const list = await imported('chexpert', folder, '--classes', 'No Finding,Fracture', '--masks', masks);
    const first = sampleOf(list, 'patient00001/study1/view1_frontal.jpg');
    expect(list.classNames).toEqual(['No Finding', 'Fracture']);
    expect(first).toMatchObject({ labels: [1, 0], mask: { whole: mask } });
  });
});

describe('the COVID-19 Radiography Database', () => {
  const folder = newFolder();
  const written = (async () => {
    for (const [each, count] of [
      ['COVID', 12],
      ['Normal', 12],
      ['Viral Pneumonia', 12],
      ['Lung_Opacity', 2],
    ] as const) {
      for (let n = 1; n <= count; n++) {
        await picture(folder, each, 'images', `${each}-${n}.png`);
        // Published masks are smaller than their images: 256 for 299.
        await writePicture(join(folder, each, 'masks', `${each}-${n}.png`), upperHalf(4), 4);
      }
      write(join(folder, `${each}.metadata.xlsx`), 'not read');
    }
  })();

  test('has three classes, all splits and masks of the size of the images', async () => {
    await written;
    const list = await imported('covid', folder);
    expect(list.classNames).toEqual(['covid-19', 'normal', 'viral-pneumonia']);
    expect(list.samples.length).toBe(36);
    expect(new Set(list.samples.map(({ split }) => split))).toEqual(new Set(['train', 'val', 'test']));
    const { labels, mask } = sampleOf(list, 'Viral Pneumonia-7.png');
    expect(labels).toEqual([0, 0, 1]);
    expect(await whiteOf(mask.whole)).toEqual({
      size: '8x8',
      rows: [0, 1, 2, 3],
      columns: [0, 1, 2, 3, 4, 5, 6, 7],
    });
    await expectSound(list);
  });

  test('takes lung opacity if asked for', async () => {
    await written;
    const list = await imported('covid', folder, '--classes', 'lung-opacity,normal');
    expect(list.samples.filter(({ file }) => file.includes('Lung_Opacity')).length).toBe(2);
    expect(list.samples.some(({ file }) => file.includes('COVID-'))).toBe(false);
  });
});

describe('tuberculosis X-rays', () => {
  /** Left or right quarter of 8 x 8. */
  const side = (left: boolean): number[] =>
    Array.from({ length: 64 }, (_, i) => ((left ? i % 8 < 2 : i % 8 >= 6) ? 255 : 0));
  const montgomery = async (folder: string) => {
    for (let n = 1; n <= 6; n++) {
      const name = `MCUCXR_000${n}_${n % 2}.png`;
      await picture(folder, 'MontgomerySet/CXR_png', name);
      await writePicture(join(folder, 'MontgomerySet/ManualMask/leftMask', name), side(true), 8);
      await writePicture(join(folder, 'MontgomerySet/ManualMask/rightMask', name), side(false), 8);
    }
  };

  test('of both hospitals: learnt at one, tested at the other, masks of both lungs in one file', async () => {
    const folder = newFolder();
    await montgomery(folder);
    for (let n = 1; n <= 30; n++) {
      const name = `CHNCXR_${String(n).padStart(4, '0')}_${n % 2}`;
      await picture(folder, 'ChinaSet_AllFiles/CXR_png', `${name}.png`);
      if (n !== 5)
        await writePicture(join(folder, 'ChinaSet_AllFiles/mask', `${name}_mask.png`), upperHalf(), 8);
    }
    const list = await imported('tuberculosis', folder);
    expect(list.classNames).toEqual(['normal', 'tuberculosis']);
    const other = sampleOf(list, 'MCUCXR_0003_1.png');
    expect(other).toMatchObject({ split: 'test-other-hospital', labels: [0, 1], group: 'MCUCXR_0003' });
    expect(await whiteOf(other.mask.whole)).toMatchObject({ size: '8x8', columns: [0, 1, 6, 7] });
    const chinese = list.samples.filter(({ file }) => file.includes('CHNCXR'));
    expect(new Set(chinese.map(({ split }) => split))).toEqual(new Set(['train', 'val', 'test']));
    // A published mask of the right size is used as it is.
    expect(sampleOf(list, 'CHNCXR_0004_0.png')).toMatchObject({
      labels: [1, 0],
      mask: { whole: join(folder, 'ChinaSet_AllFiles/mask/CHNCXR_0004_0_mask.png') },
    });
    expect(sampleOf(list, 'CHNCXR_0005_1.png').mask.whole).toBe(null);
    await expectSound(list);
  });

  test('of one hospital are split like any others', async () => {
    const folder = newFolder();
    await montgomery(folder);
    const list = await imported('tuberculosis', folder);
    expect(list.samples.length).toBe(6);
    expect(list.samples.every(({ split }) => ['train', 'val', 'test'].includes(split))).toBe(true);
  });
});

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
