import type {
  PolicyDecision, PolicyProgram, PolicyRequest, PolicySubject,
} from '#ledger/ports.ts';
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs';
import type { Checked } from './cedar-compiler.ts';
import type { Footprint } from './cedar-footprint.ts';
import type { CedarModule } from './cedar-module.ts';
import { regardless } from './cedar-regardless.ts';

/** Answers that are kept for one policy set; then they are asked for again. */
const ANSWERS_MAX = 4096;
/** The policies that may matter to one principal and action, and what was answered so far. */
interface Narrowed {
  readonly prints: readonly Footprint[];
  /** Whether the principal, or the resource, says which of them fit. */
  readonly isByPrincipal: boolean;
  readonly isByResource: boolean;
}

/** A set of validated policies: finds those that matter to a question, and has Cedar decide. */
export class Program implements PolicyProgram {
  readonly warnings: readonly string[];
  readonly #cedar: CedarModule;
  readonly #prints: readonly Checked[];
  /** The groups that an action is in, itself included. */
  readonly #groups: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #byAction = new Map<string, Narrowed>();
  readonly #byPrincipal = new WeakMap<PolicySubject, Map<string, Narrowed>>();
  readonly #answers = new Map<string, PolicyDecision>();

  constructor(
    cedar: CedarModule,
    prints: readonly Checked[],
    groups: ReadonlyMap<string, ReadonlySet<string>>,
  ) {
    this.#cedar = cedar;
    this.#prints = prints;
    this.#groups = groups;
    this.warnings = prints.flatMap(({ warnings }) => warnings);
  }

  mentioned(type: string): readonly string[] {
    const ids = this.#prints.flatMap(({ mentions }) => mentions.get(type) ?? []);
    return [...new Set(ids)].toSorted();
  }

  partsFor(action: string): number {
    return this.#ofAction(action).prints.reduce((sum, { parts }) => sum + parts, 0);
  }

  regardlessOf(attribute: string): PolicyProgram {
    const prints = this.#prints.flatMap((one) => regardless(this.#cedar, one, attribute));
    return new Program(this.#cedar, prints, this.#groups);
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
    if (!ofAction.isByPrincipal) return ofAction;
    const subject = principal();
    let known = this.#byPrincipal.get(subject);
    if (!known) this.#byPrincipal.set(subject, (known = new Map<string, Narrowed>()));
    let narrowed = known.get(action);
    if (!narrowed) {
      narrowed = narrow(ofAction.prints.filter((one) => one.principal.fits(subject)));
      known.set(action, narrowed);
    }
    return narrowed;
  }

  #ofAction(action: string): Narrowed {
    const known = this.#byAction.get(action);
    if (known) return known;
    const groups = this.#groups.get(action);
    // the schema knows no other action: policies that name none must not permit what has no rule
    if (!groups) return NONE;
    const found = narrow(this.#prints.filter((one) => one.fitsAction(action, groups)));
    this.#byAction.set(action, found);
    return found;
  }

  #ask(request: PolicyRequest, fitting: readonly Footprint[]): PolicyDecision {
    const { action, principal, resource, context } = request;
    const parents = [...(this.#groups.get(action) ?? [])].filter((group) => group !== action);
    const set = this.#cedar.setOf(fitting.map(({ index }) => index).join(), () =>
      Object.fromEntries(fitting.map(({ id, text }) => [id, text])),
    );
    const answer = this.#cedar.use((api) =>
      api.statefulIsAuthorized({
        principal: uidOf(principal()),
        action: { type: 'Action', id: action },
        resource: uidOf(resource()),
        context: context() as Cedar.Context,
        preparsedPolicySetId: set,
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
  }
}

const NOTHING_PERMITS: PolicyDecision = { isAllowed: false, reasons: [], errors: [] };
/**
 * The engine took the question for none, as it does on every node: nobody is allowed what nobody
 * decided. Where it breaks down, which depends on the machine, `engine_failed` ends the node.
 */
const BROKEN: PolicyDecision = { isAllowed: false, reasons: [], errors: ['engine'] };

function narrow(prints: readonly Footprint[]): Narrowed {
  return {
    prints,
    isByPrincipal: prints.some(({ principal }) => !principal.isAny),
    isByResource: prints.some(({ resource }) => !resource.isAny),
  };
}

const NONE: Narrowed = { prints: [], isByPrincipal: false, isByResource: false };

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
