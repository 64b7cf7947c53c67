// Reports as text: which rule a composite gives each layer, and what each layer loses.
import { type LeakReport, leakCauses } from './leak.ts';
import { type RelevanceOptions, relevanceSteps } from './relevance.ts';

/** One layer or op on the way, in the order of execution. */
export interface CompositeTableRow {
  readonly name: string;
  readonly kind: string;
  /** Name of the composite's rule; '(op)' where the op's structural rule applies. */
  readonly rule: string;
  readonly options: Readonly<Record<string, number | string>>;
}

/** The rules that a composite gives to a recorded forward pass, resolved, without propagating anything. */
export function compositeTable(options: Omit<RelevanceOptions, 'seed'>): CompositeTableRow[] {
  return relevanceSteps(options).map(({ step: { name, kind, rule } }) => ({
    name,
    kind,
    rule: rule?.name ?? '(op)',
    options: rule?.options ?? {},
  }));
}

/** Columns of text, left-aligned, two spaces apart. */
export function columns(lines: readonly (readonly string[])[]): string {
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A composite's table as text; JSON is the rows themselves. */
export function formatCompositeTable(rows: readonly CompositeTableRow[]): string {
  const cells = rows.map(({ name, kind, rule, options }) => [
    name || '-',
    kind,
    rule,
    Object.entries(options)
      .map(([key, value]) => `${key} ${value}`)
      .join(', '),
  ]);
  return columns([['layer', 'kind', 'rule', 'options'], ...cells]);
}

/** A leak report as text, for one map and sample (`index` counts maps first, then samples). */
export function formatLeakReport({ rows }: LeakReport, index = 0): string {
  const number = (value: number): string => (value === 0 ? '0' : value.toPrecision(4));
  const cells = rows.map(({ name, kind, rule, atOutput, atInput, leaks, unexplained }) => [
    name || '-',
    kind,
    rule || '(op)',
    number(atOutput[index]),
    number(atInput[index]),
    ...leakCauses.map((cause) => number(leaks[cause][index])),
    number(unexplained[index]),
  ]);
  const head = ['layer', 'kind', 'rule', 'at output', 'at input', ...leakCauses, 'unexplained'];
  return columns([head, ...cells]);
}
