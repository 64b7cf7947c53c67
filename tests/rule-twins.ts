// Slow, obvious twins of the rules: explicit matrices and loops, nothing shared with lrp/. The oracle of the rule tests,
// and the plainest text of each rule.

/** A layer as z = W x + b. */
export interface Matrix {
  readonly W: readonly (readonly number[])[];
  readonly b: readonly number[];
}

/** Finds W and b of an affine function by feeding it unit vectors. */
export function matrixOf(apply: (x: number[]) => number[], size: number): Matrix {
  const b = apply(new Array<number>(size).fill(0));
  const columns = Array.from({ length: size }, (_, i) =>
    apply(Array.from({ length: size }, (_, j) => (i === j ? 1 : 0))).map((z, o) => z - b[o]),
  );
  return { W: b.map((_, o) => columns.map((column) => column[o])), b };
}

const p = (t: number) => Math.max(t, 0);
const n = (t: number) => Math.min(t, 0);
const shifted = (z: number, eps: number) => (z >= 0 ? z + eps : z - eps);

/** What input i contributes to output o, and what no input contributes; the rest is the same for every rule. */
interface Contributions {
  readonly part: (i: number, o: number) => number;
  readonly bias: (o: number) => number;
}

/** R_i = sum_o part(i, o) R_o / stab(sum_j part(j, o) + bias(o)) */
function share(count: number, R: readonly number[], eps: number, { part, bias }: Contributions): number[] {
  const inputs = Array.from({ length: count }, (_, i) => i);
  const result = new Array<number>(count).fill(0);
  R.forEach((Ro, o) => {
    const z = inputs.reduce((sum, j) => sum + part(j, o), bias(o));
    for (const i of inputs) result[i] += (part(i, o) * Ro) / shifted(z, eps);
  });
  return result;
}

export type Twin = (x: readonly number[], matrix: Matrix, R: readonly number[]) => number[];

/** epsilon: part = x_i w_oi */
export const epsilonTwin =
  (eps: number): Twin =>
  (x, { W, b }, R) =>
    share(x.length, R, eps, { part: (i, o) => x[i] * W[o][i], bias: (o) => b[o] });

/** alpha-beta: positive and negative contributions apart */
export const alphaBetaTwin =
  (alpha: number, beta: number, eps = 1e-6): Twin =>
  (x, { W, b }, R) => {
    const up = share(x.length, R, eps, { part: (i, o) => p(x[i] * W[o][i]), bias: (o) => p(b[o]) });
    const down = share(x.length, R, eps, { part: (i, o) => n(x[i] * W[o][i]), bias: (o) => n(b[o]) });
    return up.map((value, i) => alpha * value - beta * down[i]);
  };

/** gamma, original: w + gamma p(w) */
export const gammaTwin =
  (gamma: number, eps = 1e-6): Twin =>
  (x, { W, b }, R) => {
    const raised = (t: number) => t + gamma * p(t);
    return share(x.length, R, eps, { part: (i, o) => x[i] * raised(W[o][i]), bias: (o) => raised(b[o]) });
  };

/** gamma, generalised: what has the sign of z is raised; outputs with z = 0 give nothing */
export const gammaGeneralizedTwin =
  (gamma: number, eps = 1e-6): Twin =>
  (x, { W, b }, R) => {
    const z = W.map((row, o) => row.reduce((sum, w, i) => sum + w * x[i], b[o]));
    const raised = (t: number, o: number) => t + gamma * (z[o] > 0 ? p(t) : n(t));
    const live = R.map((Ro, o) => (z[o] === 0 ? 0 : Ro));
    return share(x.length, live, eps, {
      part: (i, o) => raised(x[i] * W[o][i], o),
      bias: (o) => raised(b[o], o),
    });
  };

/** w^2: squared weights, whatever x */
export const wSquareTwin =
  (eps = 1e-6): Twin =>
  (x, { W, b }, R) =>
    share(x.length, R, eps, { part: (i, o) => W[o][i] ** 2, bias: (o) => b[o] ** 2 });

/** flat: every input that is connected counts 1; a kernel's zero weights count too, so `isConnected` decides */
export const flatTwin =
  (isConnected: (i: number, o: number) => boolean, eps = 1e-6): Twin =>
  (x, _, R) =>
    share(x.length, R, eps, { part: (i, o) => (isConnected(i, o) ? 1 : 0), bias: () => 0 });

/** z^B: x measured against its bounds; ISNet keeps b - low b+ - high b- */
export const zBTwin =
  (low: number, high: number, form: 'isnet' | 'textbook', eps = 1e-6): Twin =>
  (x, { W, b }, R) =>
    share(x.length, R, eps, {
      part: (i, o) => x[i] * W[o][i] - low * p(W[o][i]) - high * n(W[o][i]),
      bias: (o) => (form === 'isnet' ? b[o] - low * p(b[o]) - high * n(b[o]) : 0),
    });
