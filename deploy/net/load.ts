/** Writes that go on while something happens; what was acknowledged is remembered. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from './api.ts';

/**
 * Between two writes to one node, ms: a steady trickle that a busy machine can carry, and an audit
 * from the genesis on can follow.
 */
const PAUSE_MS = 150;

export class Load {
  readonly prefix: string;
  /** What nodes have said they keep: value by key. */
  readonly acknowledged = new Map<string, string>();
  #isStopped = false;
  #writers: Promise<void>[] = [];

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  /** Writes to every one of the nodes until `stop`. A node that does not answer is tried again. */
  start(nodes: ReadonlyMap<string, Api>): void {
    this.#writers = [...nodes].map(([name, api]) => this.#write(name, api));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#writers);
  }

  async #write(name: string, api: Api): Promise<void> {
    for (let i = 0; !this.#isStopped; i++) {
      const key = `${this.prefix}/${name}/${String(i).padStart(5, '0')}`;
      const value = `${name} ${i}`;
      try {
        await api.put(key, value);
        this.acknowledged.set(key, value);
      } catch {
        // not acknowledged: nothing is owed
      }
      await sleep(PAUSE_MS);
    }
  }
}
