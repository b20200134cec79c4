/**
 * Tests on a real container engine, one after the other: they share it, and build on each other's
 * images.
 */
export default {
  extensions: ['ts'],
  files: ['test/containers/**/*.test.ts'],
  workerThreads: false,
  concurrency: 1,
  failFast: true,
  timeout: '10m',
};
