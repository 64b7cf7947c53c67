// One peer in a process of its own: what it does wrong, up to dying, it does to itself.
import { peerCases } from './cases.ts';
import type { Expected } from './expected.ts';
import type { Peer, Prepared } from './peer.ts';
import { isPeerName, type PeerName, peers } from './peers.ts';

/** What the parent asks; answers come in the same order. */
export type Request =
  | { readonly do: 'prepare'; readonly name: string; readonly expected: Expected }
  /** A sample of at least this long, or one call. */
  | { readonly do: 'sample'; readonly ms: number }
  | { readonly do: 'close' };

/** What the child answers, the first unasked once it is open. */
export type Answer =
  | { readonly ok: 'open'; readonly version: string; readonly computesOn: string }
  | { readonly ok: 'prepared'; readonly checkedError: number }
  | { readonly ok: 'sample'; readonly msPerCall: number; readonly callCount: number }
  | { readonly ok: 'closed' }
  | { readonly error: string };

/** Milliseconds since the birth of a process; what it sends with `--startup` or `--first-result`. */
export interface StartupAnswer {
  readonly firstResultMs: number;
  /** Null with the reason when the peer cannot train. */
  readonly firstStepMs: number | null;
  readonly error?: string;
}

const caseNamed = (name: string) => {
  const found = peerCases.find((item) => item.name === name);
  if (!found) throw new Error(`no case '${name}'`);
  return found;
};

/** Largest difference relative to the largest number. Throws when it is beyond the tolerance. */
function check(found: ArrayLike<number>, { indices, values, tolerance }: Expected): number {
  let error = 0;
  let largest = 0;
  indices.forEach((index, i) => {
    // NaN must count as wrong, and Math.max hands it on.
    error = Math.max(error, Math.abs(found[index] - values[i]));
    largest = Math.max(largest, Math.abs(values[i]));
  });
  const relative = error / largest;
  if (!(relative <= tolerance))
    throw new Error(`wrong result: off by ${relative.toPrecision(2)} of its largest number`);
  return relative;
}

class Service {
  readonly #peer: Peer;
  #prepared: Prepared | null = null;
  /** Of the work at hand, once its time is known. */
  #callCount = 0;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  async answer(request: Request): Promise<Answer> {
    try {
      return await this.#serve(request);
    } catch (error) {
      return { error: reasonOf(error) };
    }
  }

  async #serve(request: Request): Promise<Answer> {
    switch (request.do) {
      case 'prepare': {
        this.#callCount = 0;
        this.#prepared = await this.#peer.prepare(caseNamed(request.name).work);
        const checkedError = check(await this.#prepared.result(), request.expected);
        return { ok: 'prepared', checkedError };
      }
      case 'sample': {
        if (!this.#prepared) throw new Error('nothing is prepared');
        if (this.#callCount === 0) this.#callCount = await this.#countFor(this.#prepared, request.ms);
        const startMs = performance.now();
        await this.#prepared.run(this.#callCount);
        const ms = performance.now() - startMs;
        return { ok: 'sample', msPerCall: ms / this.#callCount, callCount: this.#callCount };
      }
      case 'close':
        this.#prepared?.close();
        this.#prepared = null;
        return { ok: 'closed' };
    }
  }

  /** How many calls fill a sample; found by doubling, because the time of one call is mostly waiting when it is short. */
  async #countFor(prepared: Prepared, ms: number): Promise<number> {
    for (let count = 1; ; count *= 2) {
      const startMs = performance.now();
      await prepared.run(count);
      const spentMs = performance.now() - startMs;
      if (spentMs >= ms / 2 || count >= 4096)
        return Math.max(1, Math.round((count * ms) / Math.max(spentMs, ms / 8)));
    }
  }
}

/** First line of an error, or of what was thrown in its place. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n')[0].slice(0, 200);
}

async function startUp(open: () => Promise<Peer>, isTraining: boolean): Promise<StartupAnswer> {
  const peer = await open();
  const firstTimeOf = async (name: string): Promise<number> => {
    const prepared = await peer.prepare(caseNamed(name).work);
    await prepared.result();
    return performance.now();
  };
  const firstResultMs = await firstTimeOf('matmul 256');
  if (!isTraining) return { firstResultMs, firstStepMs: null };
  try {
    const prepared = await peer.prepare(caseNamed('training step').work);
    await prepared.run(1);
    return { firstResultMs, firstStepMs: performance.now() };
  } catch (error) {
    return { firstResultMs, firstStepMs: null, error: reasonOf(error) };
  }
}

async function main(name: PeerName, mode: string | undefined): Promise<void> {
  const send = (message: Answer | StartupAnswer) => process.send?.(message);
  const open = peers[name].open;
  // The parent has gone: nobody waits for what is being computed.
  process.on('disconnect', () => process.exit());
  try {
    if (mode) {
      send(await startUp(open, mode === '--startup'));
      return;
    }
    const peer = await open();
    const service = new Service(peer);
    process.on('message', async (request: Request) => {
      send(await service.answer(request));
    });
    send({ ok: 'open', version: peer.version, computesOn: peer.computesOn });
  } catch (error) {
    send({ error: reasonOf(error) });
  }
}

const [name, mode] = process.argv.slice(2);
if (!isPeerName(name)) throw new Error(`no peer '${name}'`);
await main(name, mode);
