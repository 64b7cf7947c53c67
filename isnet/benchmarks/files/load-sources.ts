// From the files of a source to pictures in memory.
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { DataError } from '../../../engine/errors.ts';
import { loadSharp } from '../../data/files/sharp.ts';
import { parseDigits } from '../../data/idx.ts';
import { loadMnist } from '../../data/mnist.ts';
import type { Drawing } from '../emoji.ts';
import { emojiConcepts } from '../emoji-concepts.ts';
import type { Garments } from '../fashion.ts';
import type { Photo } from '../photos.ts';
import { composed } from './composed.ts';
import { type FindOptions, readSourceFile, requireSource } from './find.ts';
import { type DataSource, type DataSourceName, dataSources } from './sources.ts';

/** MNIST. Throws DataError if it is missing or damaged. */
export const loadDigits = (options: FindOptions): Garments =>
  loadMnist({ folder: requireSource('mnist', options) });

/** Fashion-MNIST. Rejects with DataError if it is missing or damaged. */
export async function loadGarments(options: FindOptions): Promise<Garments> {
  const name = 'fashion-mnist';
  const folder = requireSource(name, options);
  const unpacked = async (file: string) =>
    promisify(gunzip)(await readSourceFile(folder, name, `${file}-ubyte.gz`));
  const part = async (prefix: string) =>
    parseDigits(
      `benchmark: ${prefix}`,
      await unpacked(`${prefix}-images-idx3`),
      await unpacked(`${prefix}-labels-idx1`),
    );
  return { train: await part('train'), test: await part('t10k') };
}

/** Reduced to what two patches of 48 pixels find room in, side by side, many times over. */
const PHOTO = { height: 144, width: 216 } as const;

/** The photographs in the order of their list. Rejects with DataError if they are missing or damaged. */
export async function loadPhotos(options: FindOptions): Promise<Photo[]> {
  const { height, width } = PHOTO;
  const { files }: DataSource = dataSources.photos;
  const names = Object.keys(files);
  const size = 3 * height * width;
  const folder = requireSource('photos', options);
  const make = async (): Promise<Uint8Array> => {
    const sharp = await loadSharp();
    const all = new Uint8Array(names.length * size);
    for (const [n, file] of names.entries()) {
      const picture = sharp(await readSourceFile(folder, 'photos', file));
      const { width: across = 0, height: down = 0 } = await picture.metadata();
      // Standing ones are laid on their side: both halves shall show the same kind of thing.
      const lying = across < down ? picture.rotate(90) : picture;
      const raw = await lying
        .resize(width, height, { fit: 'cover' })
        .removeAlpha()
        .toColourspace('srgb')
        .raw()
        .toBuffer();
      all.set(raw, n * size);
    }
    return all;
  };
  const key = [...Object.values(files), height, width, await rendererVersion()];
  const bytes = await composed('photos', key, names.length * size, make, options);
  return names.map((name, n) => ({ name, height, width, rgb: bytes.subarray(n * size, (n + 1) * size) }));
}

/** Sets of emoji that the benchmark is trained on, and those that are kept for the test out of distribution. */
export const emojiStyles = {
  known: ['noto', 'twemoji', 'fluent-emoji-flat'],
  heldOut: ['openmoji', 'emojione'],
} as const satisfies Record<string, readonly DataSourceName[]>;

const DRAWING_SIDE = 96;

/** The concepts of the benchmark by all artists who drew them. Rejects with DataError if a set is missing or damaged. */
export async function loadDrawings(options: FindOptions): Promise<Drawing[]> {
  const drawings: Drawing[] = [];
  for (const style of [...emojiStyles.known, ...emojiStyles.heldOut]) {
    drawings.push(...(await loadStyle(style, options)));
  }
  return drawings;
}

/** What is used of an icon set. */
interface IconSet {
  readonly width: number;
  readonly height: number;
  readonly icons: Readonly<
    Record<string, { readonly body: string; readonly width?: number; readonly height?: number }>
  >;
  readonly aliases?: Readonly<Record<string, { readonly parent: string }>>;
}

async function loadStyle(style: DataSourceName, options: FindOptions): Promise<Drawing[]> {
  const folder = requireSource(style, options);
  const set = JSON.parse(
    new TextDecoder().decode(await readSourceFile(folder, style, 'icons.json')),
  ) as IconSet;
  const concepts = Object.values(emojiConcepts)
    .flat()
    .filter((concept) => iconOf(set, concept));
  const size = 4 * DRAWING_SIDE ** 2;
  const make = async (): Promise<Uint8Array> => {
    const all = new Uint8Array(concepts.length * size);
    for (const [n, concept] of concepts.entries()) all.set(await render(set, concept, style), n * size);
    return all;
  };
  const key = [
    ...Object.values<string>(dataSources[style].files),
    ...concepts,
    DRAWING_SIDE,
    await rendererVersion(),
  ];
  const bytes = await composed(style, key, concepts.length * size, make, options);
  return concepts.map((concept, n) => ({
    concept,
    style,
    side: DRAWING_SIDE,
    rgba: bytes.subarray(n * size, (n + 1) * size),
  }));
}

const iconOf = ({ icons, aliases }: IconSet, concept: string) =>
  icons[concept] ?? icons[aliases?.[concept]?.parent ?? ''];

/** The icon without its margins, which differ from artist to artist, in the middle of its square. */
async function render(set: IconSet, concept: string, style: string): Promise<Uint8Array> {
  const icon = iconOf(set, concept);
  const { width = set.width, height = set.height } = icon;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${width} ${height}" width="${2 * DRAWING_SIDE}" height="${2 * DRAWING_SIDE}">${icon.body}</svg>`;
  const sharp = await loadSharp();
  const clear = { r: 0, g: 0, b: 0, alpha: 0 };
  try {
    const drawn = await sharp(new TextEncoder().encode(svg)).ensureAlpha().png().toBuffer();
    const trimmed = await sharp(drawn).trim({ background: clear, threshold: 1 }).png().toBuffer();
    return await sharp(trimmed)
      .resize(DRAWING_SIDE, DRAWING_SIDE, { fit: 'contain', background: clear })
      .ensureAlpha()
      .raw()
      .toBuffer();
  } catch (cause) {
    throw new DataError(`benchmark: cannot draw '${concept}' of ${style} (${cause}); reinstall sharp`, {
      cause,
    });
  }
}

/** Another version may draw an edge a little differently. */
async function rendererVersion(): Promise<string> {
  const { versions } = await loadSharp();
  return `${versions.vips} ${versions.rsvg ?? ''}`;
}
