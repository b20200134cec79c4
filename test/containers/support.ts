/** Commands as a person would type them, in the root of the project. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const ROOT = join(import.meta.dirname, '..', '..');

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  /** Both streams, as they came. */
  readonly all: string;
}

/** Runs a line of shell to its end; what it leaves in the background is not waited for. */
export async function shell(line: string, cwd = ROOT): Promise<Ran> {
  const child = spawn('bash', ['-c', line], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let all = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    stdout += part;
    all += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => (all += part));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, stdout, all };
}

export async function docker(...args: readonly string[]): Promise<string> {
  const limit = { maxBuffer: OUTPUT_BYTES_MAX };
  const { stdout } = await promisify(execFile)('docker', [...args], limit);
  return stdout.trim();
}

/** Whether this engine gives equal digests for equal inputs. */
export async function canReproduce(): Promise<boolean> {
  return (await docker('info', '--format', '{{.DriverStatus}}')).includes('containerd.snapshotter');
}

/** The image that Compose takes. */
export function imageName(root = ROOT): string {
  const file = join(root, 'deploy', '.env');
  if (!existsSync(file)) return '';
  return /^X0T_IMAGE=(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
}
