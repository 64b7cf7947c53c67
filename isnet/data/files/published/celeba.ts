// Facial attributes: CelebAMask-HQ (Lee et al. 2020, arXiv:1907.11922), which has masks of the parts of 30,000 faces, and
// CelebA (Liu et al. 2015, arXiv:1411.7766), which has 202,599 images, people and a split, but no masks.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  namesIn,
  notPublished,
  ownMask,
  type PublishedData,
  type PublishedImage,
  type PublishedMask,
  type PublishedOptions,
  positionsOf,
  splitOf,
} from './published.ts';

const defaults = ['Smiling', 'High_Cheekbones', 'Rosy_Cheeks'] as const;
/** Parts of a mask that are no part of the head. */
const elsewhere = ['cloth', 'neck_l'];
const splits = ['train', 'val', 'test'] as const;

/** Rows of a table of words; `null` if there is no such file. */
async function rowsOf(path: string): Promise<string[][] | null> {
  const text = await readFile(path, 'utf8').catch(() => null);
  // The same tables are about with spaces and with commas.
  if (text === null) return null;
  return text
    .split(/\r?\n/)
    .filter(Boolean)
    .map((line) => line.trim().split(/[\s,]+/));
}

async function firstTable(folder: string, names: readonly string[]): Promise<string[][] | null> {
  for (const name of names) {
    const rows = await rowsOf(join(folder, name));
    if (rows) return rows;
  }
  return null;
}

/** File names and their labels, from the number of images (if given), the names of attributes, and 1 or -1 for each. */
function attributesOf(rows: string[][], wanted: readonly string[], title: string) {
  const start = rows[0].length === 1 ? 1 : 0;
  const header = rows[start].filter((name) => name !== 'image_id');
  const positions = positionsOf(wanted, header, title);
  return rows.slice(start + 1).map(([name, ...values]) => ({
    name,
    labels: positions.map((position) => (values[position] === '1' ? 1 : 0) as 0 | 1),
  }));
}

/** CelebAMask-HQ or CelebA, by what the folder holds. Throws DataError if it is another folder. */
export async function celeba(folder: string, options: PublishedOptions): Promise<PublishedData> {
  const hq = await rowsOf(join(folder, 'CelebAMask-HQ-attribute-anno.txt'));
  return hq ? celebaMaskHq(folder, hq, options) : celebaAligned(folder, options);
}

async function celebaMaskHq(
  folder: string,
  rows: string[][],
  options: PublishedOptions,
): Promise<PublishedData> {
  const { seed, classes: classNames = defaults } = options;
  const masks = await partMasks(join(folder, 'CelebAMask-HQ-mask-anno'));
  // Index in CelebAMask-HQ, index in CelebA, file in CelebA; and by that file 0, 1 or 2.
  const mapping = await rowsOf(join(folder, 'CelebA-HQ-to-CelebA-mapping.txt'));
  const partition = new Map(
    (await firstTable(folder, partitionNames))?.map(([name, part]) => [name, Number(part)]),
  );
  const originals = new Map(mapping?.slice(1).map((row) => [row[0], row.at(-1) ?? '']));
  const images = attributesOf(rows, classNames, 'CelebAMask-HQ').map(({ name, labels }): PublishedImage => {
    const number = name.replace(/\.jpg$/, '');
    const published = partition.get(originals.get(number) ?? '');
    return {
      file: join(folder, 'CelebA-HQ-img', name),
      split: published === undefined ? splitOf(name, seed) : splits[published],
      labels,
      group: null,
      mask: masks.get(number) ?? null,
    };
  });
  const notes = [
    partition.size > 0
      ? 'split as CelebA is'
      : 'no list_eval_partition.txt is beside it: 70 % training, 10 % validation, 20 % test, at random by seed',
    `a mask is all parts of a head, but not ${elsewhere.join(' and ')}`,
  ];
  return { classNames, isMultiLabel: true, images, notes };
}

/** `<group>/<number with zeros>_<part>.png`, by number. */
async function partMasks(folder: string): Promise<Map<string, PublishedMask>> {
  const files = new Map<string, string[]>();
  for (const group of await namesIn(folder)) {
    for (const name of await namesIn(join(folder, group))) {
      const [, number, part] = name.match(/^(\d+)_(\w+)\.png$/) ?? [];
      if (part === undefined || elsewhere.includes(part)) continue;
      const key = String(Number(number));
      const list = files.get(key) ?? [];
      files.set(key, list);
      list.push(join(folder, group, name));
    }
  }
  return new Map([...files].map(([number, list]) => [number, { files: list, boxes: [] }]));
}

const attributeNames = ['list_attr_celeba.txt', 'Anno/list_attr_celeba.txt', 'list_attr_celeba.csv'];
const partitionNames = ['list_eval_partition.txt', 'Eval/list_eval_partition.txt', 'list_eval_partition.csv'];
const identityNames = ['identity_CelebA.txt', 'Anno/identity_CelebA.txt'];
const imageFolders = ['img_align_celeba', 'Img/img_align_celeba', 'img_align_celeba/img_align_celeba'];

async function celebaAligned(folder: string, options: PublishedOptions): Promise<PublishedData> {
  const { classes: classNames = defaults } = options;
  const rows = await firstTable(folder, attributeNames);
  const parts = await firstTable(folder, partitionNames);
  if (!rows)
    return notPublished(
      folder,
      'CelebAMask-HQ or CelebA',
      'CelebAMask-HQ-attribute-anno.txt or list_attr_celeba.txt',
    );
  if (!parts) return notPublished(folder, 'CelebA', 'list_eval_partition.txt');
  const attributes = attributesOf(rows, classNames, 'CelebA');
  const partition = new Map(parts.map(([name, part]) => [name, Number(part)]));
  const people = new Map((await firstTable(folder, identityNames))?.map(([name, person]) => [name, person]));
  let images = '';
  for (const each of imageFolders) {
    if ((await namesIn(join(folder, each))).includes(attributes[0]?.name)) images = each;
  }
  if (images === '') return notPublished(folder, 'CelebA', imageFolders[0]);
  return {
    classNames,
    isMultiLabel: true,
    images: attributes.map(({ name, labels }) => ({
      file: join(folder, images, name),
      split: splits[partition.get(name) ?? 0],
      labels,
      group: people.get(name) ?? null,
      mask: ownMask(join(images, name), options),
    })),
    notes: ['split as published'],
  };
}
