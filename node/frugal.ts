/**
 * How a node's process keeps its memory small, decided before it runs: V8's young generation is
 * small, since else 60 MB more are kept for objects that live for milliseconds; and glibc has two
 * heaps, not eight per core, which keep what threads of LevelDB and of the verifier have freed
 * (another 60 MB under load).
 */
export const FRUGAL = {
  flags: ['--max-semi-space-size=8'],
  env: { MALLOC_ARENA_MAX: '2' },
} as const;

/**
 * Starts this command anew in the same process, with `FRUGAL`; returns where that is so already, or
 * where the platform cannot do it. Call it before anything is opened.
 */
export function becomeFrugal(): void {
  const isDone = process.env['MALLOC_ARENA_MAX'] !== undefined;
  if (isDone || process.platform !== 'linux' || !process.execve) return;
  const command = [process.execPath, ...process.execArgv, ...FRUGAL.flags];
  process.execve(process.execPath, [...command, ...process.argv.slice(1)], {
    ...process.env,
    ...FRUGAL.env,
  });
}
