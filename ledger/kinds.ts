import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Validator } from 'typebox/compile';
import { fail } from './errors.ts';
import type { Body } from './event.ts';

/** An event kind: one schema of the body, shared by codec, HTTP API and documents. */
export interface KindSpec {
  /** `name.verb/version`. */
  readonly kind: string;
  /** One sentence for the documents. */
  readonly about: string;
  /** TypeBox schema of the body; no additional properties. */
  readonly body: TSchema;
}

/** The kinds that are active, with compiled schemas. */
export class Kinds {
  readonly #validators = new Map<string, Validator>();
  readonly specs: readonly KindSpec[];

  constructor(specs: readonly KindSpec[]) {
    this.specs = specs;
    for (const { kind, body } of specs) {
      if (this.#validators.has(kind)) {
        fail('kind_twice', 'Two projections define one kind.', { kind });
      }
      this.#validators.set(kind, Compile(body));
    }
  }

  /** `undefined` where the body fits; else the code of what is wrong. */
  check(kind: string, body: Body): 'unknown_kind' | 'bad_body' | undefined {
    const validator = this.#validators.get(kind);
    if (!validator) return 'unknown_kind';
    return validator.Check(body) ? undefined : 'bad_body';
  }

  /** Where a body does not fit its schema, for people. */
  explain(kind: string, body: Body): string {
    const [first] = this.#validators.get(kind)?.Errors(body) ?? [];
    return first ? `${first.instancePath || '/'} ${first.message}` : 'fits';
  }
}
