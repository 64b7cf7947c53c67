// X-rays in the layout they are published in, on tiny files of that layout: none of the real ones is here.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { upperHalf, write, writePicture } from './image-files.ts';
import { expectSound, imported, newFolder, picture, sampleOf, whiteOf } from './published-files.ts';

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
