import { createRequire } from 'node:module';
import { X0tError } from '#ledger/errors.ts';
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs';

export const load = createRequire(import.meta.url);

/** The module; one that broke down inside is loaded anew, since its memory is no longer sound. */
export class CedarModule {
  readonly #file: string;
  #api: typeof Cedar;

  constructor(file: string) {
    this.#file = file;
    this.#api = load(file) as typeof Cedar;
  }

  /** What `ask` gives; throws `engine_failed` where the engine broke down over it. */
  use<T>(ask: (api: typeof Cedar) => T): T {
    try {
      return ask(this.#api);
    } catch (cause) {
      Reflect.deleteProperty(load.cache, this.#file);
      this.#api = load(this.#file) as typeof Cedar;
      const message = 'The policy engine broke down over this question.';
      throw new X0tError('engine_failed', message, {}, { cause });
    }
  }
}
