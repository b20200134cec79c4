import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '#ledger/errors.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { withToken } from './client-auth.ts';
import { Client } from './client.ts';
import { Subprocess } from './subprocess.ts';
import type { ProcessExit } from './subprocess.ts';

export interface NodeProcessOptions {
  /** Base URL of the API, as the data directory's configuration gives it. */
  readonly url: string;
  readonly args?: readonly string[];
}

const MAIN = join(import.meta.dirname, 'cli', 'main.ts');
const LOG_FILE = 'node.log';
const POLL_MS = 50;

/**
 * A node in a process of its own, by `x0t start`. Its output is appended to `node.log` in the data
 * directory.
 */
export class NodeProcess extends Subprocess {
  readonly directory: string;
  /** Its requests end when the process is asked to stop. */
  readonly client: Client;
  readonly #asked = new AbortController();

  constructor(directory: string, { url, args = [] }: NodeProcessOptions) {
    const output = openSync(join(directory, LOG_FILE), 'a', 0o600);
    super(MAIN, ['start', '--data', directory, '--json', ...args], { output });
    closeSync(output);
    this.directory = directory;
    const auth = withToken(tokenFile(directory, 'operator'));
    this.client = new Client(url, { signal: this.#asked.signal, auth });
  }

  get logFile(): string {
    return join(this.directory, LOG_FILE);
  }

  /** Resolves when `/readyz` says so; throws `node_ended` or `node_not_ready`. */
  async ready(timeout_ms: number): Promise<void> {
    const end_ms = performance.now() + timeout_ms;
    while (!(await this.#isReady())) {
      const data = { directory: this.directory, log: this.logFile };
      if (this.exit) {
        fail('node_ended', 'The node ended while it started: see its log.', {
          ...data,
          reason: this.exit.reason,
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

  /** Ends the requests of `client` too. */
  override stop(timeout_ms?: number): Promise<ProcessExit> {
    this.#asked.abort();
    return super.stop(timeout_ms);
  }

  /** Ends the requests of `client` too. */
  override kill(): Promise<ProcessExit> {
    this.#asked.abort();
    return super.kill();
  }
}
