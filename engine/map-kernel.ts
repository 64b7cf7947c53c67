// Writes the kernel of an elementwise op, or of several that follow one another: values between them stay in registers.
import type { AdapterProfile, Dispatch, KernelPlan, MapForm } from './dispatch.ts';
import { nanWgsl } from './ops/nan.ts';
import { spanOf } from './ops/span.ts';
import { type Shape, sizeOf } from './shape.ts';

/** A value inside a fused kernel: one of its inputs, or the result of an earlier op of it. */
export type MapValue = { readonly input: number } | { readonly result: number };

/** An op of a fused kernel. Every one gives as many elements as every other. */
export interface MapStep {
  readonly map: MapForm;
  readonly operands: readonly MapValue[];
}

/** How an input is read: its step along each axis of a box that has the kernel's number of elements. */
export interface MapInput {
  readonly box: Shape;
  readonly strides: readonly number[];
}

/** A whole fused kernel; `outputs` are the steps whose results are written. */
export interface FusedMap {
  readonly elementCount: number;
  readonly inputs: readonly MapInput[];
  readonly steps: readonly MapStep[];
  readonly outputs: readonly number[];
}

interface Level {
  readonly n: number;
  readonly stride: number;
}

/** Axes of the box, outermost first, with neighbours merged where the input walks on evenly. */
function levelsOf({ box, strides }: MapInput): Level[] {
  const levels: Level[] = [];
  box.forEach((n, axis) => {
    if (n === 1) return;
    const stride = strides[axis];
    const outer = levels.at(-1);
    if (outer && outer.stride === stride * n) levels[levels.length - 1] = { n: outer.n * n, stride };
    else levels.push({ n, stride });
  });
  return levels;
}

/** Whether element i of the kernel reads element i of the input. */
export function isRun(input: MapInput): boolean {
  const levels = levelsOf(input);
  return levels.length === 0 || (levels.length === 1 && levels[0].stride === 1);
}

/** Whether every element of the kernel reads the same element of two inputs, if these are the same tensor. */
export const isReadAlike = (a: MapInput, b: MapInput): boolean =>
  JSON.stringify(levelsOf(a)) === JSON.stringify(levelsOf(b));

/**
 * WGSL for reading four neighbouring elements:
 *   run     element i is element i                      row   four elements in a row of the input
 *   scalar  one element for all                         splat one element for all four
 *   gather  four elements anywhere
 */
type Access = 'run' | 'scalar' | 'row' | 'splat' | 'gather';

function accessOf(levels: readonly Level[], elementCount: number): Access {
  if (levels.every(({ stride }) => stride === 0)) return 'scalar';
  if (levels.length === 1 && levels[0].stride === 1) return 'run';
  const { n, stride } = levels[levels.length - 1];
  if (n % 4 !== 0 || elementCount % 4 !== 0) return 'gather';
  if (stride === 0) return 'splat';
  return stride === 1 && levels.slice(0, -1).every((level) => level.stride % 4 === 0) ? 'row' : 'gather';
}

/** Collects the fields of Params, and hands out the WGSL names of their values. */
class Fields {
  readonly values: Record<string, number> = {};

  add(name: string, value: number): string {
    this.values[name] = value;
    return `params.${name}`;
  }
}

/** Index functions by the levels that they divide by. Inputs that lie alike share one: a compiler then divides once for all. */
type IndexFunctions = Map<string, string>;

/** `fn index_<k>(i)`: flat index into the input for item i of the kernel. None if `known` has one; `name` is the one to call. */
function indexFunction(k: number, levels: readonly Level[], fields: Fields, known: IndexFunctions) {
  const key = JSON.stringify(levels);
  const knownName = known.get(key);
  if (knownName) return { name: knownName, functions: '' };
  const name = `index_${k}`;
  known.set(key, name);
  const lines = ['var rest = i;', 'var index = 0u;'];
  for (let level = levels.length - 1; level >= 0; level--) {
    const { n, stride } = levels[level];
    const isOutermost = level === 0;
    const size = isOutermost ? '' : fields.add(`n_${k}_${level}`, n);
    if (stride !== 0) {
      const at = isOutermost ? 'rest' : `rest % ${size}`;
      lines.push(`index += ${at} * ${fields.add(`stride_${k}_${level}`, stride)};`);
    }
    if (!isOutermost) lines.push(`rest /= ${size};`);
  }
  return {
    name,
    functions: `fn ${name}(i: u32) -> u32 {\n  ${lines.join('\n  ')}\n  return index;\n}\n`,
  };
}

/** Binding, helper function and expression for one input. */
function inputText(k: number, input: MapInput, elementCount: number, fields: Fields, known: IndexFunctions) {
  const levels = levelsOf(input);
  const access = accessOf(levels, elementCount);
  const name = `in_${k}`;
  const isVector = access === 'run' || access === 'row';
  const binding = `@group(0) @binding(${k + 1}) var<storage, read> ${name}: array<${isVector ? 'Vec' : 'Real'}>;\n`;
  if (access === 'run') return { binding, functions: '', expression: `${name}[i]` };
  if (access === 'scalar') return { binding, functions: '', expression: `Vec(${name}[0])` };
  if (access === 'gather') {
    const { name: index, functions } = indexFunction(k, levels, fields, known);
    // The last item may reach past the tensor, where there may be nothing to read.
    const at = (lane: number) => `${name}[${index}(min(4u * i + ${lane}u, params.last))]`;
    return { binding, functions, expression: `Vec(${[0, 1, 2, 3].map(at).join(', ')})` };
  }
  const inner = levels[levels.length - 1];
  const outer = levels.slice(0, -1);
  const quarter = { n: inner.n / 4, stride: inner.stride };
  if (access === 'splat') {
    const { name: index, functions } = indexFunction(k, [...outer, quarter], fields, known);
    return { binding, functions, expression: `Vec(${name}[${index}(i)])` };
  }
  const rows = outer.map(({ n, stride }) => ({ n, stride: stride / 4 }));
  const { name: index, functions } = indexFunction(k, [...rows, quarter], fields, known);
  return { binding, functions, expression: `${name}[${index}(i)]` };
}

const nameOfValue = (v: MapValue): string => ('input' in v ? `x_${v.input}` : `y_${v.result}`);

/**
 * Which operands of each step go through a veil. A compiler that sees several ops at once reckons x - x to be 0, (x + y) - y
 * to be x and square(sqrt(x)) to be x, also for NaN and infinity; Mesa's adds up (a b + c d) + (e f + g) in another order; and
 * those of GPUs make one rounding of the two of x y + z. So numbers that could meet themselves again are hidden from it, and
 * results that meet; on GPUs, where kernels like these wait for memory, all results are. Then the kernel gives the bits of
 * the single ops.
 */
function veiledOperands(steps: readonly MapStep[], { family }: AdapterProfile): boolean[][] {
  /** The inputs that the result of each step goes back to. */
  const origins: (readonly number[])[] = [];
  return steps.map(({ operands }) => {
    const all = operands.flatMap((v) => ('input' in v ? [v.input] : origins[v.result]));
    const distinct = [...new Set(all)];
    origins.push(distinct);
    const [first] = operands;
    const isChain = operands.length === 1 && 'result' in first && steps[first.result].operands.length === 1;
    const isMeeting = operands.filter((v) => 'result' in v).length > 1;
    const isHidden = family === 'gpu' || isChain || isMeeting || distinct.length < all.length;
    const isRepeated = (input: number, i: number) =>
      operands.findIndex((v) => 'input' in v && v.input === input) < i;
    return operands.map((v, i) => ('input' in v ? isRepeated(v.input, i) : isHidden));
  });
}

/** `fn veil_<i>(x)`, for operand i: its argument, which the compiler does not know. One each, or they would be equal. */
const veilText = (i: number, fields: Fields): string =>
  `fn veil_${i}(x: Vec) -> Vec { return bitcast<Vec>(bitcast<Bits>(x) ^ Bits(${fields.add(`zero_${i}`, 0)})); }\n`;

/** The functions in a piece of WGSL by name. */
export function functionsOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^fn (\w+)[\s\S]*?^}\n/gm)].map((match) => [match[1], match[0]]));
}

/** The dispatch of a fused kernel. Its operands are the inputs, then the outputs, each numbered as an input. */
export function fusedDispatch(
  { elementCount, inputs, steps, outputs }: FusedMap,
  adapter: AdapterProfile,
): Dispatch {
  const span = spanOf(Math.ceil(elementCount / 4), adapter);
  const fields = new Fields();
  for (const [name, value] of Object.entries(span.params)) fields.add(name, value);
  fields.add('last', elementCount - 1);
  const known: IndexFunctions = new Map();
  const reads = inputs.map((input, k) => inputText(k, input, elementCount, fields, known));
  const functions = new Map(steps.flatMap(({ map }) => [...functionsOf(map.functions)]));
  // Ops that compute the same share a function.
  const applies = new Map<string, string>();
  for (const { map } of steps) {
    const key = `${map.parameters.join()}|${map.body}`;
    if (!applies.has(key)) applies.set(key, `apply_${applies.size}`);
  }
  const nameOf = ({ map }: MapStep) => applies.get(`${map.parameters.join()}|${map.body}`);
  const veils = new Map<number, string>();
  const isVeiled = veiledOperands(steps, adapter);
  const argument = (v: MapValue, i: number, s: number): string => {
    if (!isVeiled[s][i]) return nameOfValue(v);
    if (!veils.has(i)) veils.set(i, veilText(i, fields));
    return `veil_${i}(${nameOfValue(v)})`;
  };
  const argumentsOf = ({ operands }: MapStep, s: number) =>
    operands.map((v, i) => argument(v, i, s)).join(', ');
  const applyTexts = [...applies].map(([key, name]) => {
    const [parameters, body] = [key.slice(0, key.indexOf('|')), key.slice(key.indexOf('|') + 1)];
    const typed = parameters.split(',').map((parameter) => `${parameter}: Vec`);
    return `fn ${name}(${typed.join(', ')}) -> Vec { ${body} }\n`;
  });
  const lines = [
    ...reads.map(({ expression }, k) => `let x_${k} = ${expression};`),
    ...steps.map((step, s) => `let y_${s} = ${nameOf(step)}(${argumentsOf(step, s)});`),
    ...outputs.map((s, o) => `out_${o}[i] = y_${s};`),
  ];
  const outputBindings = outputs.map(
    (_, o) => `@group(0) @binding(${inputs.length + 1 + o}) var<storage, read_write> out_${o}: array<Vec>;\n`,
  );
  const params = Object.keys(fields.values).map((name) => `${name}: u32`);
  const prelude = [
    span.prelude,
    nanWgsl(4),
    `struct Params { ${params.join(', ')} }\n@group(0) @binding(0) var<uniform> params: Params;\n`,
    ...reads.map(({ binding }) => binding),
    ...outputBindings,
    ...reads.map((read) => read.functions),
    ...functions.values(),
    ...veils.values(),
    ...applyTexts,
    `fn compute(i: u32) {\n  ${lines.join('\n  ')}\n}\n`,
  ].join('');
  const operands = [...inputs, ...outputs].map((_, k) => ({ input: k }));
  return { shader: 'map', prelude, params: fields.values, operands, workgroups: span.workgroups };
}

/** How an elementwise op with a result of shape `output` runs alone, and its form for `capture`. */
export function planMap(map: MapForm, output: Shape, adapter: AdapterProfile): KernelPlan {
  const inputs = map.strides.map((strides) => ({ box: output, strides }));
  const step = { map, operands: inputs.map((_, input) => ({ input })) };
  const dispatch = fusedDispatch(
    { elementCount: sizeOf(output), inputs, steps: [step], outputs: [0] },
    adapter,
  );
  return { steps: [{ ...dispatch, operands: [...step.operands, 'output'] }], map };
}
