import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The program in `go-spiffe/`: an independent SPIFFE client and provider. */
const SOURCES = join(import.meta.dirname, 'go-spiffe');
const BUILD_MS = 240_000;

export type Said = Readonly<Record<string, unknown>>;

/**
 * Builds the program; or says why it cannot be had here. A program that does not compile throws.
 */
export function buildJudge(): { readonly program: string } | { readonly reason: string } {
  try {
    execFileSync('go', ['version'], { stdio: 'pipe' });
  } catch {
    return { reason: 'Go is not installed' };
  }
  try {
    execFileSync('go', ['mod', 'download'], { cwd: SOURCES, stdio: 'pipe', timeout: BUILD_MS });
  } catch {
    return { reason: 'the Go modules of go-spiffe cannot be fetched' };
  }
  const program = join(mkdtempSync(join(tmpdir(), 'x0t-go-')), 'judge');
  // readable for the other uid that runs it
  execFileSync('chmod', ['755', join(program, '..')]);
  execFileSync('go', ['build', '-o', program, '.'], {
    cwd: SOURCES,
    stdio: 'pipe',
    timeout: BUILD_MS,
  });
  return { program };
}

/** One run of the program. */
export class Judge {
  readonly #child: ChildProcess;
  readonly #said: Said[] = [];
  readonly #waiting = new Set<() => void>();
  readonly ended: Promise<number | null>;

  constructor(program: string, args: readonly string[], uid?: number) {
    const ids = uid === undefined ? {} : { uid, gid: uid };
    this.#child = spawn(program, [...args], { stdio: ['pipe', 'pipe', 'inherit'], ...ids });
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        resolve(code);
        this.#wake();
      });
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.#said.push(JSON.parse(line) as Said);
      this.#wake();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get said(): readonly Said[] {
    return this.#said;
  }

  /** The first line of which `isIt` holds; fails when the program ends without it. */
  async says(isIt: (said: Said) => boolean): Promise<Said> {
    for (;;) {
      const found = this.#said.find(isIt);
      if (found) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`ended without saying so: ${JSON.stringify(this.#said)}`);
      }
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
