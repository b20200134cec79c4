import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { FRUGAL } from './frugal.ts';

/** How a process ended. */
export interface ProcessExit {
  /** Exit code, or the name of the signal that ended it. */
  readonly reason: number | NodeJS.Signals;
  /** Whether `stop` or `kill` asked for it. */
  readonly wasAsked: boolean;
}

export interface SubprocessOptions {
  /** An open file that takes its output; without one it goes where the parent's does. */
  readonly output?: number;
  /** It gets a `kill -9` that long after its start. */
  readonly lifetime_ms?: number;
}

/** What a shell says of a program that it cannot start. */
const NOT_STARTED = 127;
const STOP_MS = 10_000;

/**
 * A program of this project in a process of its own, frugal with memory. It is in a process group
 * of its own, so that Ctrl-C reaches only the parent, and has an IPC channel, whose end tells it
 * that the parent has ended.
 */
export class Subprocess {
  /** Resolves when the process has ended. */
  readonly exited: Promise<ProcessExit>;
  protected readonly child: ChildProcess;
  #wasAsked = false;
  #exit: ProcessExit | undefined;

  constructor(file: string, args: readonly string[], options: SubprocessOptions = {}) {
    const { output = 'inherit', lifetime_ms } = options;
    this.child = spawn(process.execPath, [...FRUGAL.flags, file, ...args], {
      stdio: ['ignore', output, output, 'ipc'],
      detached: true,
      env: { ...process.env, ...FRUGAL.env },
      ...(lifetime_ms !== undefined && { timeout: lifetime_ms, killSignal: 'SIGKILL' }),
    });
    this.exited = new Promise((resolve) => {
      const end = (reason: number | NodeJS.Signals): void => {
        this.#exit ??= { reason, wasAsked: this.#wasAsked };
        resolve(this.#exit);
      };
      this.child.once('exit', (code, signal) => end(code ?? signal ?? 0));
      this.child.once('error', () => end(NOT_STARTED));
    });
  }

  /** How it ended; `undefined` while it runs. */
  get exit(): ProcessExit | undefined {
    return this.#exit;
  }

  /** Sends it a signal; nothing happens when it has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.#exit) this.child.kill(signal);
  }

  /** Asks the process to stop, waits, and ends it by force when it does not. */
  async stop(timeout_ms = STOP_MS): Promise<ProcessExit> {
    this.#wasAsked = true;
    this.signal('SIGTERM');
    const force = setTimeout(() => this.signal('SIGKILL'), timeout_ms);
    try {
      return await this.exited;
    } finally {
      clearTimeout(force);
    }
  }

  /** Ends it at once, as a power cut would. */
  async kill(): Promise<ProcessExit> {
    this.#wasAsked = true;
    this.signal('SIGKILL');
    return this.exited;
  }
}
