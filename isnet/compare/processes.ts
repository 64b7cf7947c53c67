// Makes cells, each in a process of its own, several at a time if asked (Node only).
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { CellName } from './cell.ts';
import type { CellReply, CellTask } from './cell-process.ts';

/** A cell that was begun, and how it ended. */
export interface CellOutcome {
  readonly name: CellName;
  readonly seconds: number;
  /** Null for a cell whose result is in its file. */
  readonly error: string | null;
  /** Why some numbers of the result are missing. */
  readonly remarks: readonly string[];
}

export interface CellQueue {
  readonly tasks: readonly CellTask[];
  /** Processes at a time. */
  readonly jobs: number;
  /** Ends the processes that run; their cells are lost, finished ones are not. */
  readonly signal?: AbortSignal;
  /** Awaited before the process takes its next cell. */
  readonly onOutcome: (outcome: CellOutcome) => void | Promise<void>;
}

/** Makes all cells in order. A cell that fails does not keep the others from being made. */
export async function runCells({ tasks, jobs, signal, onOutcome }: CellQueue): Promise<void> {
  const waiting = [...tasks];
  const work = async (): Promise<void> => {
    for (let task = waiting.shift(); task && !signal?.aborted; task = waiting.shift()) {
      const startMs = performance.now();
      const reply = await runCell(task, signal);
      if (signal?.aborted) return;
      await onOutcome({ name: task.name, seconds: (performance.now() - startMs) / 1000, ...reply });
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, tasks.length) }, work));
}

/** Resolves to what the process said at its end, or to how it ended without a word. */
async function runCell(task: CellTask, signal?: AbortSignal): Promise<CellReply> {
  const [ending] = /\.[jt]s$/.exec(import.meta.url) ?? ['.js'];
  const child = fork(new URL(`./cell-process${ending}`, import.meta.url), {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // In a clone of the repository this is TypeScript, which a process has to learn to read.
    execArgv: ending === '.ts' ? ['--import', import.meta.resolve('tsx')] : [],
  });
  let reply: CellReply | null = null;
  let said = '';
  child.stderr?.on('data', (text) => {
    said = `${said}${text}`.slice(-2000);
  });
  child.on('message', (message: CellReply) => {
    reply = message;
  });
  const stop = () => child.kill();
  signal?.addEventListener('abort', stop, { once: true });
  child.send(task);
  const [code, killedBy] = await once(child, 'exit');
  signal?.removeEventListener('abort', stop);
  if (reply) return reply;
  const reason = said.trim().split('\n').at(-1) || 'it said nothing';
  return { error: `its process ended (${killedBy ?? `exit code ${code}`}): ${reason}`, remarks: [] };
}
