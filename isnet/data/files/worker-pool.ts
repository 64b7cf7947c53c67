// The threads that open pictures while the device computes.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { DataError } from '../../../engine/errors.ts';
import { loadSharp } from './sharp.ts';
import type { LoadedSamples, WorkerReply, WorkerSetup, WorkerTask } from './worker.ts';

interface Waiting {
  readonly resolve: (loaded: LoadedSamples) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, Waiting>;
  /** Why it answers no more. */
  end: Error | null;
}

/** One thread per core besides this one's, at most eight: beyond that the disk is slower. */
export const defaultWorkerCount = (): number => Math.min(8, Math.max(1, availableParallelism() - 1));

/** Threads that load samples; each sample always goes to the same one, which may have kept it. */
export class WorkerPool {
  readonly #threads: Thread[];
  #nextId = 0;
  #isClosed = false;

  private constructor(threads: Thread[]) {
    this.#threads = threads;
  }

  /** Starts the threads; `cacheBytes` is what all of them may keep together. */
  static async open(setup: WorkerSetup, count: number): Promise<WorkerPool> {
    await loadSharp();
    const share = { ...setup, cacheBytes: setup.cacheBytes / count };
    const pool = new WorkerPool(
      Array.from({ length: count }, () => ({ worker: startWorker(share), waiting: new Map(), end: null })),
    );
    for (const thread of pool.#threads) pool.#listen(thread);
    return pool;
  }

  #listen(thread: Thread): void {
    const { worker, waiting } = thread;
    const settle = (id: number): Waiting | undefined => {
      const entry = waiting.get(id);
      waiting.delete(id);
      // A thread with nothing to do must not keep the process alive.
      if (waiting.size === 0) worker.unref();
      return entry;
    };
    worker.on('message', (reply: WorkerReply) => {
      const entry = settle(reply.id);
      if ('loaded' in reply) entry?.resolve(reply.loaded);
      else entry?.reject(new DataError(reply.error.message, { cause: reply.error }));
    });
    const fail = (reason: string, cause?: unknown): void => {
      const message = this.#isClosed
        ? 'data: the loader was closed while it was reading; close it after the last batch'
        : `data: a loading thread ended (${reason}); if memory is short, lower cacheMegabytes or workers`;
      thread.end ??= new DataError(message, { cause });
      for (const id of [...waiting.keys()]) settle(id)?.reject(thread.end);
    };
    worker.on('error', (error) => fail(error.message, error));
    worker.on('exit', (code) => fail(`exit code ${code}`));
    worker.unref();
  }

  /**
   * Loads samples, in their order. Rejects with DataError, naming the file, for one that cannot be read, and when the
   * threads have ended.
   */
  async load(indices: Uint32Array, epoch: number, isAugmented: boolean): Promise<PlacedSamples[]> {
    const count = this.#threads.length;
    const parts = this.#threads.map((_, t) => [...indices.keys()].filter((n) => indices[n] % count === t));
    return Promise.all(
      parts.flatMap((places, t) => {
        if (places.length === 0) return [];
        const task = { indices: Uint32Array.from(places, (n) => indices[n]), epoch, isAugmented };
        return [this.#send(this.#threads[t], task).then((loaded) => ({ places, loaded }))];
      }),
    );
  }

  #send({ worker, waiting, end }: Thread, task: Omit<WorkerTask, 'id'>): Promise<LoadedSamples> {
    if (this.#isClosed) return Promise.reject(new DataError('data: the loader is closed; open it again'));
    if (end) return Promise.reject(end);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ ...task, id } satisfies WorkerTask);
    });
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }
}

/** Loaded samples and their places in the batch. */
export interface PlacedSamples {
  readonly places: readonly number[];
  readonly loaded: LoadedSamples;
}

function startWorker(setup: WorkerSetup): Worker {
  const [ending] = /\.[jt]s$/.exec(import.meta.url) ?? ['.js'];
  const url = new URL(`./worker${ending}`, import.meta.url);
  if (ending === '.js') return new Worker(url, { workerData: setup });
  // In a clone of the repository this is TypeScript, which a thread has to learn to read before its first file.
  const tsx = import.meta.resolve('tsx/esm/api');
  const script = `import('${tsx}').then(({ register }) => { register(); return import('${url.href}'); })`;
  return new Worker(script, { eval: true, workerData: setup });
}
