import { Type } from 'typebox';
import { decode, encode } from '#ledger/codec.ts';
import { keyId } from '#ledger/cose.ts';
import type { Body } from '#ledger/event.ts';
import { signingKeyId } from '#ledger/event.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { KindSpec } from '#ledger/kinds.ts';
import type { Id } from '#ledger/ports.ts';
import type { KeyState, OrderedEvent, Rows } from '#ledger/projection.ts';
import { REKEY_KIND, REVOKE_KIND, ROTATE_KIND, isNewKey } from '#ledger/rotation.ts';
import type { VerdictName } from '#ledger/verdicts.ts';

/**
 * The keys of members: part of the projection `members`, whose rows they stand in.
 *
 * `actor/<hex>` gets `signing`: SHA-256 of the present key where it is not the inception key, and
 * no bytes where the actor has no key. `keys/<actor>` → [key...] in the order of their coming, and
 * `key/<id>` → KeyRow: both only for actors whose keys were changed, the inception key included.
 */

/** Keys that an actor may have had: what its rows may grow to, and epochs that it may end. */
export const KEYS_MAX = 256;

/**
 * So long after its rotation a key may still convict its actor: twins show within minutes, and who
 * finds the key later must not be able to make some.
 */
export const ACCUSES_MS = 24 * 60 * 60 * 1000;

const REASON_CHARS_MAX = 256;

/** What is known of a key. Numbers are places in the final log; 0: from the start. */
interface KeyRow {
  readonly actor: Uint8Array;
  /** The event that bound it. */
  readonly since: number;
  /** The event from which on it signs no more, and the time of its commit. */
  readonly until?: number;
  readonly until_ms?: number;
  /** The event that revoked it. */
  readonly revoked?: number;
  /** It was an operator that revoked it. */
  readonly byOperator?: true;
}

/** A key as people see it. */
export interface MemberKey {
  readonly id: Id;
  readonly state: Exclude<KeyState, 'foreign'>;
  readonly since: number;
  readonly until?: number;
  readonly revoked?: number;
}

/** What this file reads and writes of an actor's row; the rest stays as it is. */
interface ActorRow {
  readonly isOperator?: true;
  /** The COSE_Key of one that is or was a validator. */
  readonly key?: Uint8Array;
  readonly signing?: Uint8Array;
}

type Reading = Pick<Rows, 'get'>;

const ofActor = (actor: Id): string => `actor/${actor}`;
const ofKey = (id: Id): string => `key/${id}`;
const ofKeys = (actor: Id): string => `keys/${actor}`;

const NewKey = {
  key: Type.Unsafe<Uint8Array>({ description: 'the new COSE_Key with ML-DSA-65' }),
  proof: Type.Unsafe<Uint8Array>({ description: 'its COSE_Sign1, tag x0t/rotation/1' }),
};
const Digest = (description: string) =>
  Type.Refine(
    Type.Unsafe<Uint8Array>({ description }),
    (value) => value instanceof Uint8Array && value.length === 32,
  );

const Rotate = Type.Refine(
  Type.Object(NewKey, { additionalProperties: false }),
  (body) => isNewKey(body as unknown as Body),
);
const Rekey = Type.Refine(
  Type.Object({ actor: Digest('actor, 32 bytes'), ...NewKey }, { additionalProperties: false }),
  (body) => isNewKey(body as unknown as Body),
);
const Revoke = Type.Object(
  {
    actor: Digest('actor, 32 bytes'),
    key: Digest('SHA-256 of its COSE_Key'),
    reason: Type.String({ minLength: 1, maxLength: REASON_CHARS_MAX, description: 'why' }),
  },
  { additionalProperties: false },
);

/** The kinds that change keys, for the projection's list. */
export const KEY_KIND_SPECS: readonly KindSpec[] = [
  {
    kind: ROTATE_KIND,
    about: 'The actor signs with another key from now on. Of a validator: ends the epoch.',
    body: Rotate,
  },
  {
    kind: REVOKE_KIND,
    about: 'What a key signs is void from now on; by an operator, or its actor with another.',
    body: Revoke,
  },
  {
    kind: REKEY_KIND,
    about: 'Binds a key to an actor whose key was revoked; by an operator.',
    body: Rekey,
  },
];

/** What changes of keys do to the committee; the rows of the next one are another's. */
export interface Committees {
  /** Puts an actor that sits in the next committee there with its present key. */
  renew(actor: Id): void;
  /** Takes an actor out of the next committee; the last one stays. */
  unseat(actor: Id): void;
}

/** Applies an event of `KEY_KIND_SPECS`. */
export function applyToKeys(
  ordered: OrderedEvent,
  rows: Rows,
  committees: Committees,
): VerdictName {
  const { event, seq, ts_ms } = ordered;
  const { actor } = event;
  const at = { until: seq, until_ms: ts_ms };
  if (event.kind === ROTATE_KIND) {
    const { key } = event.body as { readonly key: Uint8Array };
    return bind(rows, actor, signingKeyId(event), key, at, committees);
  }
  const body = event.body as { readonly actor: Uint8Array; readonly key: Uint8Array };
  const about = body.actor.toHex();
  if (event.kind === REVOKE_KIND) {
    return revoke(rows, { by: actor, of: about, key: body.key.toHex() }, at, committees);
  }
  if (rowOf(rows, actor)?.isOperator !== true) return 'not_operator';
  if (!rowOf(rows, about)) return 'key_unknown';
  if (keyOf(about, rows) !== undefined) return 'key_present';
  return bind(rows, about, undefined, body.key, at, committees);
}

type At = Required<Pick<KeyRow, 'until' | 'until_ms'>>;

function bind(
  rows: Rows,
  actor: Id,
  before: Id | undefined,
  coseKey: Uint8Array,
  at: At,
  committees: Committees,
): VerdictName {
  const next = keyId(coseKey);
  // nobody's, and nobody's name: an id says for ever whose it is
  if (actorOfKey(next, rows) !== undefined) return 'key_taken';
  const known = idsOf(rows, actor);
  const ids = known.length > 0 ? known : [actor];
  if (ids.length >= KEYS_MAX) return 'key_bounds';
  if (before !== undefined) putKey(rows, before, { ...keyRow(rows, before, actor), ...at });
  putKey(rows, next, { actor: bytesOf(actor), since: at.until });
  rows.put(ofKeys(actor), encode([...ids, next].map(bytesOf)));
  const row = rowOf(rows, actor);
  const key = row?.key && { key: coseKey };
  rows.put(ofActor(actor), encode({ ...row, ...key, signing: bytesOf(next) }));
  committees.renew(actor);
  return 'applied';
}

/** By the actor itself: a key that it has rotated away. By an operator: any but its own present. */
function revoke(
  rows: Rows,
  { by, of, key }: { readonly by: Id; readonly of: Id; readonly key: Id },
  at: At,
  committees: Committees,
): VerdictName {
  const byOperator = rowOf(rows, by)?.isOperator === true;
  if (!byOperator && by !== of) return 'key_not_permitted';
  const state = rowOf(rows, of) ? keyState(of, key, rows) : 'foreign';
  if (state === 'foreign') return 'key_unknown';
  if (state === 'present' && by === of) return 'key_not_permitted';
  const row = keyRow(rows, key, of);
  // an operator's word counts for more: evidence by such a key proves nothing against its actor
  const isRepeated = state === 'revoked' && (!byOperator || by === of || row.byOperator === true);
  if (isRepeated) return 'key_revoked';
  putKey(rows, key, {
    ...at,
    revoked: at.until,
    ...row,
    ...(byOperator && by !== of && { byOperator: true }),
  });
  if (idsOf(rows, of).length === 0) rows.put(ofKeys(of), encode([bytesOf(of)]));
  if (state !== 'present') return 'applied';
  rows.put(ofActor(of), encode({ ...rowOf(rows, of), signing: new Uint8Array() }));
  committees.unseat(of);
  return 'applied';
}

function putKey(rows: Rows, id: Id, row: KeyRow): void {
  rows.put(ofKey(id), encode(row));
}

/** The row of a key that is or was an actor's; the first key has none before a change. */
function keyRow(rows: Reading, id: Id, actor: Id): KeyRow {
  const row = rows.get(ofKey(id));
  return row ? (decode(row) as KeyRow) : { actor: bytesOf(actor), since: 0 };
}

function idsOf(rows: Reading, actor: Id): Id[] {
  const row = rows.get(ofKeys(actor));
  return row ? (decode(row) as readonly Uint8Array[]).map((id) => id.toHex()) : [];
}

function rowOf(rows: Reading, actor: Id): ActorRow | undefined {
  const row = rows.get(ofActor(actor));
  return row && (decode(row) as ActorRow);
}

/** By the actor's row: asked at every event. `''`: none. */
const signing = new WeakMap<Uint8Array, Id>();

/** SHA-256 of the present key; `undefined` for no member, and for one whose key is revoked. */
export function keyOf(actor: Id, rows: Reading): Id | undefined {
  const row = rows.get(ofActor(actor));
  if (!row) return undefined;
  let id = signing.get(row);
  if (id === undefined) {
    id = (decode(row) as ActorRow).signing?.toHex() ?? actor;
    signing.set(row, id);
  }
  return id === '' ? undefined : id;
}

/** What a key is to a member. */
export function keyState(actor: Id, key: Id, rows: Reading): KeyState {
  if (keyOf(actor, rows) === key) return 'present';
  const row = rows.get(ofKey(key));
  if (!row) return 'foreign';
  const { actor: owner, revoked } = decode(row) as KeyRow;
  if (owner.toHex() !== actor) return 'foreign';
  return revoked === undefined ? 'retired' : 'revoked';
}

/** Whose key it is, or was: nobody else can ever get it. */
export function actorOfKey(key: Id, rows: Reading): Id | undefined {
  const row = rows.get(ofKey(key));
  if (row) return (decode(row) as KeyRow).actor.toHex();
  return rows.get(ofActor(key)) && key;
}

/**
 * Whether what a key signed long ago may be held against its actor. A key that an operator revoked
 * was another's, perhaps; that the actor itself revokes one must not cover its tracks.
 */
export function isAccusing(key: Id, ts_ms: number, rows: Reading): boolean {
  const row = rows.get(ofKey(key));
  if (!row) return true;
  const { byOperator, until_ms = ts_ms } = decode(row) as KeyRow;
  return byOperator !== true && ts_ms <= until_ms + ACCUSES_MS;
}

/** The keys of a member, oldest first: one, unless they were changed. */
export function keysOf(actor: Id, rows: Reading): readonly MemberKey[] {
  if (!rows.get(ofActor(actor))) return [];
  const ids = idsOf(rows, actor);
  return (ids.length > 0 ? ids : [actor]).map((id) => {
    const { since, until, revoked } = keyRow(rows, id, actor);
    return {
      id,
      // each of them has its row, or is the only one
      state: keyState(actor, id, rows) as MemberKey['state'],
      since,
      ...(until !== undefined && { until }),
      ...(revoked !== undefined && { revoked }),
    };
  });
}
