import type { PolicyEntity, PolicySubject } from '#ledger/ports.ts';
import type { PolicyJson as Policy } from '@cedar-policy/cedar-wasm/nodejs';

/**
 * What a policy can look at. Cedar's scopes are simple (`==`, `in`, `is`), so whether a scope fits
 * is found here, as in "Cedar: A New Language for Expressive, Fast, Safe, and Analyzable
 * Authorization" (Cutler et al., 2024), section 4.3, "policy slicing": a policy whose scope does
 * not fit neither decides nor fails. Conditions are left to Cedar; here stands only which parts of
 * a question they name.
 */
export interface Footprint {
  readonly id: string;
  /** What is given to Cedar: its JSON of a policy rounds numbers above 2^53. */
  readonly text: string;
  /** Unique among the policies that this process has parsed. */
  readonly index: number;
  readonly principal: Scope;
  readonly resource: Scope;
  /** `groups`: all that the action is in, itself included. */
  readonly fitsAction: (action: string, groups: ReadonlySet<string>) => boolean;
  /** Absent where the policy has no condition. */
  readonly looksAt?: LooksAt;
  /** Parts of its condition and scope: each name, value, operator and letter of a pattern. */
  readonly parts: number;
  /** Of these, what may have a type of any size: attributes, and `context`. */
  readonly wide: number;
  /** Ids that it names, by their type. */
  readonly mentions: ReadonlyMap<string, readonly string[]>;
}

interface Scope {
  readonly isAny: boolean;
  readonly fits: (subject: PolicySubject) => boolean;
}

export interface LooksAt {
  readonly principal: boolean;
  readonly resource: boolean;
  /** Names of attributes. */
  readonly context: ReadonlySet<string> | 'all';
}

/** Cedar's JSON of a policy, as far as it is used. */
interface PolicyJson {
  readonly principal: ScopeJson;
  readonly action: ActionJson;
  readonly resource: ScopeJson;
  readonly conditions: readonly { readonly body: unknown }[];
}

type EntityJson = PolicyEntity | { readonly __entity: PolicyEntity };

interface ScopeJson {
  readonly op: 'All' | '==' | 'in' | 'is';
  readonly entity?: EntityJson;
  readonly entity_type?: string;
  readonly in?: { readonly entity?: EntityJson };
}

interface ActionJson {
  readonly op: 'All' | '==' | 'in';
  readonly entity?: EntityJson;
  readonly entities?: readonly EntityJson[];
}

/** Cedar's JSON of a type: `type` says what it is, or names one of `commonTypes`. */
export interface TypeJson {
  readonly type: string;
  readonly element?: TypeJson;
  readonly attributes?: Readonly<Record<string, TypeJson>>;
}

/** Cedar's JSON of a namespace of a schema, as far as it is used. */
interface SpaceJson {
  readonly commonTypes?: Readonly<Record<string, TypeJson>>;
  readonly entityTypes: Readonly<Record<string, EntityTypeJson>>;
  readonly actions: Readonly<Record<string, ActionTypeJson>>;
}

interface EntityTypeJson {
  readonly memberOfTypes?: string[];
  readonly shape?: TypeJson;
  readonly tags?: TypeJson;
}

interface ActionTypeJson {
  readonly appliesTo?: {
    readonly principalTypes: readonly string[];
    readonly resourceTypes: readonly string[];
    readonly context?: TypeJson;
  };
  readonly memberOf?: readonly { readonly id: string; readonly type?: string }[];
}

export type SchemaJson = Readonly<Record<string, SpaceJson>>;

let count = 0;

export function footprintOf(id: string, text: string, json: Policy): Footprint {
  const { principal, action, resource, conditions } = json as unknown as PolicyJson;
  const mentions = new Map<string, string[]>();
  noteEntities([principal, resource, action, conditions], mentions);
  count += 1;
  const looksAt = conditions.length > 0 ? looksOf(conditions) : undefined;
  return {
    id,
    text,
    index: count,
    principal: scopeOf(principal),
    resource: scopeOf(resource),
    fitsAction: actionOf(action),
    ...partsOf([principal, action, resource, conditions]),
    mentions,
    ...(looksAt && { looksAt }),
  };
}

/** Counts what is in Cedar's JSON of a policy. */
function partsOf(json: unknown): { readonly parts: number; readonly wide: number } {
  let parts = 0;
  let wide = 0;
  const note = (one: unknown): void => {
    parts += 1;
    if (typeof one !== 'object' || one === null) return;
    for (const [name, inner] of Object.entries(one)) {
      if (name === '.' || (name === 'Var' && inner === 'context')) wide += 1;
      note(inner);
    }
  };
  note(json);
  return { parts, wide };
}

function uid(entity: EntityJson): PolicyEntity {
  return '__entity' in entity ? entity.__entity : entity;
}

function isSame(a: PolicyEntity, b: PolicyEntity): boolean {
  return a.id === b.id && a.type === b.type;
}

/** `in` holds for the entity itself, too. */
function isIn(subject: PolicySubject, group: PolicyEntity): boolean {
  return isSame(subject, group) || subject.parents.some((parent) => isSame(parent, group));
}

function scopeOf({ op, entity, entity_type: type, in: within }: ScopeJson): Scope {
  if (op === 'All') return { isAny: true, fits: () => true };
  if (op === 'is') {
    const group = within?.entity && uid(within.entity);
    const fits = (one: PolicySubject) => one.type === type && (!group || isIn(one, group));
    return { isAny: false, fits };
  }
  const named = uid(entity as EntityJson);
  return op === '=='
    ? { isAny: false, fits: (one) => isSame(one, named) }
    : { isAny: false, fits: (one) => isIn(one, named) };
}

function actionOf({ op, entity, entities }: ActionJson): Footprint['fitsAction'] {
  if (op === 'All') return () => true;
  const ids = (entities ?? [entity as EntityJson]).map((one) => uid(one).id);
  return op === '=='
    ? (action) => ids.includes(action)
    : (_action, groups) => ids.some((id) => groups.has(id));
}

/** Every entity that stands literally in a part of a policy. */
function noteEntities(part: unknown, mentions: Map<string, string[]>): void {
  if (typeof part !== 'object' || part === null) return;
  const { type, id } = part as Partial<PolicyEntity>;
  if (typeof type === 'string' && typeof id === 'string') {
    mentions.set(type, [...(mentions.get(type) ?? []), id]);
    return;
  }
  for (const inner of Object.values(part)) noteEntities(inner, mentions);
}

export function looksOf(conditions: PolicyJson['conditions']): LooksAt {
  const vars = new Set<string>();
  const names = new Set<string>();
  for (const { body } of conditions) noteVars(body, vars, names);
  return {
    principal: vars.has('principal'),
    resource: vars.has('resource'),
    context: vars.has('context') ? 'all' : names,
  };
}

/** `context.name` and `context has name` look at one attribute; else `context` as a whole. */
function noteVars(part: unknown, vars: Set<string>, names: Set<string>): void {
  if (typeof part !== 'object' || part === null) return;
  for (const [name, inner] of Object.entries(part)) {
    if (name === 'Value') continue;
    if (name === 'Var') vars.add(String(inner));
    else if (name === 'Record') {
      // its names are the author's, so they are no operators
      for (const value of Object.values(inner as object)) noteVars(value, vars, names);
    } else if (name === '.' || name === 'has') noteAttribute(inner, vars, names);
    else noteVars(inner, vars, names);
  }
}

function noteAttribute(part: unknown, vars: Set<string>, names: Set<string>): void {
  const { left, attr } = part as { left?: { Var?: string }; attr?: unknown };
  if (left?.Var !== 'context') return noteVars(part, vars, names);
  const first: unknown = Array.isArray(attr) ? attr[0] : attr;
  if (typeof first === 'string') names.add(first);
  else vars.add('context');
}
