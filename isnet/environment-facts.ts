// What a run folder and its report say about where a run was made; environment.ts finds it out.

/** Contents of environment.json. */
export interface Environment {
  readonly version: string;
  /** Commit of this code; null outside a clone. */
  readonly commit: string | null;
  readonly adapter: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly command: readonly string[];
  readonly date: string;
  /** The same facts for each time that the run was resumed. */
  readonly resumed?: readonly Environment[];
}
