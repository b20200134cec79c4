/**
 * Tests that need root: network namespaces, traffic control, BPF. One at a time, as they share the
 * machine.
 */
export default {
  extensions: ['ts'],
  files: ['test/system/**/*.test.ts'],
  workerThreads: false,
  concurrency: 1,
  timeout: '10m',
};
