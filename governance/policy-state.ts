import { decode, encode } from '#ledger/codec.ts';
import { bytesOf, hexOf, idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import { HISTORY_MAX } from './policy-kinds.ts';

/**
 * Policies as rows: `head` → [version, oldest version kept], `version/<n>` → a version's list of
 * texts by their hash, `text/<hash>` → a policy, a schema or the list of roles, once however many
 * versions have it, `founders` → [actor...] of the genesis. Going back is a new version with an old
 * list.
 */
const HEAD = 'head';
const FOUNDERS = 'founders';
const ofVersion = (version: number): string => `version/${String(version).padStart(16, '0')}`;
const ofText = (hash: Id): string => `text/${hash}`;

/** Operators first; more are not looked at when a change is tried on them. */
const FOUNDERS_MAX = 32;

type Reading = Pick<Rows, 'get'>;
const utf8 = new TextEncoder();

/** One version: what holds, and the event that made it. */
export interface Version {
  /** Hashes of texts by the policies' ids, sorted. */
  readonly policies: ReadonlyMap<string, Id>;
  /** Absent while the base schema holds. */
  readonly schema?: Id;
  /** Absent while no roles are assigned. */
  readonly roles?: Id;
  /** Kind of the event; `genesis` for version 0. */
  readonly kind: string;
  readonly actor?: Id;
  /** Number of the event in the final log; 0 for the genesis. */
  readonly seq: number;
  readonly ts_ms: number;
}

export interface Head {
  readonly version: number;
  readonly oldest: number;
}

/** Roles that were assigned, by actor or SPIFFE ID, sorted. */
export type Roles = ReadonlyMap<string, readonly string[]>;

interface VersionRow {
  readonly policies: readonly (readonly [string, Uint8Array])[];
  readonly schema?: Uint8Array;
  readonly roles?: Uint8Array;
  readonly kind: string;
  readonly actor?: Uint8Array;
  readonly seq: number;
  readonly ts_ms: number;
}

/** Absent only while a snapshot is put in place. */
export function headRow(rows: Reading): Uint8Array | undefined {
  return rows.get(HEAD);
}

export function readHead(rows: Reading): Head {
  const [version, oldest] = decode(headRow(rows) as Uint8Array) as readonly [number, number];
  return { version, oldest };
}

/** One that is kept, or `undefined`. */
export function readVersion(rows: Reading, version: number): Version | undefined {
  const row = rows.get(ofVersion(version));
  if (!row) return undefined;
  const { policies, schema, roles, kind, actor, seq, ts_ms } = decode(row) as VersionRow;
  return {
    policies: new Map(policies.map(([id, hash]) => [id, hexOf(hash)])),
    ...(schema && { schema: hexOf(schema) }),
    ...(roles && { roles: hexOf(roles) }),
    kind,
    ...(actor && { actor: hexOf(actor) }),
    seq,
    ts_ms,
  };
}

function encodeVersion(one: Version): Uint8Array {
  const { policies, schema, roles, kind, actor, seq, ts_ms } = one;
  const row: VersionRow = {
    policies: [...policies].map(([id, hash]) => [id, bytesOf(hash)] as const),
    ...(schema && { schema: bytesOf(schema) }),
    ...(roles && { roles: bytesOf(roles) }),
    kind,
    ...(actor && { actor: bytesOf(actor) }),
    seq,
    ts_ms,
  };
  return encode(row);
}

export function readText(rows: Reading, hash: Id): string {
  return new TextDecoder().decode(rows.get(ofText(hash)));
}

export function readRoles(rows: Reading, hash: Id | undefined): Roles {
  const row = hash && rows.get(ofText(hash));
  return new Map(row ? (decode(row) as [string, string[]][]) : []);
}

export function encodeRoles(roles: Roles): Uint8Array {
  return encode([...roles].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function bytesOfText(text: string): Uint8Array {
  return utf8.encode(text);
}

export function hashOf(bytes: Uint8Array): Id {
  return idOf(bytes);
}

export function readFounders(rows: Reading): readonly Id[] {
  return (decode(rows.get(FOUNDERS) as Uint8Array) as Uint8Array[]).map(hexOf);
}

/** The rows before the first event. */
export function begin(
  rows: Rows,
  founders: readonly Id[],
  policies: Readonly<Record<string, string>>,
  ts_ms: number,
): void {
  rows.put(FOUNDERS, encode(founders.slice(0, FOUNDERS_MAX).map(bytesOf)));
  const texts = Object.entries(policies)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, text]) => [id, bytesOfText(text)] as const);
  for (const [, bytes] of texts) rows.put(ofText(hashOf(bytes)), bytes);
  const hashes = new Map(texts.map(([id, bytes]) => [id, hashOf(bytes)]));
  rows.put(ofVersion(0), encodeVersion({ policies: hashes, kind: 'genesis', seq: 0, ts_ms }));
  rows.put(HEAD, encode([0, 0]));
}

/**
 * Puts the version after the present one; forgets the oldest where there are too many, with the
 * texts that no other has. `texts`: those that may be new.
 */
export function append(rows: Rows, next: Version, texts: ReadonlyMap<Id, Uint8Array>): void {
  const { version, oldest } = readHead(rows);
  for (const [hash, bytes] of texts) {
    if (!rows.get(ofText(hash))) rows.put(ofText(hash), bytes);
  }
  rows.put(ofVersion(version + 1), encodeVersion(next));
  const kept = Math.max(oldest, version + 2 - HISTORY_MAX);
  rows.put(HEAD, encode([version + 1, kept]));
  if (kept > oldest) forget(rows, oldest, kept, version + 1);
}

function forget(rows: Rows, oldest: number, from: number, to: number): void {
  const gone = readVersion(rows, oldest);
  rows.remove(ofVersion(oldest));
  const used = new Set<Id>();
  for (let n = from; n <= to; n++) {
    for (const hash of hashesOf(readVersion(rows, n))) used.add(hash);
  }
  for (const hash of hashesOf(gone)) if (!used.has(hash)) rows.remove(ofText(hash));
}

function hashesOf(version: Version | undefined): Id[] {
  if (!version) return [];
  const { policies, schema, roles } = version;
  return [...policies.values(), ...(schema ? [schema] : []), ...(roles ? [roles] : [])];
}
