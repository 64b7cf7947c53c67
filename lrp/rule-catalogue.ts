// What the rules of this library promise, declared once: the tests prove it, and the table in README.md is made from it.
import type { Rule } from './rule.ts';
import { alphaBeta, epsilon, flat, gamma, gammaGeneralized, lrp0, wSquare, zB, zPlus } from './rules.ts';

/** How far another library has a rule: fully, in part (see note), or not. As found in their code, late 2025. */
export type Support = 'yes' | 'part' | 'no';

export interface RuleEntry {
  /** Name in our API. */
  readonly name: string;
  /** The rule with the given stabiliser. */
  readonly make: (eps: number) => Rule;
  /** Without biases and stabiliser sum R_in = sum R_out, for any input and any R. */
  readonly conserves: boolean;
  /** R_in >= 0 where R_out >= 0, for inputs in [0, 1]. */
  readonly keepsSign: boolean;
  readonly zennit: Support;
  readonly captum: Support;
  readonly innvestigate: Support;
  readonly lxt: Support;
  readonly note?: string;
}

/** Every z-rule. zennit and Captum hide the rule's dependence on the weights from autograd: none of them trains on it. */
export const ruleCatalogue: readonly RuleEntry[] = [
  {
    name: 'lrp0',
    make: () => lrp0(),
    conserves: true,
    keepsSign: false,
    zennit: 'yes',
    captum: 'yes',
    innvestigate: 'yes',
    lxt: 'yes',
  },
  {
    name: 'epsilon',
    make: epsilon,
    conserves: true,
    keepsSign: false,
    zennit: 'yes',
    captum: 'yes',
    innvestigate: 'yes',
    lxt: 'yes',
  },
  {
    name: 'gamma',
    make: (eps) => gamma(0.25, eps),
    conserves: true,
    keepsSign: false,
    zennit: 'part',
    captum: 'yes',
    innvestigate: 'no',
    lxt: 'no',
    note: 'zennit has the generalised form only',
  },
  {
    name: 'gammaGeneralized',
    make: (eps) => gammaGeneralized(0.25, eps),
    conserves: true,
    keepsSign: false,
    zennit: 'yes',
    captum: 'no',
    innvestigate: 'no',
    lxt: 'part',
    note: 'LXT takes it from zennit',
  },
  {
    name: 'zPlus',
    make: (eps) => zPlus(eps),
    conserves: false,
    keepsSign: true,
    zennit: 'yes',
    captum: 'part',
    innvestigate: 'yes',
    lxt: 'no',
    note: 'Captum for inputs >= 0 only',
  },
  {
    name: 'alphaBeta',
    make: (eps) => alphaBeta(2, 1, eps),
    conserves: false,
    keepsSign: false,
    zennit: 'yes',
    captum: 'no',
    innvestigate: 'yes',
    lxt: 'no',
    note: 'iNNvestigate has the whole bias in both denominators',
  },
  {
    name: 'wSquare',
    make: wSquare,
    conserves: true,
    keepsSign: true,
    zennit: 'yes',
    captum: 'no',
    innvestigate: 'yes',
    lxt: 'no',
  },
  {
    name: 'flat',
    make: flat,
    conserves: true,
    keepsSign: true,
    zennit: 'yes',
    captum: 'no',
    innvestigate: 'yes',
    lxt: 'no',
  },
  {
    name: 'zB textbook',
    make: (eps) => zB({ low: -1, high: 2, eps, form: 'textbook' }),
    conserves: true,
    keepsSign: true,
    zennit: 'yes',
    captum: 'no',
    innvestigate: 'yes',
    lxt: 'no',
  },
  {
    name: 'zB isnet',
    make: (eps) => zB({ low: 0, high: 1, eps }),
    conserves: true,
    keepsSign: true,
    zennit: 'no',
    captum: 'no',
    innvestigate: 'no',
    lxt: 'no',
    note: "the ISNet authors' own code has it",
  },
];

/** The catalogue as a Markdown table. */
export function ruleTable(): string {
  const head = '| rule | conserves | here | zennit | Captum | iNNvestigate | LXT | note |';
  const lines = ruleCatalogue.map(({ name, conserves, zennit, captum, innvestigate, lxt, note }) => {
    const cells = [name, conserves ? 'yes' : 'no', 'yes', zennit, captum, innvestigate, lxt, note ?? ''];
    return `| ${cells.join(' | ')} |`.replace(/ {2}\|/g, ' |');
  });
  const slopes =
    '| *differentiable in w* | | yes | no | no | part | no | iNNvestigate: in a graph of its own |';
  return [head, '|---|---|---|---|---|---|---|---|', ...lines, slopes].join('\n');
}
