import { fail } from '#ledger/errors.ts';
import type { PolicyEntity } from '#ledger/ports.ts';
import { principalNamed } from '#governance/policy-subjects.ts';

/** Entities as people write them: `Key::app/a`, or an actor or a SPIFFE ID as it is. */

export function entityText({ type, id }: PolicyEntity): string {
  return `${type}::${id}`;
}

/** Throws `entity_malformed`. Quotes around the id, as in Cedar, are taken off. */
export function parseEntity(text: string): PolicyEntity {
  const [, type, id] = /^([A-Za-z_][A-Za-z0-9_]*)::(.*)$/s.exec(text) ?? [];
  if (type === undefined || id === undefined) {
    fail('entity_malformed', 'An entity is written Type::id, e.g. Key::app/a.', { entity: text });
  }
  const isQuoted = id.length >= 2 && id.startsWith('"') && id.endsWith('"');
  return { type, id: isQuoted ? id.slice(1, -1) : id };
}

/** Also takes 64 hex digits and SPIFFE IDs. */
export function parsePrincipal(text: string): PolicyEntity {
  const isName = /^[0-9a-f]{64}$/.test(text) || text.startsWith('spiffe://');
  return isName ? principalNamed(text) : parseEntity(text);
}
