// Which results of a captured step are computed again where they are needed late, in place of being kept until then.
//
// A step is known as a whole before it runs, so nobody has to say what to checkpoint. The unit with the most bytes alive is
// looked at, again and again: of the results that wait there for a later unit, the one goes that frees the most bytes per
// work, and is computed anew right before that unit.   Greedy as in XLA's HloRematerialization; the idea: Chen et al. 2016,
// arXiv:1604.06174
import { type Unit, ValueLife } from './recompute-lives.ts';
import type { Storage } from './tensor.ts';
import { isCopy, type Recompute, TracedStorage, type TraceEntry } from './trace.ts';

// Work on top of what the step has. A forward pass is about a sixth of an ISNet's step, a third of a classifier's.
const MAX_EXTRA_WORK = 1 / 3;
// What must be computed again first, at most: longer chains cost more than what they free is worth.
const MAX_CHAIN = 32;
// How far a unit is lowered at a time, before another may be the fullest.
const STEP = 0.98;

/** A result that may go, and what that takes. */
interface Choice {
  readonly life: ValueLife;
  /** Before which unit it is computed again; with these, among them itself. */
  readonly at: number;
  readonly anew: ReadonlySet<ValueLife>;
  readonly freedCount: number;
  readonly work: number;
}

/** Chooses what is computed again; see the top of this file. */
class Chooser {
  readonly #units: readonly Unit[];
  readonly #mode: Recompute;
  readonly #lives = new Map<Storage, ValueLife>();
  /** Of each storage the units that overwrite it. */
  readonly #overwrites = new Map<Storage, number[]>();
  /** What the step returns is not made twice. */
  readonly #outputs: ReadonlySet<Storage>;
  /** Elements alive while a unit runs, and those of them that are temporary. */
  readonly #alive: Float64Array;
  readonly #temps: Float64Array;
  /** Units before which making it again was tried, and made things worse. */
  readonly #refused = new Map<ValueLife, Set<number>>();
  #workLeft = 0;

  constructor(units: readonly Unit[], outputs: readonly Storage[], mode: Recompute) {
    this.#units = units;
    this.#mode = mode;
    this.#outputs = new Set(outputs);
    this.#alive = Float64Array.from(units, ({ tempCount }) => tempCount);
    this.#temps = this.#alive.slice();
    const use = (storage: Storage, at: number) => {
      const life = this.#lives.get(storage);
      if (life) life.uses = inserted(life.uses, at);
    };
    units.forEach((unit, i) => {
      for (const storage of unit.writes) this.#lives.set(storage, new ValueLife(storage, unit, i));
      for (const storage of unit.reads) use(storage, i);
      for (const entry of unit.entries) {
        if (!isCopy(entry)) continue;
        use(entry.to, i);
        this.#overwrites.set(entry.to, [...(this.#overwrites.get(entry.to) ?? []), i]);
      }
    });
    for (const storage of outputs) use(storage, units.length);
    for (const life of this.#lives.values()) this.#account(life, 1);
    const work = [...this.#lives.values()].reduce((sum, life) => sum + life.work, 0);
    this.#workLeft = work * MAX_EXTRA_WORK;
  }

  /** Of each unit what is computed again before it. */
  choose(): ReadonlyMap<number, readonly ValueLife[]> {
    while (this.#lowerPeak());
    const anew = new Map<number, ValueLife[]>();
    for (const life of this.#lives.values()) {
      for (const at of life.madeAt.slice(1)) anew.set(at, [...(anew.get(at) ?? []), life]);
    }
    return anew;
  }

  /** Whether less is alive at the fullest unit than before. */
  #lowerPeak(): boolean {
    const peak = this.#alive.reduce((best, count, i, all) => (count > all[best] ? i : best), 0);
    const limit = this.#alive[peak];
    const choices = [...this.#lives.values()]
      .map((life) => this.#choiceOf(life, peak))
      .filter((choice) => choice !== null)
      .sort((a, b) => b.freedCount / b.work - a.freedCount / a.work);
    let isLower = false;
    for (const { life } of choices) {
      // Asked again: those before it may have changed what it takes.
      const choice = this.#choiceOf(life, peak);
      if (!choice || !this.#apply(choice, limit)) continue;
      isLower = true;
      if (this.#alive[peak] < limit * STEP) break;
    }
    return isLower;
  }

  /** What it takes that the result does not wait at this unit; null if it does not, or has to. */
  #choiceOf(life: ValueLife, peak: number): Choice | null {
    const at = life.waitsUntil(peak);
    if (at === null || at >= this.#units.length || this.#refused.get(life)?.has(at)) return null;
    const [anew, kept] = [new Set<ValueLife>(), new Set<ValueLife>()];
    let freedCount = life.count;
    const stack = [life];
    for (let next = stack.pop(); next; next = stack.pop()) {
      if (anew.has(next)) continue;
      if (anew.size >= MAX_CHAIN) return null;
      if (!this.#canRunAt(next, at)) {
        if (next === life) return null;
        // It was gone, and waits in the other's place.
        freedCount -= next.count;
        kept.add(next);
        continue;
      }
      anew.add(next);
      for (const storage of next.inputs) {
        const input = this.#lives.get(storage);
        if (!input || input.isAliveAt(at) || kept.has(input)) continue;
        // Alive now, and not longer: to keep it costs nothing here.
        if (input.isAliveAt(peak)) kept.add(input);
        else stack.push(input);
      }
    }
    const work = [...anew].reduce((sum, { work }) => sum + work, 0);
    return freedCount > 0 && work <= this.#workLeft ? { life, at, anew, freedCount, work } : null;
  }

  /** Whether the ops behind a result give the same numbers again before this unit. */
  #canRunAt({ storage, first, inputs, hasProducts }: ValueLife, at: number): boolean {
    if (hasProducts && this.#mode !== 'all') return false;
    if (this.#overwrites.has(storage) || this.#outputs.has(storage)) return false;
    return inputs.every(
      (input) => !this.#overwrites.get(input)?.some((position) => position >= first && position < at),
    );
  }

  /** Takes the choice, unless more than `limit` would be alive somewhere. */
  #apply({ life, at, anew, work }: Choice, limit: number): boolean {
    const temp = this.#temps[at];
    const used = [...anew].flatMap(({ inputs }) => inputs.flatMap((s) => this.#lives.get(s) ?? []));
    const touched = new Set([...anew, ...used]);
    const before = new Map([...touched].map((t) => [t, { madeAt: t.madeAt, uses: t.uses }]));
    const change = (edit: () => void) => {
      for (const t of touched) this.#account(t, -1);
      edit();
      for (const t of touched) this.#account(t, 1);
    };
    change(() => {
      for (const t of anew) t.madeAt = inserted(t.madeAt, at);
      for (const t of used) t.uses = inserted(t.uses, at);
    });
    this.#needTemps(at, Math.max(temp, ...[...anew].map(({ tempCount }) => tempCount)));
    if (this.#alive.every((count) => count <= limit)) {
      this.#workLeft -= work;
      return true;
    }
    change(() => {
      for (const [t, { madeAt, uses }] of before) Object.assign(t, { madeAt, uses });
    });
    this.#needTemps(at, temp);
    this.#refused.set(life, (this.#refused.get(life) ?? new Set()).add(at));
    return false;
  }

  #needTemps(at: number, count: number): void {
    this.#alive[at] += count - this.#temps[at];
    this.#temps[at] = count;
  }

  #account(life: ValueLife, sign: 1 | -1): void {
    for (const [from, to] of life.spans()) {
      for (let i = from; i <= Math.min(to, this.#alive.length - 1); i++) this.#alive[i] += sign * life.count;
    }
  }
}

/** Sorted numbers with one more among them, each once. */
const inserted = (sorted: readonly number[], n: number): number[] =>
  sorted.includes(n) ? [...sorted] : [...sorted, n].sort((a, b) => a - b);

/** The program of these units, with what is better computed again than kept. */
export function recomputed(
  units: readonly Unit[],
  outputs: readonly Storage[],
  mode: Recompute,
): TraceEntry[] {
  const anew = new Chooser(units, outputs, mode).choose();
  // Who reads a result from here on reads this one in its place.
  const latest = new Map<Storage, TracedStorage>();
  const program: TraceEntry[] = [];
  const latestOf = (storage: Storage): Storage => latest.get(storage) ?? storage;
  units.forEach(({ entries }, i) => {
    // Ops of several results at once in the order in which they first ran; each runs once more, and not more often.
    const lives = (anew.get(i) ?? []).toSorted((a, b) => a.first - b.first);
    const again = new Map<Storage, TracedStorage>();
    for (const life of lives) {
      for (const op of life.ops) {
        if (again.has(op.output)) continue;
        const output = new TracedStorage(op.output.elementCount, op.output.trace);
        program.push({ ...op, inputs: op.inputs.map((s) => again.get(s) ?? latestOf(s)), output });
        again.set(op.output, output);
      }
    }
    for (const { storage } of lives) latest.set(storage, again.get(storage) as TracedStorage);
    for (const entry of entries) {
      if (isCopy(entry)) program.push({ ...entry, from: latestOf(entry.from) });
      else program.push({ ...entry, inputs: entry.inputs.map(latestOf) });
    }
  });
  return program;
}
