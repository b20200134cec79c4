import { createRequire } from 'node:module';
import { X0tError } from '#ledger/errors.ts';
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs';

export const load = createRequire(import.meta.url);

/** Sets that stay parsed inside the module, which itself forgets none: their names are reused. */
const SETS_MAX = 256;

/** The module; one that broke down inside is loaded anew, since its memory is no longer sound. */
export class CedarModule {
  readonly #file: string;
  #api: typeof Cedar;
  /** Names of parsed sets by what is in them, the one that is used last goes last. */
  readonly #sets = new Map<string, string>();

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
      this.#sets.clear();
      const message = 'The policy engine broke down over this question.';
      throw new X0tError('engine_failed', message, {}, { cause });
    }
  }

  /**
   * The name of a parsed set, for `statefulIsAuthorized`: that costs a third of asking with texts.
   * `key` stands for its policies. Throws `engine_failed` where they do not parse.
   */
  setOf(key: string, policies: () => Record<string, string>): string {
    const known = this.#sets.get(key);
    if (known !== undefined) {
      this.#sets.delete(key);
      this.#sets.set(key, known);
      return known;
    }
    const name = this.#freeName();
    const staticPolicies = policies();
    const { type } = this.use((api) => api.preparsePolicySet(name, { staticPolicies }));
    if (type === 'failure') {
      this.#sets.clear();
      throw new X0tError('engine_failed', 'A parsed policy did not parse.');
    }
    this.#sets.set(key, name);
    return name;
  }

  #freeName(): string {
    if (this.#sets.size < SETS_MAX) return `set-${this.#sets.size}`;
    const [[key, name] = ['', '']] = this.#sets;
    this.#sets.delete(key);
    return name;
  }
}
