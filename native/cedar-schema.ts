import { fail } from '#ledger/errors.ts';
import type { SchemaJson } from './cedar-footprint.ts';

/**
 * The groups of each action, itself included. Actions stand in the unnamed namespace, as nodes ask
 * for them.
 */
export function groupsOf(schema: SchemaJson): ReadonlyMap<string, ReadonlySet<string>> {
  const actions = schema['']?.actions ?? {};
  const reach = (id: string, seen: Set<string>): Set<string> => {
    if (seen.has(id)) return seen;
    seen.add(id);
    for (const { id: group } of actions[id]?.memberOf ?? []) reach(group, seen);
    return seen;
  };
  return new Map(Object.keys(actions).map((id) => [id, reach(id, new Set())]));
}

/**
 * A schema says all that the base says: nodes describe principals, resources and contexts by the
 * base, and a policy that was validated against anything else might fail on what they say. It may
 * add types, actions, groups and annotations. Throws `policy_schema_invalid`.
 */
export function assertExtends(base: SchemaJson, schema: SchemaJson): void {
  for (const [space, { entityTypes, actions }] of Object.entries(base)) {
    const found = schema[space];
    for (const [name, wanted] of Object.entries(entityTypes)) {
      if (!isEqual(plain(found?.entityTypes[name]), plain(wanted))) refuse('entity type', name);
    }
    for (const [name, wanted] of Object.entries(actions)) {
      const has = found?.actions[name];
      const groups = new Set(has?.memberOf?.map(({ id }) => id));
      const isWhole = (wanted.memberOf ?? []).every(({ id }) => groups.has(id));
      if (!has || !isWhole || !isEqual(has.appliesTo, wanted.appliesTo)) refuse('action', name);
    }
  }
}

function refuse(what: string, name: string): never {
  const message = `The schema must say of the ${what} ${name} what the base schema says.`;
  fail('policy_schema_invalid', message, { name });
}

function plain(type: object | undefined): unknown {
  const { annotations: _annotations, ...rest } = { annotations: undefined, ...type };
  return type && rest;
}

function isEqual(a: unknown, b: unknown): boolean {
  return sorted(a) === sorted(b);
}

/** JSON with sorted members; lists are sets in a schema. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null) return inner;
    if (Array.isArray(inner)) return inner.map((one) => sorted(one)).toSorted();
    return Object.fromEntries(Object.entries(inner).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  }) ?? '';
}
