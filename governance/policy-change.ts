import { fail } from '#ledger/errors.ts';
import type { Event } from '#ledger/event.ts';
import type { Id } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import {
  ASSIGNMENTS_MAX, POLICIES_MAX, ROLES_BYTES_MAX, TEXTS_BYTES_MAX,
} from './policy-kinds.ts';
import {
  bytesOfText, encodeRoles, hashOf, readHead, readRoles, readVersion,
} from './policy-state.ts';
import type { Version } from './policy-state.ts';

/** A version that may come to be, with the texts that it may bring. */
export interface Draft {
  readonly version: Version;
  readonly texts: ReadonlyMap<Id, Uint8Array>;
}

interface Body {
  readonly id: string;
  readonly text?: string;
  readonly principal: string;
  readonly roles: readonly string[];
  readonly version: number;
  readonly ifVersion?: number;
}

/**
 * What an event would make of the present version. Throws `policy_conflict`, `policy_unknown` or
 * `policy_bounds`; whether the policies hold is looked at after that.
 */
export function draftOf(
  { kind, body: given, actor }: Event,
  seq: number,
  ts_ms: number,
  rows: Pick<Rows, 'get'>,
): Draft {
  const body = given as unknown as Body;
  const { version: present } = readHead(rows);
  if (body.ifVersion !== undefined && body.ifVersion !== present) {
    const message = 'The policies were changed since: look at them and decide anew.';
    fail('policy_conflict', message, { version: present });
  }
  const now = readVersion(rows, present) as Version;
  const by = { kind, actor, seq, ts_ms };
  const draft = applied(kind, body, now, rows);
  const { texts } = draft;
  const version: Version = { ...draft.version, ...by };
  assertBounds(version, texts, rows);
  return { version, texts };
}

function applied(kind: string, body: Body, now: Version, rows: Pick<Rows, 'get'>): Draft {
  switch (kind) {
    case 'policy.put/1': {
      const bytes = bytesOfText(body.text ?? '');
      const hash = hashOf(bytes);
      const policies = sorted(new Map([...now.policies, [body.id, hash]]));
      return { version: { ...now, policies }, texts: new Map([[hash, bytes]]) };
    }
    case 'policy.delete/1': {
      const policies = new Map(now.policies);
      if (!policies.delete(body.id)) {
        fail('policy_unknown', 'There is no such policy.', { policy: body.id });
      }
      return { version: { ...now, policies }, texts: new Map() };
    }
    case 'policy.schema/1': {
      const { schema: _schema, ...rest } = now;
      if (body.text === undefined) return { version: rest, texts: new Map() };
      const bytes = bytesOfText(body.text);
      const schema = hashOf(bytes);
      return { version: { ...rest, schema }, texts: new Map([[schema, bytes]]) };
    }
    case 'policy.assign/1':
      return assigned(body, now, rows);
    default: {
      const found =
        readVersion(rows, body.version) ??
        fail('policy_unknown', 'That version is not kept.', { version: body.version });
      return { version: found, texts: new Map() };
    }
  }
}

function assigned({ principal, roles }: Body, now: Version, rows: Pick<Rows, 'get'>): Draft {
  const { roles: before, ...rest } = now;
  const all = new Map(readRoles(rows, before));
  if (roles.length > 0) all.set(principal, roles.toSorted());
  else all.delete(principal);
  if (all.size === 0) return { version: rest, texts: new Map() };
  const bytes = encodeRoles(all);
  if (all.size > ASSIGNMENTS_MAX || bytes.length > ROLES_BYTES_MAX) {
    fail('policy_bounds', `At most ${ASSIGNMENTS_MAX} principals have assigned roles.`);
  }
  const hash = hashOf(bytes);
  return { version: { ...rest, roles: hash }, texts: new Map([[hash, bytes]]) };
}

function assertBounds(
  { policies }: Version,
  texts: ReadonlyMap<Id, Uint8Array>,
  rows: Pick<Rows, 'get'>,
): void {
  let bytes = 0;
  for (const hash of policies.values()) {
    bytes += (texts.get(hash) ?? rows.get(`text/${hash}`))?.length ?? 0;
  }
  if (policies.size > POLICIES_MAX || bytes > TEXTS_BYTES_MAX) {
    const message = `A network has at most ${POLICIES_MAX} policies of ${TEXTS_BYTES_MAX} bytes.`;
    fail('policy_bounds', message, { policies: policies.size, bytes });
  }
}

function sorted(policies: ReadonlyMap<string, Id>): Map<string, Id> {
  return new Map([...policies].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
