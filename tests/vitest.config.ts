// How vitest runs: every file in a process of its own.
import { mkdtempSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { defaultDataFolder } from '../isnet/benchmarks/files/find.ts';

// dawn.node crashes in worker threads, so every file gets a forked process.
// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    root: '.',
    include: ['tests/**/*.test.ts'],
    pool: 'forks',
    // Two at least: a process that compiles kernels or waits for a child leaves a core idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Tests run by the chooser's rules, not by what `isnet doctor --tune` has found on this machine; but material of benchmarks
    // that was fetched here is used.
    env: { XDG_CACHE_HOME: mkdtempSync(join(tmpdir(), 'isnet-tests-')), ISNET_DATA: defaultDataFolder() },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // A software adapter may be in the middle of a kernel when its process is to end.
    teardownTimeout: 30_000,
  },
});
