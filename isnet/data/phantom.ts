// A synthetic chest X-ray with a hospital's marker, for trying everything before there are clinical images: a drawing of
// ellipses and noise that shares with the real thing only that the diagnosis lies in the lungs and the shortcut does not.
import { UsageError } from '../../engine/errors.ts';
import { type RandomStream, randomStream } from '../../engine/random-bits.ts';

/** Both begin with `synthetic`, so that no folder of them can be taken for patients. */
export const phantomClasses = ['synthetic-normal', 'synthetic-opacity'] as const;

/** In pixels: the dots of the marker are one pixel wide. */
const SMALLEST_SIDE = 64;

/** Whose marker is on the image: that of the hospital of its class, of the other class, or nobody's. */
export type PhantomMarker = 'own' | 'none' | 'other';

export interface PhantomOptions {
  /** Position in `phantomClasses`. */
  readonly label: number;
  readonly marker: PhantomMarker;
  /** Side in pixels, from 64 up. */
  readonly size: number;
  readonly seed: number;
  /** Phantoms of another stream share no random numbers. */
  readonly stream: string;
  readonly index: number;
}

/** Grey image and lung mask [size, size], 0 to 255. */
export interface Phantom {
  readonly image: Uint8Array;
  readonly mask: Uint8Array;
}

// Letters of the two hospitals, 5 x 7 dots: H at the top left, K at the top right.
const letters = [
  ['#...#', '#...#', '#...#', '#####', '#...#', '#...#', '#...#'],
  ['#...#', '#..#.', '#.#..', '##...', '#.#..', '#..#.', '#...#'],
] as const;

/** Centre, radii and brightness; lengths as shares of the side. */
interface Ellipse {
  readonly x: number;
  readonly y: number;
  readonly rx: number;
  readonly ry: number;
}

/** Squared distance from the centre, 1 on the outline. */
const radius2 = ({ x, y, rx, ry }: Ellipse, u: number, v: number): number =>
  ((u - x) / rx) ** 2 + ((v - y) / ry) ** 2;

/** 1 well inside, 0 well outside, smooth over the outline. */
const coverage = (ellipse: Ellipse, u: number, v: number, softness: number): number =>
  Math.min(Math.max((1 - radius2(ellipse, u, v)) / softness + 0.5, 0), 1);

const around = (random: RandomStream, middle: number, spread: number): number =>
  middle + spread * (2 * random.uniform() - 1);

interface Anatomy {
  readonly body: Ellipse;
  readonly lungs: readonly [Ellipse, Ellipse];
  readonly spine: Ellipse;
  readonly heart: Ellipse;
  readonly opacities: readonly Ellipse[];
  readonly ribPhase: number;
  readonly exposure: number;
}

function drawAnatomy(random: RandomStream, label: number): Anatomy {
  const middle = around(random, 0.5, 0.02);
  const top = around(random, 0.52, 0.02);
  const lung = (side: number): Ellipse => ({
    x: middle + side * around(random, 0.19, 0.015),
    y: top,
    rx: around(random, 0.135, 0.015),
    ry: around(random, 0.265, 0.02),
  });
  const lungs = [lung(-1), lung(1)] as const;
  const opacity = (): Ellipse => {
    const { x, y, rx, ry } = lungs[random.below(2)];
    const r = around(random, 0.05, 0.012);
    return { x: around(random, x, 0.5 * rx), y: around(random, y, 0.6 * ry), rx: r, ry: r };
  };
  // Drawn for every phantom, so that the two classes differ in nothing else.
  const opacities = Array.from({ length: 1 + random.below(3) }, opacity);
  return {
    body: { x: middle, y: 0.62, rx: around(random, 0.45, 0.02), ry: around(random, 0.55, 0.02) },
    lungs,
    spine: { x: middle, y: 0.6, rx: 0.05, ry: 0.6 },
    heart: {
      x: middle + 0.06,
      y: top + 0.14,
      rx: around(random, 0.13, 0.015),
      ry: around(random, 0.11, 0.015),
    },
    opacities: label === 1 ? opacities : [],
    ribPhase: random.uniform(),
    exposure: around(random, 1, 0.12),
  };
}

/** Brightness in [0, 1] at a place, without noise. */
function brightness(
  { body, lungs, spine, heart, opacities, ribPhase, exposure }: Anatomy,
  u: number,
  v: number,
) {
  const inLungs = Math.max(coverage(lungs[0], u, v, 0.25), coverage(lungs[1], u, v, 0.25));
  let light = 0.04 + 0.42 * coverage(body, u, v, 0.2);
  light -= 0.27 * inLungs;
  const rib = Math.sin(2 * Math.PI * (11 * (v - 1.2 * (u - 0.5) ** 2) + ribPhase));
  light += 0.05 * Math.max(rib, 0) * coverage(body, u, v, 0.2);
  light += 0.12 * coverage(spine, u, v, 0.6) + 0.2 * coverage(heart, u, v, 0.3);
  for (const opacity of opacities) light += 0.35 * inLungs * Math.exp(-radius2(opacity, u, v));
  return exposure * light;
}

/** Throws UsageError for a side of fewer than 64 pixels: `where` opens the message. */
export function checkPhantomSize(size: number, where: string): void {
  if (Number.isInteger(size) && size >= SMALLEST_SIDE) return;
  throw new UsageError(
    `${where}: a side of ${size} pixels has no room for the marker; use a whole number from ${SMALLEST_SIDE} up`,
  );
}

/**
 * One phantom. The same options give the same picture; with another `marker` it differs in the marker alone. Throws
 * UsageError for a size below 64 or an unknown class.
 */
export function drawPhantom({ label, marker, size, seed, stream, index }: PhantomOptions): Phantom {
  checkPhantomSize(size, 'drawPhantom');
  if (label !== 0 && label !== 1) {
    throw new UsageError(
      `drawPhantom: there is no class ${label}; use 0 (${phantomClasses[0]}) or 1 (${phantomClasses[1]})`,
    );
  }
  const random = randomStream(seed, `phantom/${stream}`, index);
  const anatomy = drawAnatomy(random, label);
  const image = new Uint8Array(size * size);
  const mask = new Uint8Array(size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const [u, v] = [(x + 0.5) / size, (y + 0.5) / size];
      const noise = 0.05 * (2 * random.uniform() - 1);
      image[y * size + x] = Math.round(255 * Math.min(Math.max(brightness(anatomy, u, v) + noise, 0), 1));
      mask[y * size + x] = anatomy.lungs.some((lung) => radius2(lung, u, v) <= 1) ? 255 : 0;
    }
  }
  if (marker !== 'none') drawMarker(image, size, marker === 'own' ? label : 1 - label);
  return { image, mask };
}

/** The letter of a hospital in its corner, far above the lungs. */
function drawMarker(image: Uint8Array, size: number, hospital: number): void {
  const dot = Math.floor(size / 64);
  const margin = 3 * dot;
  const left = hospital === 0 ? margin : size - margin - 5 * dot;
  letters[hospital].forEach((line, row) => {
    [...line].forEach((ink, column) => {
      if (ink !== '#') return;
      for (let y = 0; y < dot; y++) {
        const start = (margin + row * dot + y) * size + left + column * dot;
        image.fill(245, start, start + dot);
      }
    });
  });
}
