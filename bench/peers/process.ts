// The parent's end of a peer's process: one question at a time, with a limit on how long it may think.
import { type ChildProcess, fork } from 'node:child_process';
import { UsageError } from '../../engine/errors.ts';
import { findSwiftShader, unpackSwiftShader } from '../../engine/software-adapter.ts';
import type { Answer, Request, StartupAnswer } from './child.ts';
import { type PeerName, peers } from './peers.ts';

/** A peer failed: its row says why, and the run goes on. */
export class PeerFailure extends Error {}

export interface ProcessOptions {
  readonly script: string;
  /** `swiftshader` hides all drivers of the machine. */
  readonly adapter: 'any' | 'swiftshader';
  readonly timeoutMs: number;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A running peer. */
export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #name: PeerName;
  readonly #timeoutMs: number;
  #failure: PeerFailure | null = null;

  constructor(
    name: PeerName,
    { script, adapter, timeoutMs, env }: ProcessOptions,
    args: readonly string[] = [],
  ) {
    this.#name = name;
    this.#timeoutMs = timeoutMs;
    const drivers = adapter === 'swiftshader' ? swiftShaderEnvironment(name) : {};
    this.#child = fork(script, [name, ...args], {
      // What libraries print is no answer of theirs.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: { ...process.env, ...drivers, ...env },
      execArgv: [],
    });
    this.#child.on('exit', (code, signal) => {
      this.#failure ??= new PeerFailure(`its process died (${signal ?? `exit code ${code}`})`);
    });
  }

  get isAlive(): boolean {
    return this.#failure === null;
  }

  async ask(request: Request): Promise<Answer> {
    const answer = this.next();
    // An error of sending is a death, which `next` reports.
    if (this.isAlive) this.#child.send(request, () => {});
    return answer;
  }

  /** The next message. Rejects with PeerFailure when the process says so, dies, or takes too long; then it is ended. */
  next<T extends Answer | StartupAnswer = Answer>(): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#failure = new PeerFailure(`took longer than ${this.#timeoutMs / 1000} s`);
        this.#child.kill('SIGKILL');
      }, this.#timeoutMs);
      const settle = () => {
        clearTimeout(timer);
        this.#child.off('message', onMessage).off('exit', onExit);
      };
      const onMessage = (message: T) => {
        settle();
        if ('error' in message && !('firstResultMs' in message)) reject(new PeerFailure(message.error));
        else resolve(message);
      };
      const onExit = () => {
        settle();
        reject(this.#failure ?? new PeerFailure('its process ended'));
      };
      this.#child.on('message', onMessage).on('exit', onExit);
    });
  }

  end(): void {
    this.#failure ??= new PeerFailure(`${this.#name} was ended`);
    // Not asked nicely: several of these libraries keep a process alive for good.
    this.#child.kill('SIGKILL');
  }
}

function swiftShaderEnvironment(name: PeerName): Record<string, string> {
  // Our engine takes its own SwiftShader when there is no driver; others must be led to it.
  let manifest = '/nonexistent';
  if (peers[name].hasOwnDawn) {
    const archive = findSwiftShader();
    if (!archive)
      throw new UsageError('bench:peers: no SwiftShader here; run `npm install @sparticuz/chromium`');
    manifest = unpackSwiftShader(archive).manifest;
  }
  return { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest };
}
