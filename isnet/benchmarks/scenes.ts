// Puts objects before backgrounds and says which background goes with which class: the one place where bias is made.
//
// A scene is a function of (seed, stream, its number): the pose of the object, what is random in the background and which
// background it is are drawn from streams of their own, so the tests of a benchmark differ in their backgrounds alone.
import { type RandomStream, randomStream } from '../../engine/random-bits.ts';
import type { Dataset } from '../data/dataset.ts';

/** An image [C, H, W] that is being drawn, and its mask [H, W]. */
export interface Canvas {
  readonly image: Float32Array;
  readonly mask: Float32Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** Labelled objects that can stand before anything. */
export interface Objects {
  readonly labels: ArrayLike<number>;
  readonly classNames: readonly string[];
  /** Draws object n over what is there, and its mask. */
  draw(canvas: Canvas, n: number, random: RandomStream): void;
}

/** What shows behind an object: the background of a class, no cue at all, or something that training never shows. */
export type Shown = number | 'none' | 'new';

/** A family of backgrounds, one for each class. */
export interface Scenery {
  paint(canvas: Canvas, shown: Shown, random: RandomStream): void;
}

/**
 * Whose background an object gets: that of its `'own'` class (with the probability `strength`, else that of another one),
 * of `'any'` class, of a class that is not its own (`'other'`), or what `'none'` and `'new'` mean to the scenery.
 */
export type Cue = 'own' | 'any' | 'other' | 'none' | 'new';

export interface SceneOptions {
  readonly objects: Objects;
  /** Numbers of the objects to show, in this order. */
  readonly indices: Uint32Array;
  readonly scenery: Scenery;
  readonly cue: Cue;
  /** 1 if left out. */
  readonly strength?: number;
  readonly size: Pick<Canvas, 'channels' | 'height' | 'width'>;
  readonly seed: number;
  /** Scenes of one stream share poses and backgrounds, number by number. */
  readonly stream: string;
}

/** The scenes as a dataset, every value a multiple of 1/255: what is written to files is what was made. */
export function composeScenes(options: SceneOptions): Dataset {
  const { objects, indices, scenery, cue, strength = 1, size, seed, stream } = options;
  const { channels, height, width } = size;
  const pixels = height * width;
  const count = indices.length;
  const images = new Float32Array(count * channels * pixels);
  const masks = new Float32Array(count * pixels);
  const labels = new Uint8Array(count);
  const classCount = objects.classNames.length;
  indices.forEach((n, i) => {
    const image = images.subarray(i * channels * pixels, (i + 1) * channels * pixels);
    const canvas = { image, mask: masks.subarray(i * pixels, (i + 1) * pixels), channels, height, width };
    labels[i] = objects.labels[n];
    const choice = randomStream(seed, `${stream}/cue`, i);
    const shown = shownBehind(labels[i], classCount, cue, strength, choice);
    scenery.paint(canvas, shown, randomStream(seed, `${stream}/background`, i));
    objects.draw(canvas, n, randomStream(seed, `${stream}/pose`, i));
    for (let p = 0; p < image.length; p++) {
      image[p] = Math.round(255 * Math.min(Math.max(image[p], 0), 1)) / 255;
    }
  });
  return { images, masks, labels, count, channels, height, width, classNames: objects.classNames };
}

/** Which background goes with an object of the class `label`. */
export function shownBehind(
  label: number,
  classCount: number,
  cue: Cue,
  strength: number,
  random: RandomStream,
): Shown {
  if (cue === 'none' || cue === 'new') return cue;
  if (cue === 'any') return random.below(classCount);
  if (cue === 'own' && random.uniform() < strength) return label;
  const other = random.below(classCount - 1);
  return other < label ? other : other + 1;
}

/** Lays a colour, one value per channel, over a pixel. */
export function blend(
  { image, height, width }: Canvas,
  pixel: number,
  alpha: number,
  color: ArrayLike<number>,
): void {
  for (let c = 0, i = pixel; i < image.length; c++, i += height * width) {
    image[i] += alpha * (color[c] - image[i]);
  }
}
