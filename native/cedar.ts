import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { hash } from 'node:crypto';
import { X0tError, fail } from '#ledger/errors.ts';
import type {
  PolicyDecision, PolicyEngine, PolicyProgram, PolicyRequest, PolicySubject, PolicyTexts,
} from '#ledger/ports.ts';
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs';
import { footprintOf } from './cedar-footprint.ts';
import type { Footprint, PolicyJson, SchemaJson } from './cedar-footprint.ts';
import { assertExtends, groupsOf } from './cedar-schema.ts';
import { assertShallow, assertShallowSchema } from './cedar-text.ts';

const MODULE = '@cedar-policy/cedar-wasm/nodejs';
const WASM = 'cedar_wasm_bg.wasm';
const load = createRequire(import.meta.url);

/**
 * Cedar behind the port. Its decisions take a third of a millisecond and more with hundreds of
 * policies, so each question is put to it only with the policies whose scope fits, and the answer is
 * kept for all questions that cannot have another one (`cedar-footprint.ts`).
 */
export function loadCedar(): PolicyEngine {
  const file = load.resolve(MODULE);
  const code = readFileSync(new URL(WASM, `file://${file}`));
  const cedar = new Loaded(file);
  const digest = hash('sha256', code).slice(0, 16);
  const version = `cedar/${cedar.use((api) => api.getCedarVersion())}/${digest}`;
  return { version, compile: (texts) => compile(cedar, texts) };
}

/** The module; one that broke down inside is loaded anew, since its memory is no longer sound. */
class Loaded {
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

/** Answers that are kept for one policy set; then they are asked for again. */
const ANSWERS_MAX = 8192;

function compile(cedar: Loaded, { policies, base, schema }: PolicyTexts): PolicyProgram {
  assertExtends(parsedSchema(cedar, base), parsedSchema(cedar, schema));
  const prints = [...policies].map(([id, text]) => parsed(cedar, id, text));
  const found = cedar.use((api) =>
    api.validate({ schema, policies: { staticPolicies: Object.fromEntries(policies) } }),
  );
  if (found.type === 'failure') {
    fail('policy_invalid', `The policies do not parse: ${textOf(found.errors)}`, { policy: '' });
  }
  const [wrong] = found.validationErrors;
  if (wrong) {
    const message = `A policy contradicts the schema: ${wrong.error.message}`;
    fail('policy_contradicts_schema', message, { policy: wrong.policyId });
  }
  const warnings = found.validationWarnings.map(({ error }) => error.message);
  return new Program(cedar, prints, groupsOf(parsedSchema(cedar, schema)), warnings);
}

function parsed(cedar: Loaded, id: string, text: string): Footprint {
  assertShallow(id, text);
  const answer = cedar.use((api) => api.policyToJson(text));
  if (answer.type === 'failure') {
    const message = `The policy ${id} does not parse: ${textOf(answer.errors)}`;
    fail('policy_invalid', message, { policy: id });
  }
  return footprintOf(id, text, answer.json as unknown as PolicyJson);
}

function parsedSchema(cedar: Loaded, schema: string): SchemaJson {
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

/** The policies that may matter to one principal and action, and what was answered so far. */
interface Narrowed {
  readonly prints: readonly Footprint[];
  /** Whether the resource says which of them fit. */
  readonly isByResource: boolean;
}

class Program implements PolicyProgram {
  readonly warnings: readonly string[];
  readonly #cedar: Loaded;
  readonly #prints: readonly Footprint[];
  /** The groups that an action is in, itself included. */
  readonly #groups: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #byAction = new Map<string, readonly Footprint[]>();
  readonly #byPrincipal = new WeakMap<PolicySubject, Map<string, Narrowed>>();
  readonly #answers = new Map<string, PolicyDecision>();

  constructor(
    cedar: Loaded,
    prints: readonly Footprint[],
    groups: ReadonlyMap<string, ReadonlySet<string>>,
    warnings: readonly string[],
  ) {
    this.#cedar = cedar;
    this.#prints = prints;
    this.#groups = groups;
    this.warnings = warnings;
  }

  mentioned(type: string): readonly string[] {
    const ids = this.#prints.flatMap(({ mentions }) => mentions.get(type) ?? []);
    return [...new Set(ids)].toSorted();
  }

  decide(request: PolicyRequest): PolicyDecision {
    const { prints, isByResource } = this.#narrowed(request);
    const fitting = isByResource
      ? prints.filter(({ resource }) => resource.fits(request.resource()))
      : prints;
    if (fitting.length === 0) return NOTHING_PERMITS;
    const key = keyOf(request, fitting);
    const known = this.#answers.get(key);
    if (known) return known;
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    const answer = this.#ask(request, fitting);
    this.#answers.set(key, answer);
    return answer;
  }

  #narrowed({ action, principal }: PolicyRequest): Narrowed {
    const ofAction = this.#ofAction(action);
    if (ofAction.every((one) => one.principal.isAny)) return narrow(ofAction);
    const subject = principal();
    let known = this.#byPrincipal.get(subject);
    if (!known) this.#byPrincipal.set(subject, (known = new Map<string, Narrowed>()));
    let narrowed = known.get(action);
    if (!narrowed) {
      narrowed = narrow(ofAction.filter((one) => one.principal.fits(subject)));
      known.set(action, narrowed);
    }
    return narrowed;
  }

  #ofAction(action: string): readonly Footprint[] {
    const known = this.#byAction.get(action);
    if (known) return known;
    const groups = this.#groups.get(action);
    // the schema knows no other action: policies that name none must not permit what has no rule
    const prints = groups ? this.#prints.filter((one) => one.fitsAction(action, groups)) : [];
    if (groups) this.#byAction.set(action, prints);
    return prints;
  }

  #ask(request: PolicyRequest, fitting: readonly Footprint[]): PolicyDecision {
    const { action, principal, resource, context } = request;
    const parents = [...(this.#groups.get(action) ?? [])].filter((group) => group !== action);
    try {
      const answer = this.#cedar.use((api) =>
        api.isAuthorized({
          principal: uidOf(principal()),
          action: { type: 'Action', id: action },
          resource: uidOf(resource()),
          context: context() as Cedar.Context,
          policies: { staticPolicies: Object.fromEntries(fitting.map(({ id, text }) => [id, text])) },
          entities: [
            ...entitiesOf(principal(), resource()),
            {
              uid: { type: 'Action', id: action },
              attrs: {},
              parents: parents.map((id) => ({ type: 'Action', id })),
            },
          ],
        }),
      );
      if (answer.type === 'failure') return BROKEN;
      const { decision, diagnostics } = answer.response;
      return {
        isAllowed: decision === 'allow',
        reasons: diagnostics.reason.toSorted(),
        errors: diagnostics.errors.map(({ policyId }) => policyId).toSorted(),
      };
    } catch (error) {
      if (error instanceof X0tError) return BROKEN;
      throw error;
    }
  }
}

const NOTHING_PERMITS: PolicyDecision = { isAllowed: false, reasons: [], errors: [] };
/** The engine did not answer: nobody is allowed what nobody decided. */
const BROKEN: PolicyDecision = { isAllowed: false, reasons: [], errors: ['engine'] };

function narrow(prints: readonly Footprint[]): Narrowed {
  return { prints, isByResource: prints.some(({ resource }) => !resource.isAny) };
}

function uidOf({ type, id }: PolicySubject): Cedar.TypeAndId {
  return { type, id };
}

function entitiesOf(...subjects: readonly PolicySubject[]): Cedar.EntityJson[] {
  const found = new Map(subjects.map((one) => [JSON.stringify([one.type, one.id]), one]));
  return [...found.values()].map((one) => ({
    uid: uidOf(one),
    attrs: one.attrs as Record<string, Cedar.CedarValueJson>,
    parents: [...one.parents],
  }));
}

/**
 * Questions with one key have one answer: the same policies fit in scope, and all that their
 * conditions look at is equal.
 */
function keyOf(request: PolicyRequest, fitting: readonly Footprint[]): string {
  let key = '';
  let hasConditions = false;
  for (const { index, looksAt } of fitting) {
    key += `${index},`;
    hasConditions ||= looksAt !== undefined;
  }
  if (!hasConditions) return key;
  const looks = fitting.flatMap(({ looksAt }) => looksAt ?? []);
  const values: unknown[] = [request.action];
  if (looks.some(({ principal }) => principal)) values.push(request.principal());
  if (looks.some(({ resource }) => resource)) values.push(request.resource());
  const isAll = looks.some(({ context }) => context === 'all');
  const names = looks.flatMap(({ context }) => (context === 'all' ? [] : [...context]));
  if (isAll || names.length > 0) {
    const context = request.context();
    const wanted = isAll ? Object.keys(context) : [...new Set(names)];
    values.push(wanted.toSorted().map((name) => [name, context[name] ?? null]));
  }
  return `${key}${JSON.stringify(values)}`;
}
