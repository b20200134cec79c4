import { fail } from '#ledger/errors.ts';
import type { PolicyProgram, PolicyTexts } from '#ledger/ports.ts';
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs';
import { assertAffordable, measuredSchema } from './cedar-bounds.ts';
import type { SchemaSize } from './cedar-bounds.ts';
import { footprintOf } from './cedar-footprint.ts';
import type { Footprint, SchemaJson } from './cedar-footprint.ts';
import type { CedarModule } from './cedar-module.ts';
import { Program } from './cedar-program.ts';
import { assertExtends, groupsOf } from './cedar-schema.ts';
import { assertShallow, assertShallowSchema } from './cedar-text.ts';

/** Schemas that stay parsed: the base, the present one, and one that is tried. */
const SCHEMAS_MAX = 3;
/** Policies that stay parsed, for each schema: some sets, most of whose policies are the same. */
const POLICIES_MAX = 1024;

/** A schema with the policies that were found to fit it. Policies are validated one by one. */
interface Known {
  readonly json: SchemaJson;
  readonly size: SchemaSize;
  readonly groups: ReadonlyMap<string, ReadonlySet<string>>;
  readonly policies: Map<string, Checked>;
}

export interface Checked extends Footprint {
  readonly warnings: readonly string[];
}

/** Makes programs of texts; what was parsed and validated is known. */
export class Compiler {
  readonly #cedar: CedarModule;
  readonly #schemas = new Map<string, Known>();
  readonly #prints = new Map<string, Footprint>();

  constructor(cedar: CedarModule) {
    this.#cedar = cedar;
  }

  compile({ policies, base, schema }: PolicyTexts): PolicyProgram {
    const known = this.#known(schema);
    assertExtends(this.#known(base).json, known.json);
    const at = (id: string, text: string) => known.policies.get(keyOf(id, text));
    const unknown = new Map([...policies].filter(([id, text]) => !at(id, text)));
    const prints = [...unknown].map(([id, text]) => this.#parsed(id, text));
    assertAffordable(
      [...prints, ...[...policies].flatMap(([id, text]) => at(id, text) ?? [])],
      known.size,
      known.groups,
    );
    const made = unknown.size > 0 ? checkAll(this.#cedar, known.json, prints) : [];
    const fresh = new Map(made.map((one) => [one.id, one]));
    const checked = [...policies].map(
      ([id, text]) => fresh.get(id) ?? (at(id, text) as Checked),
    );
    if (known.policies.size + made.length > POLICIES_MAX) known.policies.clear();
    for (const one of made) known.policies.set(keyOf(one.id, unknown.get(one.id) ?? ''), one);
    return new Program(this.#cedar, checked, known.groups);
  }

  #parsed(id: string, text: string): Footprint {
    const key = keyOf(id, text);
    const found = this.#prints.get(key);
    if (found) return found;
    const made = parsed(this.#cedar, id, text);
    if (this.#prints.size >= POLICIES_MAX) this.#prints.clear();
    this.#prints.set(key, made);
    return made;
  }

  #known(schema: string): Known {
    const found = this.#schemas.get(schema);
    if (found) return found;
    const json = parsedSchema(this.#cedar, schema);
    const size = measuredSchema(json);
    const made = { json, size, groups: groupsOf(json), policies: new Map<string, Checked>() };
    if (this.#schemas.size >= SCHEMAS_MAX) {
      const [oldest = ''] = this.#schemas.keys();
      this.#schemas.delete(oldest);
    }
    this.#schemas.set(schema, made);
    return made;
  }
}

function keyOf(id: string, text: string): string {
  return `${id} ${text}`;
}

/** Validates policies, all at once: that takes the schema anew. */
function checkAll(
  cedar: CedarModule,
  json: SchemaJson,
  prints: readonly Footprint[],
): Checked[] {
  // as it was parsed: taking it costs a third of its text
  const schema = json as unknown as Cedar.Schema;
  const staticPolicies = Object.fromEntries(prints.map(({ id, text }) => [id, text]));
  const found = cedar.use((api) => api.validate({ schema, policies: { staticPolicies } }));
  if (found.type === 'failure') {
    fail('policy_invalid', `The policies do not parse: ${textOf(found.errors)}`, { policy: '' });
  }
  const [wrong] = found.validationErrors.toSorted((a, b) => (a.policyId < b.policyId ? -1 : 1));
  if (wrong) {
    const message = `A policy contradicts the schema: ${wrong.error.message}`;
    fail('policy_contradicts_schema', message, { policy: wrong.policyId });
  }
  return prints.map((print) => ({
    ...print,
    warnings: found.validationWarnings
      .filter(({ policyId }) => policyId === print.id)
      .map(({ error }) => error.message),
  }));
}

function parsed(cedar: CedarModule, id: string, text: string): Footprint {
  assertShallow(id, text);
  const answer = cedar.use((api) => api.policyToJson(text));
  if (answer.type === 'success') return footprintOf(id, text, answer.json);
  const message = `The policy ${id} does not parse: ${textOf(answer.errors)}`;
  return fail('policy_invalid', message, { policy: id });
}

function parsedSchema(cedar: CedarModule, schema: string): SchemaJson {
  assertShallowSchema(schema);
  const answer = cedar.use((api) => api.schemaToJsonWithResolvedTypes(schema));
  if (answer.type === 'failure') {
    const message = `The schema does not parse: ${textOf(answer.errors)}`;
    fail('policy_schema_invalid', message);
  }
  return answer.json as unknown as SchemaJson;
}

/** The first fault with its place, for people. */
function textOf([first]: readonly Cedar.DetailedError[]): string {
  const [at] = first?.sourceLocations ?? [];
  const place = at ? ` at character ${at.start}` : '';
  const expected = at?.label ? `, ${at.label}` : '';
  return `${first?.message ?? 'unknown'}${place}${expected}`;
}
