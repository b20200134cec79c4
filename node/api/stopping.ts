import { setMaxListeners } from 'node:events';
import { X0tError } from '#ledger/errors.ts';

/** Lets requests that wait for finality end when the API closes: closing would wait for them. */
export class Stopping {
  readonly #controller = new AbortController();

  constructor() {
    // one listener for each waiting request
    setMaxListeners(0, this.#controller.signal);
  }

  get isStopped(): boolean {
    return this.#controller.signal.aborted;
  }

  stop(): void {
    this.#controller.abort();
  }

  /** What `promise` resolves to; rejects with `stopping` when the API closes first. */
  until<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this.#controller;
    return new Promise((resolve, reject) => {
      const stop = () => {
        reject(new X0tError('stopping', 'The node is stopping: ask another one for the event.'));
      };
      signal.addEventListener('abort', stop, { once: true });
      const settled = promise.finally(() => signal.removeEventListener('abort', stop));
      settled.then(resolve, reject);
      if (signal.aborted) stop();
    });
  }
}
