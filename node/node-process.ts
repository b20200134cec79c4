import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '#ledger/errors.ts';
import { Client } from './client.ts';
import { FRUGAL } from './frugal.ts';

/** How a node's process ended. */
export interface NodeExit {
  /** Exit code, or the name of the signal that ended it. */
  readonly reason: number | NodeJS.Signals;
  /** Whether `stop` or `kill` asked for it. */
  readonly wasAsked: boolean;
}

export interface NodeProcessOptions {
  /** Base URL of the API, as the data directory's configuration gives it. */
  readonly url: string;
  readonly args?: readonly string[];
}

const MAIN = join(import.meta.dirname, 'cli', 'main.ts');
const STOP_MS = 10_000;
const POLL_MS = 50;

/**
 * A node in a process of its own, by `x0t start`. Its output is appended to `node.log` in the data
 * directory. It is in a process group of its own, so that Ctrl-C reaches only the parent, and ends
 * by itself when the parent does.
 */
export class NodeProcess {
  readonly directory: string;
  /** Its requests end when the process is asked to stop. */
  readonly client: Client;
  /** Resolves when the process has ended. */
  readonly exited: Promise<NodeExit>;
  readonly #child: ChildProcess;
  #exit: NodeExit | undefined;
  readonly #asked = new AbortController();

  constructor(directory: string, { url, args = [] }: NodeProcessOptions) {
    this.directory = directory;
    this.client = new Client(url, { signal: this.#asked.signal });
    const log = openSync(this.logFile, 'a', 0o600);
    const command = [...FRUGAL.flags, MAIN, 'start', '--data', directory, '--json', ...args];
    this.#child = spawn(process.execPath, command, {
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
      env: { ...process.env, ...FRUGAL.env },
    });
    closeSync(log);
    this.exited = new Promise((resolve) => {
      const end = (reason: number | NodeJS.Signals): void => {
        this.#exit ??= { reason, wasAsked: this.#asked.signal.aborted };
        resolve(this.#exit);
      };
      this.#child.once('exit', (code, signal) => end(code ?? signal ?? 0));
      this.#child.once('error', () => end(127));
    });
  }

  get logFile(): string {
    return join(this.directory, 'node.log');
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How it ended; `undefined` while it runs. */
  get exit(): NodeExit | undefined {
    return this.#exit;
  }

  /** Resolves when `/readyz` says so; throws `node_ended` or `node_not_ready`. */
  async ready(timeout_ms: number): Promise<void> {
    const end_ms = performance.now() + timeout_ms;
    while (!(await this.#isReady())) {
      const data = { directory: this.directory, log: this.logFile };
      if (this.#exit) {
        fail('node_ended', 'The node ended while it started: see its log.', {
          ...data,
          reason: this.#exit.reason,
        });
      }
      if (performance.now() > end_ms) {
        fail('node_not_ready', 'The node is not ready in time: see its log.', {
          ...data,
          timeout_ms,
        });
      }
      await sleep(POLL_MS);
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.client.ready()).ready;
    } catch {
      return false;
    }
  }

  /**
   * Ends the requests of `client`, asks the process to stop, waits, and ends it by force when it
   * does not.
   */
  async stop(timeout_ms = STOP_MS): Promise<NodeExit> {
    this.#asked.abort();
    if (!this.#exit) this.#child.kill('SIGTERM');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), timeout_ms);
    try {
      return await this.exited;
    } finally {
      clearTimeout(force);
    }
  }

  /** Ends it at once, as a power cut would. */
  async kill(): Promise<NodeExit> {
    this.#asked.abort();
    this.#child.kill('SIGKILL');
    return this.exited;
  }
}
