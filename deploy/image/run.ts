/** Other programs, for the scripts of this folder. */
import { spawnSync } from 'node:child_process';

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; a program that is not there ends with 127. */
export function tryRun(program: string, args: readonly string[], cwd?: string): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
    ...(cwd !== undefined && { cwd }),
  });
  if (error) return { code: 127, stdout: '', stderr: error.message };
  return { code: status ?? 1, stdout, stderr };
}

/** What a program printed; throws with what it complained about where it failed. */
export function run(program: string, args: readonly string[], cwd?: string): string {
  const { code, stdout, stderr } = tryRun(program, args, cwd);
  if (code === 0) return stdout;
  const last = `${stdout}\n${stderr}`.trim().split('\n').slice(-30).join('\n');
  throw new Error(`${program} ${args[0] ?? ''} ended with ${code}:\n${last}`);
}
