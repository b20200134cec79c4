import { keyId } from '#ledger/cose.ts';
import { KEY_KINDS } from '#ledger/rotation.ts';
import type { Event } from '#ledger/event.ts';
import type { PolicyEntity, PolicySubject, PolicyValue } from '#ledger/ports.ts';
import type { Standing, StandingOf } from '#ledger/projection.ts';
import { resourceTypeOf } from './policy-base.ts';

/** Events and calls as policies see them. */

/** Principals kept at hand; then they are made again. */
const SUBJECTS_MAX = 4096;

/**
 * Makes principals with their roles: those of membership and those assigned. The same object as
 * long as nothing of it changes, so that what was found out about it stays known.
 */
export class Principals {
  readonly #assigned: ReadonlyMap<string, readonly string[]>;
  readonly #known = new Map<string, readonly [Standing | undefined, PolicySubject]>();

  constructor(assigned: ReadonlyMap<string, readonly string[]>) {
    this.#assigned = assigned;
  }

  /** By an actor's 64 hex digits or a SPIFFE ID, or as the API tells its callers apart. */
  of({ type, id }: PolicyEntity, standingOf: StandingOf): PolicySubject {
    const standing = type === 'Actor' ? standingOf(id) : undefined;
    const key = `${type} ${id}`;
    const known = this.#known.get(key);
    if (known && known[0] === standing) return known[1];
    if (this.#known.size >= SUBJECTS_MAX) this.#known.clear();
    const subject = principalOf(type, id, standing, this.#assigned.get(id) ?? []);
    this.#known.set(key, [standing, subject]);
    return subject;
  }
}

/** The entity that a name stands for: a SPIFFE ID, or an actor. */
export function principalNamed(name: string): PolicyEntity {
  return { type: name.startsWith(SPIFFE) ? 'Spiffe' : 'Actor', id: name };
}

const SPIFFE = 'spiffe://';
/** The role of every member, whatever else it is. */
const MEMBER = 'member';

function principalOf(
  type: string,
  id: string,
  standing: Standing | undefined,
  assigned: readonly string[],
): PolicySubject {
  const local = type === 'Local' && id === 'operator' ? ['operator'] : [];
  const member = standing ? [MEMBER] : [];
  const roles = new Set([...(standing?.roles ?? []), ...member, ...assigned, ...local]);
  const parents = [...roles].toSorted().map((role) => ({ type: 'Role', id: role }));
  return { type, id, parents, attrs: attrsOf(type, id, standing) };
}

function attrsOf(
  type: string,
  id: string,
  standing: Standing | undefined,
): Record<string, PolicyValue> {
  if (type === 'Actor') return { labels: (standing?.labels ?? []).toSorted(), actor: id };
  if (type !== 'Spiffe') return {};
  const rest = id.slice(SPIFFE.length);
  const slash = rest.indexOf('/');
  return slash < 0
    ? { trustDomain: rest, path: '' }
    : { trustDomain: rest.slice(0, slash), path: rest.slice(slash) };
}

/** The prefixes that policies name, by their length: a key is looked up once for each length. */
export class Prefixes {
  readonly #byLength = new Map<number, Map<string, PolicyEntity>>();

  constructor(prefixes: readonly string[]) {
    for (const id of prefixes) {
      let same = this.#byLength.get(id.length);
      if (!same) this.#byLength.set(id.length, (same = new Map<string, PolicyEntity>()));
      same.set(id, { type: 'KeyPrefix', id });
    }
  }

  of(key: string): PolicyEntity[] {
    const found: PolicyEntity[] = [];
    for (const [length, same] of this.#byLength) {
      const prefix = length <= key.length ? same.get(key.slice(0, length)) : undefined;
      if (prefix) found.push(prefix);
    }
    return found;
  }
}

/** A resource; keys and prefixes are in those prefixes that policies name. */
export function resourceOf({ type, id }: PolicyEntity, prefixes: Prefixes): PolicySubject {
  switch (type) {
    case 'Key':
      return { type, id, parents: prefixes.of(id), attrs: { key: id } };
    case 'KeyPrefix': {
      const parents = prefixes.of(id).filter((prefix) => prefix.id !== id);
      return { type, id, parents, attrs: {} };
    }
    default:
      return { type, id, parents: [], attrs: type === 'Member' ? { actor: id } : {} };
  }
}

/** What an event acts on: at least one, each of which must be permitted. */
export function resourcesOf(
  { kind, body, actor }: Pick<Event, 'kind' | 'body' | 'actor'>,
  rolesOf: (principal: string) => readonly string[],
): readonly PolicyEntity[] {
  const type = resourceTypeOf(kind);
  switch (type) {
    case 'Key':
      return [{ type, id: textIn(body, 'key') }];
    case 'Role': {
      const roles = new Set([...listIn(body, 'roles'), ...rolesOf(textIn(body, 'principal'))]);
      return [...(roles.size > 0 ? roles : ['none'])].map((id) => ({ type, id: String(id) }));
    }
    case 'Policy':
      return [{ type, id: kind === 'policy.schema/1' ? '(schema)' : policyIdIn(body) }];
    case 'Member':
      return membersIn(kind, body, actor).map((id) => ({ type, id }));
    case 'Kind':
      return [{ type, id: kind }];
    default:
      return [{ type, id: textIn(body, 'id') }];
  }
}

/** Of a rollback: it touches any policy. */
function policyIdIn(body: Event['body']): string {
  return typeof body['id'] === 'string' ? body['id'] : '(all)';
}

/** Those whom the event is about; else its author. */
function membersIn(kind: string, body: Event['body'], author: string): string[] {
  // keys in these bodies are nobody's yet, or hashes
  if (KEY_KINDS.has(kind)) {
    return [body['actor'] instanceof Uint8Array ? body['actor'].toHex() : author];
  }
  const added = listIn(body, 'add').flatMap((one) => {
    const { actor, key } = one as { readonly actor?: unknown; readonly key?: unknown };
    return actor instanceof Uint8Array ? [actor.toHex()] : actorOfKey(key);
  });
  const removed = listIn(body, 'remove').flatMap((one) =>
    one instanceof Uint8Array ? one.toHex() : [],
  );
  const named = body['actor'] instanceof Uint8Array ? [body['actor'].toHex()] : [];
  const found = [...added, ...removed, ...named, ...actorOfKey(body['key'])];
  return found.length > 0 ? [...new Set(found)] : [author];
}

function actorOfKey(key: unknown): string[] {
  return key instanceof Uint8Array ? [keyId(key)] : [];
}

function textIn(body: Event['body'], name: string): string {
  const value = body[name];
  return typeof value === 'string' ? value : '';
}

function listIn(body: Event['body'], name: string): readonly unknown[] {
  const value = body[name];
  return Array.isArray(value) ? value : [];
}
