// COVID-19 Radiography Database (Chowdhury et al. 2020, arXiv:2003.13145; Rahman et al. 2021): chest X-rays with lung masks,
// collected from several sources, each with backgrounds of its own. That is what makes it a test of background bias.
import { join } from 'node:path';
import {
  namesIn,
  notPublished,
  oneOfClasses,
  type PublishedData,
  type PublishedImage,
  type PublishedOptions,
  positionsOf,
  splitOf,
} from './published.ts';

const folders = ['COVID', 'Normal', 'Viral Pneumonia', 'Lung_Opacity'] as const;
const names: Readonly<Record<(typeof folders)[number], string>> = {
  COVID: 'covid-19',
  Normal: 'normal',
  'Viral Pneumonia': 'viral-pneumonia',
  Lung_Opacity: 'lung-opacity',
};

/**
 * The folder with COVID, Normal and Viral Pneumonia, each holding images/ and masks/. Lung_Opacity is taken if asked for.
 * Throws DataError if it is another folder.
 */
export async function covid(folder: string, { seed, classes }: PublishedOptions): Promise<PublishedData> {
  const classNames = classes ?? ['covid-19', 'normal', 'viral-pneumonia'];
  positionsOf(classNames, Object.values(names), 'the COVID-19 Radiography Database');
  const images: PublishedImage[] = [];
  for (const each of folders.filter((name) => classNames.includes(names[name]))) {
    const masks = new Set(await namesIn(join(folder, each, 'masks')));
    const files = await namesIn(join(folder, each, 'images'));
    if (files.length === 0) notPublished(folder, 'the COVID-19 Radiography Database', `${each}/images`);
    for (const file of files) {
      const mask = masks.has(file) ? { files: [join(folder, each, 'masks', file)], boxes: [] } : null;
      images.push({
        file: join(folder, each, 'images', file),
        split: splitOf(`${each}/${file}`, seed),
        labels: oneOfClasses(classNames, names[each]),
        group: null,
        mask,
      });
    }
  }
  const notes = [
    'no patients are published: images were split one by one, so a patient may be in two splits',
    'no split is published: 70 % training, 10 % validation, 20 % test, at random by seed',
  ];
  return { classNames, isMultiLabel: false, images, notes };
}
