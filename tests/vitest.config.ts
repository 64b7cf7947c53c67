// How vitest runs: every file in a process of its own.
import { defineConfig } from 'vitest/config';

// dawn.node crashes in worker threads, so every file gets a forked process.
// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    root: '.',
    include: ['tests/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
