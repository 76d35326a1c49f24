import { defineConfig } from 'vitest/config';

// The addon must live in a process's main thread (static destructors crash in workers), hence forks.
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Two workers on two cores: a worker's own second thread would only wait for the other worker's.
    env: { OMP_NUM_THREADS: '1' },
    globalSetup: ['test/temporary.ts'],
    setupFiles: ['test/seed.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
