// Pictures on a page: the one place where the library touches a canvas.
import { ShapeError, UsageError } from '../engine/errors.ts';
import type { Picture } from './picture.ts';

/** What `drawOnCanvas` needs of an image's bytes. */
export interface CanvasBytes {
  readonly data: { set(bytes: ArrayLike<number>): void };
}

/** The part of HTMLCanvasElement and OffscreenCanvas that `drawOnCanvas` uses; both fit. */
export interface DrawableCanvas<Bytes extends CanvasBytes = ImageData> {
  width: number;
  height: number;
  getContext(kind: '2d'): {
    createImageData(width: number, height: number): Bytes;
    putImageData(bytes: Bytes, x: number, y: number): void;
  } | null;
}

/**
 * Shows a picture on a canvas, which takes the picture's size. Throws UsageError if the canvas has no 2D context, and
 * ShapeError for a picture without pixels.
 */
export function drawOnCanvas<Bytes extends CanvasBytes = ImageData>(
  picture: Picture,
  canvas: DrawableCanvas<Bytes>,
): void {
  const { width, height, rgba } = picture;
  if (!(width > 0 && height > 0) || rgba.length !== 4 * width * height) {
    throw new ShapeError(
      `drawOnCanvas: ${rgba.length} bytes are no picture of ${width} x ${height}; pass 4 bytes per pixel and at least one pixel`,
    );
  }
  const context = canvas.getContext('2d');
  if (!context) {
    throw new UsageError(
      'drawOnCanvas: the canvas has no 2D context; pass one that is not in use for WebGPU or WebGL',
    );
  }
  // Before the bytes are put: setting a size clears the canvas.
  canvas.width = width;
  canvas.height = height;
  const bytes = context.createImageData(width, height);
  bytes.data.set(rgba);
  context.putImageData(bytes, 0, 0);
}
