// NaN in kernels. A compiler may assume that there is none: `x != x` can be false for it, and SwiftShader's exp, log and
// pow make ordinary numbers of it. So it is told by its bits, and led past the functions that lose it.

/** WGSL text of `is_nan` for numbers of type `Vec`, which has `lanes` lanes, and of `nan_like`, a NaN. */
export function nanWgsl(lanes: 1 | 4): string {
  const of = (scalar: string) => (lanes === 4 ? `vec4<${scalar}>` : scalar);
  return `alias Vec = ${of('Real')};
alias Bits = ${of('u32')};
fn is_nan(x: Vec) -> ${of('bool')} {
  return (bitcast<Bits>(x) & Bits(0x7fffffffu)) > Bits(0x7f800000u);
}
fn nan_like(x: Vec) -> Vec {
  // Made of a number that the compiler does not know: WGSL refuses a NaN that it can foresee.
  return bitcast<Vec>(bitcast<Bits>(x) | Bits(0x7fc00000u));
}
`;
}
