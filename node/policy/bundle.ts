import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DEFAULT_POLICIES, POLICY_KINDS, baseSchema } from '#governance/policy-base.ts';
import { assertSafe } from '#governance/policy-guard.ts';
import { Prefixes, Principals, principalNamed, resourceOf } from '#governance/policy-subjects.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import type { PolicyDecision, PolicyEntity, PolicyProgram, PolicyValue } from '#ledger/ports.ts';
import type { Standing } from '#ledger/projection.ts';
import { loadCedar } from '#native/cedar.ts';
import { newGenesisSchema } from '#node/schema.ts';

/** A policy set outside of a network: from files, or as a node shows it. */
export interface Bundle {
  readonly policies: ReadonlyMap<string, string>;
  /** Absent: the base schema. */
  readonly schema?: string;
  /** Assigned roles by actor or SPIFFE ID. */
  readonly roles: ReadonlyMap<string, readonly string[]>;
}

export const SHIPPED: Bundle = {
  policies: new Map(Object.entries(DEFAULT_POLICIES)),
  roles: new Map(),
};

const CEDAR = '.cedar';
const SCHEMA = 'schema.cedarschema';
const ROLES = 'roles.json';

/** What nodes of this release say of principals, actions and resources. */
export function shippedSchema(): string {
  return baseSchema(newGenesisSchema().kinds);
}

function ordinaryKinds(): string[] {
  const ofPolicies = new Set<string>(POLICY_KINDS);
  return newGenesisSchema().kinds.filter((kind) => !ofPolicies.has(kind));
}

/**
 * Files and directories: `ID.cedar` is one policy, `schema.cedarschema` the schema, `roles.json`
 * an object of lists of roles by principal. Throws `file_unreadable`, `policy_files_invalid`.
 */
export function readBundle(paths: readonly string[]): Bundle {
  const files = paths.flatMap((path) => (isDirectory(path) ? filesIn(path) : [path]));
  const policies = new Map<string, string>();
  let schema: string | undefined;
  let roles: Bundle['roles'] = new Map();
  for (const file of files) {
    const name = basename(file);
    if (name === SCHEMA) schema = read(file);
    else if (name === ROLES) roles = rolesIn(file);
    else if (name.endsWith(CEDAR)) policies.set(name.slice(0, -CEDAR.length), read(file));
    else wrong(file, `is neither NAME${CEDAR} nor ${SCHEMA} nor ${ROLES}`);
  }
  return { policies, roles, ...(schema !== undefined && { schema }) };
}

/** `b` over `a`: what both have is taken from `b`. */
export function mergeBundles(a: Bundle, b: Bundle): Bundle {
  const schema = b.schema ?? a.schema;
  return {
    policies: new Map([...a.policies, ...b.policies]),
    roles: new Map([...a.roles, ...b.roles]),
    ...(schema !== undefined && { schema }),
  };
}

function isDirectory(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

function filesIn(directory: string): string[] {
  return readdirSync(directory).toSorted()
    .filter((name) => name.endsWith(CEDAR) || name === SCHEMA || name === ROLES)
    .map((name) => join(directory, name));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new X0tError('file_unreadable', 'The file cannot be read.', { file }, { cause });
  }
}

function rolesIn(file: string): Bundle['roles'] {
  let value: unknown;
  try {
    value = JSON.parse(read(file));
  } catch (error) {
    if (error instanceof X0tError) throw error;
    return wrong(file, 'is no JSON');
  }
  const entries = Object.entries(value ?? {});
  const isRoles = (one: unknown) =>
    Array.isArray(one) && one.every((role) => typeof role === 'string');
  if (!entries.every(([, list]) => isRoles(list))) wrong(file, 'is no object of lists of roles');
  return new Map(entries as [string, string[]][]);
}

function wrong(file: string, why: string): never {
  return fail('policy_files_invalid', `This file ${why}.`, { file });
}

/** A question to a bundle; `roles` and `labels` are those of the principal's membership. */
export interface Question {
  readonly principal: PolicyEntity;
  readonly action: string;
  readonly resource: PolicyEntity;
  readonly context?: Readonly<Record<string, PolicyValue>>;
  readonly roles?: readonly string[];
  readonly labels?: readonly string[];
}

/** A bundle that was parsed and validated; throws what is wrong with it, as nodes do. */
export function compileBundle({ policies, schema, roles }: Bundle): CompiledBundle {
  const base = shippedSchema();
  const program = loadCedar().compile({ policies, base, schema: schema ?? base });
  return new CompiledBundle(program, policies, roles);
}

export class CompiledBundle {
  readonly program: PolicyProgram;
  readonly #policies: Bundle['policies'];
  readonly #roles: Bundle['roles'];

  constructor(program: PolicyProgram, policies: Bundle['policies'], roles: Bundle['roles']) {
    this.program = program;
    this.#policies = policies;
    this.#roles = roles;
  }

  /** The same decision that a node makes: who speaks for somebody needs both to be permitted. */
  decide(question: Question): PolicyDecision {
    const own = this.#decide(question);
    const { onBehalfOf } = question.context ?? {};
    if (!own.isAllowed || typeof onBehalfOf !== 'string') return own;
    const { roles: _roles, labels: _labels, ...rest } = question;
    const other = this.#decide({ ...rest, principal: principalNamed(onBehalfOf) });
    return other.isAllowed ? own : other;
  }

  #decide(question: Question): PolicyDecision {
    const { principal, action, resource, context, roles = [], labels = [] } = question;
    const standing: Standing = { roles, labels };
    const principals = new Principals(this.#roles);
    const prefixes = new Prefixes(this.program.mentioned('KeyPrefix'));
    return this.program.decide({
      action,
      principal: () => principals.of(principal, () => standing),
      resource: () => resourceOf(resource, prefixes),
      context: () => ({ time_ms: 0, ...context }),
    });
  }

  /**
   * Throws `policy_lockout` or `policy_denies_everyone` where neither an operator nor a member with
   * assigned roles could change policies, or do anything else. A network tries its own members.
   */
  assertSafe(): void {
    const assigned = [...this.#roles.keys()].filter((one) => !one.startsWith('spiffe://'));
    const operator: Standing = { roles: ['operator'], labels: [] };
    const plain: Standing = { roles: [], labels: [] };
    assertSafe({
      program: this.program,
      principals: new Principals(this.#roles),
      policyIds: [...this.#policies.keys()],
      anybody: OPERATOR,
      candidates: [OPERATOR, ...assigned],
      kinds: ordinaryKinds(),
      ts_ms: 0,
      standingOf: (actor) => (actor === OPERATOR ? operator : plain),
    });
  }
}

/** An actor that is nobody's. */
const OPERATOR = '0'.repeat(64);
