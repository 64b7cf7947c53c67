// Adaptive average pooling along one axis as a matrix of means, for windows that ONNX's pools do not have.

/** Row o has 1 / (its length) from floor(o size / windows) to ceil((o + 1) size / windows): [windows][size]. */
export function adaptiveMatrix(size: number, windows: number): number[][] {
  return Array.from({ length: windows }, (_, o) => {
    const first = Math.floor((o * size) / windows);
    const end = Math.ceil(((o + 1) * size) / windows);
    return Array.from({ length: size }, (_, i) => (i >= first && i < end ? 1 / (end - first) : 0));
  });
}
