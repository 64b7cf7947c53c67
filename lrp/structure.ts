// The structural rules: what each op that is no layer with weights does with relevance. One row per op, its rule in
// structure/. An op that is not here is an error that names it.

import { pass, smooth, softmaxed } from './structure/activations.ts';
import { copied, cutOut, joined, padded, permuted, picked, reshaped } from './structure/layout.ts';
import { convolution, linear, matrixProduct, product, quotient, splitSum } from './structure/linear.ts';
import { gathered, larger, pooled } from './structure/maxima.ts';
import type { OpRule } from './structure/op-call.ts';

/** Where relevance can get lost at an op: nowhere, or by what. `other` is explained beside the rule. */
export type StructuralLoss = 'none' | 'stabilizer' | 'padding' | 'other';

export interface StructuralRule {
  readonly propagate: OpRule;
  /** What takes relevance away besides constant terms, which keep their share at sums. */
  readonly loss: StructuralLoss;
}

const row = (propagate: OpRule, loss: StructuralLoss = 'none'): StructuralRule => ({ propagate, loss });

const structuralRules: Readonly<Record<string, StructuralRule>> = {
  // sums and linear maps
  add: row(splitSum, 'stabilizer'),
  sub: row(splitSum, 'stabilizer'),
  avgPool: row(linear, 'stabilizer'),
  avgPoolAdjoint: row(linear, 'stabilizer'),
  reduceSum: row(linear, 'stabilizer'),
  poolScatter: row(linear, 'stabilizer'),
  conv2d: row(convolution, 'stabilizer'),
  conv2dInputGrad: row(convolution, 'stabilizer'),
  // products
  matmul: row(matrixProduct, 'stabilizer'),
  sumProduct: row(matrixProduct, 'stabilizer'),
  mul: row(product),
  div: row(quotient),
  square: row(pass), // a product of two equal activations: two halves
  // elementwise, of degree one
  relu: row(pass),
  leakyRelu: row(pass),
  negativePart: row(pass),
  abs: row(pass),
  neg: row(pass),
  // elementwise, smooth: lost is what gradientShare leaves out
  sigmoid: row(smooth, 'other'),
  softplus: row(smooth, 'other'),
  tanh: row(smooth, 'other'),
  gelu: row(smooth, 'other'),
  silu: row(smooth, 'other'),
  softmax: row(softmaxed, 'other'),
  // numbers that only move
  reshape: row(reshaped),
  permute: row(permuted),
  concat: row(joined),
  slice: row(cutOut),
  pad: row(padded, 'padding'),
  expand: row(copied),
  reorder: row(picked),
  where: row(picked),
  // maxima
  poolGather: row(pooled),
  gather: row(gathered),
  maximum: row(larger),
};

/** The rule of an op, or null if relevance has no meaning there. */
export function structuralRule(opName: string): StructuralRule | null {
  return Object.hasOwn(structuralRules, opName) ? structuralRules[opName] : null;
}

/** What to do instead, where the op suggests more than the usual advice. */
const adviceFor: Readonly<Record<string, string>> = {
  logSoftmax: 'explain the logits before it, which differ by one number per line',
  log: 'explain the tensor before it: a logarithm turns products into sums, and shares with them',
  scatterAdd: 'add the parts with add or concat them, or explain a tensor before it',
};

/** The end of the error for an op without a rule. */
export function adviceOn(opName: string): string {
  return adviceFor[opName] ?? 'explain a tensor before it, or use layers that the composite has rules for';
}
