// Tiny picture files for tests of data sets on disk: written here, so that every pixel is known.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll } from 'vitest';

/** A new empty folder that goes away after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'isnet-data-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a file and the folders above it. */
export function write(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

const spaces = { 1: 'b-w', 2: 'b-w', 3: 'srgb', 4: 'srgb' } as const;

/** Bytes of a picture [height, width, channels], in 8 bits. */
export function encoded(
  values: readonly number[],
  width: number,
  channels: 1 | 2 | 3 | 4 = 1,
  format: 'png' | 'jpeg' | 'webp' = 'png',
): Promise<Buffer> {
  const raw = { width, height: values.length / width / channels, channels };
  const picture = sharp(Uint8Array.from(values), { raw }).toColourspace(spaces[channels]);
  if (format === 'jpeg') return picture.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer();
  return format === 'png'
    ? picture.png().toBuffer()
    : picture.webp({ lossless: true, exact: true }).toBuffer();
}

/** Writes `encoded` as a PNG. */
export async function writePicture(
  path: string,
  values: readonly number[],
  width: number,
  channels: 1 | 2 | 3 | 4 = 1,
): Promise<string> {
  return write(path, await encoded(values, width, channels));
}

/** `size` x `size` pixels that differ from those of every other number. */
export const pattern = (n: number, size = 8): number[] =>
  Array.from({ length: size * size }, (_, i) => (31 * n + 7 * i + ((n * i) % 13)) % 256);

/** A mask of `size` x `size` whose upper half is foreground. */
export const upperHalf = (size = 8): number[] =>
  Array.from({ length: size * size }, (_, i) => (i < (size * size) / 2 ? 255 : 0));

/** Images per split and class. */
export type Counts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Writes data/ and masks/ with numbered images, all different, each with the upper half as its mask. */
export async function writeImages(root: string, counts: Counts, size = 8): Promise<string> {
  let n = 0;
  for (const [split, classes] of Object.entries(counts)) {
    for (const [className, count] of Object.entries(classes)) {
      for (let i = 0; i < count; i++) {
        await writePicture(join(root, 'data', split, className, `${i}.png`), pattern(n++, size), size);
        await writePicture(join(root, 'masks', split, className, `${i}.png`), upperHalf(size), size);
      }
    }
  }
  return root;
}
