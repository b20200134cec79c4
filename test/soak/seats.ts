import { setTimeout as sleep } from 'node:timers/promises';
import { DrivenNode } from '#test/support/processes.ts';

/** A process that ends while it starts is started again so often, as a supervisor would. */
const STARTS_MAX = 20;
const START_AGAIN_MS = 500;

/**
 * One validator of the soak: a data directory, and the process in it while it runs. What is done to
 * it is done one after the other.
 */
export class Seat {
  readonly index: number;
  readonly directory: string;
  /** Base URL of the API and peer id, once it was up. */
  url = '';
  peer = '';
  /** Ends that nobody asked for, with their exit code: each is a fault of the node. */
  readonly ownEnds: (number | string)[] = [];
  /** Starts that failed, for instance since a connection had taken the port. */
  failedStarts = 0;
  #node: DrivenNode | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #blocked: readonly string[] = [];

  constructor(index: number, directory: string) {
    this.index = index;
    this.directory = directory;
  }

  /** The process, while it is up. */
  get node(): DrivenNode | undefined {
    return this.#node;
  }

  #queued<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Starts it if it is down. Throws after `STARTS_MAX` failures. */
  start(): Promise<void> {
    return this.#queued(async () => {
      for (let tries = 1; !this.#node; tries++) {
        try {
          this.#adopt(await DrivenNode.start(this.directory));
        } catch (error) {
          this.failedStarts += 1;
          if (tries >= STARTS_MAX) throw error;
          await sleep(START_AGAIN_MS);
        }
      }
      await this.#tellBlocked();
    });
  }

  #adopt(node: DrivenNode): void {
    this.#node = node;
    this.url = node.url;
    this.peer = node.peer;
    void this.#watch(node);
  }

  async #watch(node: DrivenNode): Promise<void> {
    const { reason } = await node.exited;
    if (this.#node !== node) return;
    this.#node = undefined;
    this.ownEnds.push(reason);
  }

  /** Starts it with a `kill -9` set for then; resolves when it is gone. False while it is up. */
  startAndKill(lifetime_ms: number): Promise<boolean> {
    return this.#queued(async () => {
      if (this.#node) return false;
      const node = await DrivenNode.start(this.directory, {}, lifetime_ms).catch(() => undefined);
      await node?.exited;
      return true;
    });
  }

  /** `kill -9`; false when it was down. */
  kill(): Promise<boolean> {
    return this.#leave((node) => node.kill());
  }

  /** Stops it cleanly; false when it was down. */
  stop(): Promise<boolean> {
    return this.#leave((node) => node.stop());
  }

  #leave(how: (node: DrivenNode) => Promise<unknown>): Promise<boolean> {
    return this.#queued(async () => {
      const node = this.#node;
      if (!node) return false;
      this.#node = undefined;
      await how(node);
      return true;
    });
  }

  /** Closes its connections to these peers and refuses new ones, also after a restart. */
  block(peers: readonly string[]): Promise<void> {
    this.#blocked = peers;
    return this.#queued(() => this.#tellBlocked());
  }

  async #tellBlocked(): Promise<void> {
    const peers = this.#blocked;
    // one that is going down is told at its next start
    await this.#node?.ask({ type: 'block', peers }).catch(() => undefined);
  }
}
