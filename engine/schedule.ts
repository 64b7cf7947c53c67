// From what a step did to what a recording must do: dead ops are dropped, and elementwise ops that follow one another
// become one.
import type { KernelPlan, MapForm } from './dispatch.ts';
import {
  type FusedMap,
  functionsOf,
  isReadAlike,
  isRun,
  type MapInput,
  type MapStep,
  type MapValue,
} from './map-kernel.ts';
import type { OpCall } from './program.ts';
import { recomputed } from './recompute.ts';
import type { Unit } from './recompute-lives.ts';
import { sizeOf } from './shape.ts';
import type { Storage } from './tensor.ts';
import {
  isCopy,
  type Recompute,
  type Trace,
  type TracedCopy,
  type TracedOp,
  TracedStorage,
  type TraceEntry,
} from './trace.ts';

/** One op as it is. */
export interface PlannedOp {
  readonly kind: 'op';
  readonly entries: readonly TracedOp[];
  readonly call: OpCall;
  readonly plan: KernelPlan;
  readonly inputs: readonly Storage[];
  readonly output: TracedStorage;
}

/** Several elementwise ops as one kernel. */
export interface PlannedMap {
  readonly kind: 'map';
  /** The ops, in order. */
  readonly entries: readonly TracedOp[];
  readonly name: string;
  readonly map: FusedMap;
  readonly inputs: readonly Storage[];
  readonly outputs: readonly TracedStorage[];
}

export interface PlannedCopy extends TracedCopy {
  readonly kind: 'copy';
}

/** What a recording does, in order. */
export type Command = PlannedOp | PlannedMap | PlannedCopy;

export interface ScheduleOptions {
  /** How an op runs. */
  readonly describe: (call: OpCall) => KernelPlan;
  /** Buffers that one kernel can bind. */
  readonly maxBuffers: number;
  /** What may be computed again to save memory. Default 'none'. */
  readonly recompute?: Recompute;
}

// More would make kernels that take long to compile, for chains that are not met.
const MAX_STEPS = 24;

const callOf = ({ op, inputShapes, attrs, shape }: TracedOp): OpCall => ({ op, inputShapes, attrs, shape });

/** Entries whose results reach an output or a tensor from outside, in order. */
export function liveEntries(entries: readonly TraceEntry[], outputs: readonly Storage[]): TraceEntry[] {
  const needed = new Set(outputs);
  const live: TraceEntry[] = [];
  for (let i = entries.length - 1; i >= 0; i--) {
    const entry = entries[i];
    if (isCopy(entry)) {
      if (entry.to instanceof TracedStorage && !needed.has(entry.to)) continue;
      needed.add(entry.from);
    } else {
      if (!needed.has(entry.output)) continue;
      for (const input of entry.inputs) needed.add(input);
    }
    live.push(entry);
  }
  return live.reverse();
}

/** An elementwise op with its form. */
interface MapEntry {
  readonly entry: TracedOp;
  readonly form: MapForm;
}

/** Elementwise ops that will run as one kernel. None of them waits for anything that is not yet scheduled. */
class Group {
  members: MapEntry[] = [];
  readonly results = new Set<Storage>();

  add(member: MapEntry): void {
    this.members.push(member);
    this.results.add(member.entry.output);
  }

  absorb(other: Group): void {
    for (const member of other.members) this.add(member);
  }

  reads(storage: Storage): boolean {
    return this.members.some(({ entry }) => entry.inputs.includes(storage));
  }
}

/** Builds the schedule of a program. */
class Scheduler {
  readonly commands: Command[] = [];
  readonly #options: ScheduleOptions;
  /** Of each storage the ops and copies that read it; outputs are read by the caller, null. */
  readonly #readers = new Map<Storage, (TraceEntry | null)[]>();
  readonly #order = new Map<TracedOp, number>();
  #pending: Group[] = [];

  constructor(program: readonly TraceEntry[], outputs: readonly Storage[], options: ScheduleOptions) {
    this.#options = options;
    const entries = liveEntries(program, outputs);
    const read = (storage: Storage, reader: TraceEntry | null) => {
      const readers = this.#readers.get(storage);
      if (readers) readers.push(reader);
      else this.#readers.set(storage, [reader]);
    };
    entries.forEach((entry, i) => {
      if (isCopy(entry)) read(entry.from, entry);
      else {
        this.#order.set(entry, i);
        for (const input of entry.inputs) read(input, entry);
      }
    });
    for (const storage of outputs) read(storage, null);
    for (const entry of entries) {
      if (isCopy(entry)) this.#copy(entry);
      else this.#op(entry);
    }
    for (const group of this.#pending) this.#emit(group);
  }

  #copy(entry: TracedCopy): void {
    // The old numbers of `to` are gone after this: whoever reads them, or writes it, goes first.
    this.#flush(
      (group) => group.results.has(entry.from) || group.results.has(entry.to) || group.reads(entry.to),
    );
    this.commands.push({ kind: 'copy', ...entry });
  }

  #op(entry: TracedOp): void {
    const { map: form } = this.#options.describe(callOf(entry));
    if (!form) {
      this.#flush((group) => entry.inputs.some((input) => group.results.has(input)));
      this.#emitOp(entry);
      return;
    }
    const member = { entry, form };
    const readsAnew = (group: Group, input: Storage, i: number): boolean =>
      group.results.has(input) && !isElementByElement(member, i);
    this.#flush((group) => entry.inputs.some((input, i) => readsAnew(group, input, i)));
    const sources = this.#pending.filter((group) => entry.inputs.some((input) => group.results.has(input)));
    const joined = new Group();
    for (const group of sources) joined.absorb(group);
    joined.members.sort((a, b) => this.#positionOf(a) - this.#positionOf(b));
    joined.add(member);
    if (this.#fits(joined)) {
      this.#pending = [...this.#pending.filter((group) => !sources.includes(group)), joined];
      return;
    }
    this.#flush((group) => sources.includes(group));
    const alone = new Group();
    alone.add(member);
    this.#pending.push(alone);
  }

  #positionOf({ entry }: MapEntry): number {
    return this.#order.get(entry) ?? 0;
  }

  #fits(group: Group): boolean {
    if (group.members.length === 1) return true;
    if (group.members.length > MAX_STEPS) return false;
    const { inputs, outputs } = this.#kernelOf(group);
    return inputs.length + outputs.length <= this.#options.maxBuffers && hasOneMeaningEach(group);
  }

  #flush(isDue: (group: Group) => boolean): void {
    const due = this.#pending.filter(isDue);
    this.#pending = this.#pending.filter((group) => !due.includes(group));
    for (const group of due) this.#emit(group);
  }

  #emitOp(entry: TracedOp): void {
    const call = callOf(entry);
    const { inputs, output } = entry;
    const plan = this.#options.describe(call);
    this.commands.push({ kind: 'op', entries: [entry], call, plan, inputs, output });
  }

  #emit(group: Group): void {
    if (group.members.length === 1) {
      this.#emitOp(group.members[0].entry);
      return;
    }
    const name = group.members.map((member) => member.entry.op.name).join(' ');
    const entries = group.members.map(({ entry }) => entry);
    this.commands.push({ kind: 'map', entries, name, ...this.#kernelOf(group) });
  }

  /** The kernel of a group: its inputs are what comes from outside, its outputs what is read there. */
  #kernelOf({ members }: Group): Omit<PlannedMap, 'kind' | 'entries' | 'name'> {
    const inputs: { readonly storage: Storage; readonly form: MapInput }[] = [];
    const inputOf = (storage: Storage, form: MapInput): number => {
      const known = inputs.findIndex((input) => input.storage === storage && isReadAlike(input.form, form));
      return known >= 0 ? known : inputs.push({ storage, form }) - 1;
    };
    const stepOf = new Map(members.map(({ entry }, i) => [entry.output as Storage, i]));
    const steps: MapStep[] = members.map(({ entry, form }) => ({
      map: form,
      operands: entry.inputs.map((storage, i): MapValue => {
        const result = stepOf.get(storage);
        if (result !== undefined) return { result };
        return { input: inputOf(storage, { box: entry.shape, strides: form.strides[i] }) };
      }),
    }));
    const own = new Set<unknown>(members.map(({ entry }) => entry));
    const isReadOutside = (storage: Storage) =>
      this.#readers.get(storage)?.some((reader) => !own.has(reader)) ?? false;
    const outputs = members.flatMap(({ entry }, i) => (isReadOutside(entry.output) ? [i] : []));
    const map = {
      elementCount: sizeOf(members[0].entry.shape),
      inputs: inputs.map(({ form }) => form),
      steps,
      outputs,
    };
    return {
      map,
      inputs: inputs.map(({ storage }) => storage),
      outputs: outputs.map((i) => members[i].entry.output),
    };
  }
}

/** Whether element i of the op's result depends on element i of its input. */
function isElementByElement({ entry, form }: MapEntry, i: number): boolean {
  const hasAll = sizeOf(entry.inputShapes[i]) === sizeOf(entry.shape);
  return hasAll && isRun({ box: entry.shape, strides: form.strides[i] });
}

/** Whether no two WGSL functions of one name differ, as those of users' ops may. */
function hasOneMeaningEach({ members }: Group): boolean {
  const texts = new Map<string, string>();
  for (const { form } of members) {
    for (const [name, text] of functionsOf(form.functions)) {
      if ((texts.get(name) ?? text) !== text) return false;
      texts.set(name, text);
    }
  }
  return true;
}

/** A command as what computes again sees it. */
function unitOf(command: Command): Unit {
  if (command.kind === 'copy') return { entries: [command], reads: [command.from], writes: [], tempCount: 0 };
  const { entries, inputs } = command;
  if (command.kind === 'map') return { entries, reads: inputs, writes: command.outputs, tempCount: 0 };
  const tempCount = command.plan.temps?.reduce((sum, count) => sum + count, 0) ?? 0;
  return { entries, reads: inputs, writes: [command.output], tempCount };
}

/** What a recording of the trace must do so that its outputs and the tensors from outside get their numbers. */
export function schedule(trace: Trace, options: ScheduleOptions): readonly Command[] {
  const outputs = trace.outputs.map(({ storage }) => storage);
  const { commands } = new Scheduler(trace.entries, outputs, options);
  const { recompute = 'none' } = options;
  if (recompute === 'none') return commands;
  // Scheduled anew: what is computed again before an elementwise op becomes a part of its kernel.
  return new Scheduler(recomputed(commands.map(unitOf), outputs, recompute), outputs, options).commands;
}
