// Stanford Dogs (Khosla et al. 2011): 20,580 photographs of 120 breeds, with a box round each dog.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../../../engine/errors.ts';
import { matStrings } from './mat-strings.ts';
import {
  type Box,
  namesIn,
  notPublished,
  oneOfClasses,
  type PublishedData,
  type PublishedImage,
  type PublishedOptions,
  positionsOf,
  splitOf,
} from './published.ts';

/**
 * The folder with Images/ and Annotation/, and train_list.mat and test_list.mat in it or in lists/. Validation images are a
 * tenth of the published training images; the mask of an image is its boxes. Throws DataError if it is another folder.
 */
export async function dogs(folder: string, { seed, classes }: PublishedOptions): Promise<PublishedData> {
  const folders = await namesIn(join(folder, 'Images'));
  if (folders.length === 0) notPublished(folder, 'Stanford Dogs', 'Images');
  const all = folders.map(breedOf);
  const classNames = classes ?? all;
  positionsOf(classNames, all, 'Stanford Dogs');
  const [trained, tested] = [await listed(folder, 'train_list.mat'), await listed(folder, 'test_list.mat')];
  const images: PublishedImage[] = [];
  for (const each of folders.filter((name) => classNames.includes(breedOf(name)))) {
    for (const name of await namesIn(join(folder, 'Images', each))) {
      const path = `${each}/${name}`;
      const isTraining = trained?.has(path);
      if (trained && tested && !isTraining && !tested.has(path)) continue;
      const split =
        trained && tested ? (isTraining ? splitOf(path, seed, ['val']) : 'test') : splitOf(path, seed);
      const annotation = join(folder, 'Annotation', each, name.replace(/\.jpg$/, ''));
      images.push({
        file: join(folder, 'Images', each, name),
        split,
        labels: oneOfClasses(classNames, breedOf(each)),
        group: null,
        mask: { files: [], boxes: await boxesOf(annotation) },
      });
    }
  }
  const notes = [
    trained && tested
      ? 'train and test as published; validation images are a tenth of the training images'
      : 'there are no train_list.mat and test_list.mat: 70 % training, 10 % validation, 20 % test, at random by seed',
    'a mask is the box round the dog, or several',
  ];
  return { classNames, isMultiLabel: false, images, notes };
}

/** `n02085620-Chihuahua` without its number. */
const breedOf = (folder: string): string => folder.replace(/^n\d+-/, '');

/** Paths in a published list; null if it is not there. */
async function listed(folder: string, name: string): Promise<Set<string> | null> {
  for (const path of [join(folder, name), join(folder, 'lists', name)]) {
    const bytes = await readFile(path).catch(() => null);
    if (bytes) return new Set(matStrings(bytes).filter((text) => text.endsWith('.jpg')));
  }
  return null;
}

/** The boxes of an annotation; both ends are pixels of the box. */
async function boxesOf(path: string): Promise<Box[]> {
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new DataError(`import: the annotation '${path}' is missing; fetch Annotation once more`, { cause });
  });
  const boxes = [...text.matchAll(/<bndbox>([\s\S]*?)<\/bndbox>/g)].map(([, box]): Box => {
    const side = (name: string): number => Number(box.match(new RegExp(`<${name}>\\s*(\\d+)`))?.[1]);
    return { left: side('xmin'), top: side('ymin'), right: side('xmax') + 1, bottom: side('ymax') + 1 };
  });
  const isSound = boxes.every((box) => Object.values(box).every(Number.isFinite));
  if (boxes.length > 0 && isSound) return boxes;
  throw new DataError(`import: the annotation '${path}' has no box; fetch Annotation once more`);
}
