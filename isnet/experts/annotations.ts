// Regions that a person has drawn on images: read from a file of ours or from COCO's format, and turned into masks.
import { z } from 'zod';
import { DataError } from '../../engine/errors.ts';
import type { Raster } from '../data/raster.ts';
import { decodeRunLengths } from './run-lengths.ts';

/** Where a region lies, in pixels of the image file; a pixel belongs to it if its centre does. */
export type RegionShape =
  | { readonly box: readonly [x: number, y: number, width: number, height: number] }
  /** Corners x, y, x, y, ..; inside is what a line from outside enters an odd number of times, of any of the polygons. */
  | { readonly polygons: readonly (readonly number[])[] }
  /** COCO's run lengths: pixels outside, inside, outside, .. down the columns of an image of this size. */
  | { readonly runs: readonly number[]; readonly size: readonly [height: number, width: number] };

export interface Region {
  readonly shape: RegionShape;
  readonly label: string | null;
  /** How much there is to see here, on any scale that is the same for all regions; null if nobody said. */
  readonly severity: number | null;
}

/** An image and what was drawn on it. */
export interface AnnotatedImage {
  /** As the annotations name it. */
  readonly file: string;
  readonly regions: readonly Region[];
}

const box = z.tuple([z.number(), z.number(), z.number().positive(), z.number().positive()]);
const polygon = z.array(z.number()).min(6);
const severity = z.number().nullish();

const oursSchema = z.object({
  images: z.array(
    z.strictObject({
      file: z.string().min(1),
      regions: z.array(
        z
          .strictObject({
            box: box.optional(),
            polygon: polygon.optional(),
            label: z.string().nullish(),
            severity,
          })
          .refine(({ box, polygon }) => (box === undefined) !== (polygon === undefined), {
            error: 'give a box or a polygon, one of the two',
          }),
      ),
    }),
  ),
});

const id = z.union([z.int(), z.string()]);
const cocoSchema = z.object({
  images: z.array(z.object({ id, file_name: z.string().min(1) })),
  annotations: z.array(
    z.object({
      image_id: id,
      category_id: id.optional(),
      bbox: box.optional(),
      segmentation: z
        .union([
          z.array(polygon),
          z.object({
            counts: z.union([z.array(z.int().nonnegative()), z.string()]),
            size: z.tuple([z.int().positive(), z.int().positive()]),
          }),
        ])
        .optional(),
      severity,
      attributes: z.object({ severity }).optional(),
    }),
  ),
  categories: z.array(z.object({ id, name: z.string() })).optional(),
});

type CocoAnnotation = z.infer<typeof cocoSchema>['annotations'][number];

/**
 * The annotations in a parsed JSON file: ours (`images` with `file` and `regions`) or COCO's (`images`, `annotations`,
 * `categories`), where a severity is `severity` or `attributes.severity`. Throws DataError, saying where in the file, for
 * what is neither.
 */
export function parseAnnotations(value: unknown, where = 'annotations'): AnnotatedImage[] {
  const isCoco = typeof value === 'object' && value !== null && 'annotations' in value;
  return isCoco
    ? fromCoco(checked(cocoSchema, value, where), where)
    : fromOurs(checked(oursSchema, value, where));
}

function checked<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [{ path, message }] = error.issues;
  throw new DataError(
    `${where}: ${path.join('.') || 'the whole'}: ${message}; see docs/data.md for the two formats`,
  );
}

function fromOurs({ images }: z.infer<typeof oursSchema>): AnnotatedImage[] {
  return images.map(({ file, regions }) => ({
    file,
    regions: regions.map(({ box, polygon, label, severity }) => ({
      shape: box ? { box } : { polygons: [polygon as number[]] },
      label: label ?? null,
      severity: severity ?? null,
    })),
  }));
}

function fromCoco(
  { images, annotations, categories = [] }: z.infer<typeof cocoSchema>,
  where: string,
): AnnotatedImage[] {
  const names = new Map(categories.map(({ id, name }) => [id, name]));
  const known = new Set(images.map(({ id }) => id));
  for (const [i, { image_id }] of annotations.entries()) {
    if (known.has(image_id)) continue;
    throw new DataError(`${where}: annotations.${i}: there is no image ${image_id}; correct image_id`);
  }
  return images.map(({ id, file_name }) => ({
    file: file_name,
    regions: annotations.flatMap((annotation, i) => {
      if (annotation.image_id !== id) return [];
      const { category_id, severity, attributes } = annotation;
      return [
        {
          shape: cocoShape(annotation, `${where}: annotations.${i}`),
          label: category_id === undefined ? null : (names.get(category_id) ?? String(category_id)),
          severity: severity ?? attributes?.severity ?? null,
        },
      ];
    }),
  }));
}

/** The outline if there is one, else the box. */
function cocoShape({ segmentation, bbox }: CocoAnnotation, where: string): RegionShape {
  if (Array.isArray(segmentation) && segmentation.length > 0) return { polygons: segmentation };
  if (segmentation && !Array.isArray(segmentation)) {
    const { counts, size } = segmentation;
    const runs = typeof counts === 'string' ? decodeRunLengths(counts, where) : counts;
    const total = runs.reduce((sum, run) => sum + run, 0);
    if (total === size[0] * size[1]) return { runs, size };
    throw new DataError(
      `${where}: its run lengths cover ${total} pixels, its size is ${size[1]}x${size[0]}; export the annotations again`,
    );
  }
  if (bbox) return { box: bbox };
  throw new DataError(`${where}: it has neither segmentation nor bbox; draw one, or leave it out`);
}

/**
 * The region as a mask of its image, 0 and 255. Throws DataError for run lengths of an image of another size. What lies
 * beyond the image is cut off.
 */
export function maskOf({ shape }: Region, width: number, height: number): Raster {
  const data = new Uint8Array(width * height);
  if ('runs' in shape) fillRuns(data, shape, width, height);
  else {
    const polygons = 'box' in shape ? [corners(shape.box)] : shape.polygons;
    for (const polygon of polygons) fillPolygon(data, polygon, width, height);
  }
  return { width, height, channels: 1, data };
}

function corners([x, y, width, height]: readonly [number, number, number, number]): number[] {
  return [x, y, x + width, y, x + width, y + height, x, y + height];
}

/** Row by row: the pixels between the first and the second crossing of the outline with the row's middle, and so on. */
function fillPolygon(data: Uint8Array, polygon: readonly number[], width: number, height: number): void {
  const count = polygon.length / 2;
  for (let row = 0; row < height; row++) {
    const y = row + 0.5;
    const crossings: number[] = [];
    for (let i = 0; i < count; i++) {
      const [x1, y1] = [polygon[2 * i], polygon[2 * i + 1]];
      const next = 2 * ((i + 1) % count);
      const [x2, y2] = [polygon[next], polygon[next + 1]];
      // Half open, so that a corner on the row counts once.
      if (y1 <= y !== y2 <= y) crossings.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const to = Math.min(width, Math.ceil(crossings[i + 1] - 0.5));
      if (to > from) data.fill(255, row * width + from, row * width + to);
    }
  }
}

function fillRuns(
  data: Uint8Array,
  { runs, size: [H, W] }: Extract<RegionShape, { runs: unknown }>,
  width: number,
  height: number,
): void {
  if (H !== height || W !== width) {
    throw new DataError(
      `annotations: run lengths for ${W}x${H} on an image of ${width}x${height}; use the image that they were drawn on`,
    );
  }
  let at = 0;
  for (const [i, run] of runs.entries()) {
    for (const end = at + run; at < end; at++) {
      if (i % 2 === 1) data[(at % H) * W + Math.floor(at / H)] = 255;
    }
  }
}
