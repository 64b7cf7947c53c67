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
  /** Of which class, or of what else; null if nobody said. */
  readonly label: string | null;
  /** How much there is to see here, on any scale that is the same for all regions; null if nobody said. */
  readonly severity: number | null;
}

/** An image and what was drawn on it. */
export interface AnnotatedImage {
  /** As the annotations name it. */
  readonly file: string;
  /** Of the picture that was drawn on; null if nobody said. */
  readonly size: readonly [height: number, width: number] | null;
  readonly regions: readonly Region[];
}

const box = z.tuple([z.number(), z.number(), z.number().positive(), z.number().positive()]);
const polygon = z
  .array(z.number())
  .min(6)
  .refine(({ length }) => length % 2 === 0, {
    error: ({ input }) =>
      `a polygon of ${(input as number[]).length} numbers; give an x and a y for each corner`,
  });
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
// Some tools write 0 where they do not know.
const extent = z.int().nonnegative().nullish();
const cocoSchema = z.object({
  images: z.array(z.object({ id, file_name: z.string().min(1), width: extent, height: extent })),
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
  const { path, message } = innermost(error.issues[0]);
  throw new DataError(
    `${where}: ${path.join('.') || 'the whole'}: ${message}; see docs/data.md for the two formats`,
  );
}

/** What is wrong in the alternative of a union that goes furthest, which is the one that was meant. */
function innermost(issue: z.core.$ZodIssue): Pick<z.core.$ZodIssue, 'path' | 'message'> {
  if (issue.code !== 'invalid_union') return issue;
  const found = issue.errors.flatMap(([first]) => (first ? [innermost(first)] : []));
  if (found.length === 0) return issue;
  const { path, message } = found.reduce((a, b) => (b.path.length > a.path.length ? b : a));
  return { path: [...issue.path, ...path], message };
}

function fromOurs({ images }: z.infer<typeof oursSchema>): AnnotatedImage[] {
  return images.map(({ file, regions }) => ({
    file,
    size: null,
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
  return images.map(({ id, file_name, width, height }) => ({
    file: file_name,
    size: width && height ? [height, width] : null,
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
 * Throws DataError, naming the file, if a picture [height, width] is not of the size that its regions were drawn on. It could
 * be scaled, cut or turned: nobody knows where they lie then.
 */
export function checkDrawnSize({ file, size, regions }: AnnotatedImage, height: number, width: number): void {
  const sizes = [size, ...regions.map(({ shape }) => ('runs' in shape ? shape.size : null))];
  const other = sizes.find((drawn) => drawn && (drawn[0] !== height || drawn[1] !== width));
  if (!other) return;
  throw new DataError(
    `annotations: '${file}' is ${width}x${height}, and its regions were drawn on ${other[1]}x${other[0]}; use the images that were annotated, or change the annotations with the images`,
  );
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
