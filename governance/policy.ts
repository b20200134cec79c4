import { encode } from '#ledger/codec.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Event } from '#ledger/event.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { bytesOf, idOf } from '#ledger/ids.ts';
import type {
  PolicyDecision, PolicyEngine, PolicyEntity, PolicyProgram, PolicyRequest, PolicySubject,
} from '#ledger/ports.ts';
import type {
  OrderedEvent, Permission, PolicyCall, Projection, Rows, StandingOf,
} from '#ledger/projection.ts';
import { VERDICTS } from '#ledger/verdicts.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import { DEFAULT_POLICIES, POLICY_KINDS, baseSchema, resourceTypeOf } from './policy-base.ts';
import { draftOf } from './policy-change.ts';
import { assertSafe } from './policy-guard.ts';
import {
  PolicyAssign, PolicyDelete, PolicyPut, PolicyRollback, PolicySchema,
} from './policy-kinds.ts';
import {
  append, begin, headRow, readFounders, readHead, readRoles, readText, readVersion,
} from './policy-state.ts';
import type { Roles, Version } from './policy-state.ts';
import {
  Prefixes, Principals, principalNamed, resourceOf, resourcesOf,
} from './policy-subjects.ts';

type Reading = Pick<Rows, 'get'>;

/** What a genesis lists of it. */
export const POLICY: Pick<Projection, 'name' | 'version' | 'kinds'> = {
  name: 'policy',
  version: 3,
  kinds: [
    {
      kind: 'policy.assign/1',
      about: 'The roles that a principal has from now on, besides those of its membership.',
      body: PolicyAssign,
    },
    { kind: 'policy.delete/1', about: 'Removes a policy.', body: PolicyDelete },
    { kind: 'policy.put/1', about: 'Adds a policy or replaces it.', body: PolicyPut },
    {
      kind: 'policy.rollback/1',
      about: 'Policies, schema and roles become those of an earlier version.',
      body: PolicyRollback,
    },
    { kind: 'policy.schema/1', about: 'Replaces the schema of the policies.', body: PolicySchema },
  ],
};

/** Sets that stay parsed: the present one, drafts, and those of views that lag behind. */
const PROGRAMS_MAX = 8;
const NOBODY: StandingOf = () => undefined;

/** The present version, ready to decide. */
interface Present {
  readonly program: PolicyProgram;
  readonly principals: Principals;
  readonly prefixes: Prefixes;
  readonly roles: Roles;
}

/**
 * Policies as state. Who may do what is decided by policies that are rows of this projection, with
 * one function: at admission, when an event is applied, and for callers of the API. `kinds` are
 * those of the other projections: policies may speak of them, and of the own ones.
 */
export function policyProjection(
  engine: PolicyEngine,
  kinds: readonly string[],
): Policies {
  return new Policies(engine, kinds);
}

export class Policies implements Projection, Permission {
  readonly name = POLICY.name;
  readonly version = POLICY.version;
  readonly kinds = POLICY.kinds;
  readonly engine: string;
  readonly #engine: PolicyEngine;
  readonly #others: readonly string[];
  /** What the node says of itself, in Cedar's notation. */
  readonly baseSchema: string;
  readonly #programs = new Map<string, PolicyProgram>();
  #latest: Present | undefined;
  readonly #present = new WeakMap<Uint8Array, Present>();

  constructor(engine: PolicyEngine, kinds: readonly string[]) {
    this.engine = engine.version;
    this.#engine = engine;
    this.#others = kinds;
    this.baseSchema = baseSchema([...kinds, ...POLICY_KINDS]);
  }

  start({ operators, committee, created_ms }: Genesis, rows: Rows): void {
    const founders = new Set([...operators, ...committee.map(({ actor }) => actor)]);
    begin(rows, [...founders], DEFAULT_POLICIES, created_ms);
  }

  apply({ event, seq, ts_ms }: OrderedEvent, rows: Rows, standingOf = NOBODY): VerdictName {
    try {
      const draft = draftOf(event, seq, ts_ms, rows);
      this.#assertHolds(draft.version, event, ts_ms, rows, draft.texts, standingOf);
      append(rows, draft.version, draft.texts);
      return 'applied';
    } catch (error) {
      return verdictOf(error);
    }
  }

  assertFits(event: Event, ts_ms: number, rows: Reading, standingOf: StandingOf): void {
    if (!this.kinds.some(({ kind }) => kind === event.kind)) return;
    const { version, texts } = draftOf(event, 0, ts_ms, rows);
    this.#assertHolds(version, event, ts_ms, rows, texts, standingOf);
  }

  /** Parses and validates a version, and tries it on those who hold the network's keys. */
  #assertHolds(
    version: Version,
    { actor }: Event,
    ts_ms: number,
    rows: Reading,
    texts: ReadonlyMap<string, Uint8Array>,
    standingOf: StandingOf,
  ): void {
    const over: Reading = {
      get: (key) => (key.startsWith('text/') && texts.get(key.slice(5))) || rows.get(key),
    };
    const program = this.#programOf(version, over);
    const roles = readRoles(over, version.roles);
    const { policies } = version;
    // it follows from the texts, so none of them can hold it
    const parts = [...policies.values(), version.schema ?? '', version.roles ?? ''];
    const assigned = [...roles.keys()].filter((one) => principalNamed(one).type === 'Actor');
    assertSafe({
      program,
      principals: new Principals(roles),
      policyIds: [...policies.keys()],
      anybody: idOf(encode(parts)),
      candidates: [actor, ...readFounders(rows), ...assigned],
      kinds: this.#others,
      ts_ms,
      standingOf,
    });
  }

  permits(
    event: Pick<Event, 'actor' | 'onBehalfOf' | 'kind' | 'body'>,
    ts_ms: number,
    rows: Reading,
    standingOf: StandingOf,
  ): PolicyDecision {
    const present = this.#presentOf(rows);
    const { kind, onBehalfOf } = event;
    const context = (): PolicyContext => ({
      time_ms: ts_ms,
      ...(onBehalfOf !== undefined && { onBehalfOf }),
    });
    const speakers = onBehalfOf === undefined ? [event.actor] : [event.actor, onBehalfOf];
    // most policies look at no resource: then it is not made
    let resources: readonly PolicyEntity[] | undefined;
    const resourceAt = (index: number): PolicyEntity =>
      (resources ??= resourcesOf(event, rolesIn(present)))[index] as PolicyEntity;
    const count = isOfMany(kind) ? resourcesOf(event, rolesIn(present)).length : 1;
    let decision = ALLOWED;
    for (const name of speakers) {
      const speaker = principalNamed(name);
      // a node speaks for members and for workloads; who joins speaks for itself
      const isMember = speaker.type !== 'Actor' || standingOf(name) !== undefined;
      if (name === onBehalfOf && !isMember) return NOBODY_MAY;
      for (let i = 0; i < count; i++) {
        let resource: PolicySubject | undefined;
        decision = present.program.decide({
          action: kind,
          principal: () => present.principals.of(speaker, standingOf),
          resource: () => (resource ??= resourceOf(resourceAt(i), present.prefixes)),
          context,
        });
        if (!decision.isAllowed) return decision;
      }
    }
    return decision;
  }

  permitsCall(
    { principal, action, resource, context }: PolicyCall,
    ts_ms: number,
    rows: Reading,
    standingOf: StandingOf,
  ): PolicyDecision {
    // while a snapshot is put in place there are no rows: what held before goes on
    if (headRow(rows)) this.#latest = this.#presentOf(rows);
    if (!this.#latest) return NOBODY_MAY;
    const { program, principals, prefixes } = this.#latest;
    return program.decide({
      action,
      principal: () => principals.of(principal, standingOf),
      resource: () => resourceOf(resource, prefixes),
      context: () => ({ ...context, time_ms: ts_ms }),
    });
  }

  /** Policies of the present version, by the row that names it. */
  #presentOf(rows: Reading): Present {
    const head =
      headRow(rows) ?? fail('installing', 'A snapshot is being put in place: try again later.');
    const known = this.#present.get(head);
    if (known) return known;
    const version = readVersion(rows, readHead(rows).version) as Version;
    const program = this.#programOf(version, rows);
    const roles = readRoles(rows, version.roles);
    const present: Present = {
      program,
      principals: new Principals(roles),
      prefixes: new Prefixes(program.mentioned('KeyPrefix')),
      roles,
    };
    this.#present.set(head, present);
    return present;
  }

  #programOf({ policies, schema }: Version, rows: Reading): PolicyProgram {
    const parts = [...policies].map(([id, hash]) => [id, bytesOf(hash)]);
    const key = idOf(encode([parts, schema ? bytesOf(schema) : null]));
    const known = this.#programs.get(key);
    if (known) {
      // the one that is used last goes last
      this.#programs.delete(key);
      this.#programs.set(key, known);
      return known;
    }
    const program = this.#engine.compile({
      policies: new Map([...policies].map(([id, hash]) => [id, readText(rows, hash)])),
      base: this.baseSchema,
      schema: schema ? readText(rows, schema) : this.baseSchema,
    });
    if (this.#programs.size >= PROGRAMS_MAX) {
      const [oldest] = this.#programs.keys();
      if (oldest !== undefined) this.#programs.delete(oldest);
    }
    this.#programs.set(key, program);
    return program;
  }
}

type PolicyContext = ReturnType<PolicyRequest['context']>;

const NOBODY_MAY: PolicyDecision = { isAllowed: false, reasons: [], errors: [] };
const ALLOWED: PolicyDecision = { isAllowed: true, reasons: [], errors: [] };

/** Kinds whose events may act on several resources; of the others the count is known to be one. */
function isOfMany(kind: string): boolean {
  return OF_MANY.has(resourceTypeOf(kind));
}
const OF_MANY: ReadonlySet<string> = new Set(['Role', 'Member']);

function rolesIn({ roles }: Present): (principal: string) => readonly string[] {
  return (principal) => roles.get(principal) ?? [];
}

/** An engine that broke down over a set has not taken it. */
function verdictOf(error: unknown): VerdictName {
  if (!(error instanceof X0tError)) throw error;
  if (!Object.hasOwn(VERDICTS, error.code)) throw error;
  return error.code as VerdictName;
}
