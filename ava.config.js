/**
 * Each test file has its own process: native add-ons, signals and `process.exit` behave as in
 * production. Tests that need root are in `test/system/` and run by `npm run test:system`, those
 * that need a container engine in `test/containers/` (`npm run test:containers`).
 */
export default {
  extensions: ['ts'],
  files: ['test/**/*.test.ts', '!test/system/**', '!test/containers/**'],
  workerThreads: false,
  // One more than a small machine has cores: tests of clusters wait a good part of their time.
  concurrency: 3,
  // Inactivity of a whole run, not a single test's time; clusters under coverage on two cores are
  // slow, and one test that says nothing of itself until its end may run for minutes.
  timeout: '10m',
};
