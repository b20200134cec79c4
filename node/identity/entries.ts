import { fail } from '#ledger/errors.ts';
import type { CallerFacts } from './attest.ts';
import type { Bundle } from './bundle.ts';
import { JWT_TTL_S, X509_TTL_S } from './limits.ts';
import { parseSpiffeId, parseTrustDomain } from './spiffe-id.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** What must hold of a caller. All selectors of an entry must. */
export type Selector =
  | { readonly type: 'uid' | 'gid'; readonly value: number }
  | { readonly type: 'path' | 'sha256'; readonly value: string };

/** Who gets which identity. Later entries of one `id` replace earlier ones. */
export interface RegistrationEntry {
  readonly id: string;
  readonly spiffeId: SpiffeId;
  /** At least one. */
  readonly selectors: readonly Selector[];
  readonly x509Ttl_s: number;
  readonly jwtTtl_s: number;
  /** Guidance for a workload with several identities. */
  readonly hint: string;
  /** Names of the trust domains whose bundles it gets besides the own one. */
  readonly federatesWith: readonly string[];
}

/** As an operator writes it. */
export interface EntryText {
  readonly id: string;
  readonly spiffeId: string;
  /** `unix:uid:1000`, `unix:gid:1000`, `unix:path:/usr/bin/db`, `unix:sha256:<64 hex digits>`. */
  readonly selectors: readonly string[];
  readonly x509Ttl_s?: number;
  readonly jwtTtl_s?: number;
  readonly hint?: string;
  readonly federatesWith?: readonly string[];
}

/**
 * What the provider serves from: immutable, replaced as a whole. `bundle` is that of the own trust
 * domain. Entries are in the order in which a workload gets them; its first is its default.
 */
export interface IdentitySnapshot {
  readonly trustDomain: SpiffeId;
  readonly entries: readonly RegistrationEntry[];
  readonly bundle: Bundle;
  readonly federated: readonly Bundle[];
}

/** Where snapshots come from: the ledger's projection. */
export interface IdentityState {
  readonly current: IdentitySnapshot;
  /** Called after `current` was replaced. The returned function ends it. */
  subscribe(listener: () => void): () => void;
}

export const SELECTORS_MAX = 16;
export const FEDERATES_MAX = 32;
export const HINT_CHARS_MAX = 128;
/** Linux: PATH_MAX. */
const PATH_CHARS_MAX = 4096;
const ID_MAX = 2 ** 32 - 2;

/** Fails with `entry_invalid`, or `spiffe_id_invalid`. */
export function parseEntry(text: EntryText): RegistrationEntry {
  const spiffeId = parseSpiffeId(text.spiffeId);
  if (spiffeId.path === '') refuse('path', 'the SPIFFE ID of a workload has a path');
  const { hint = '', federatesWith = [] } = text;
  if (hint.length > HINT_CHARS_MAX) refuse('hint', 'a hint is too long');
  if (federatesWith.length > FEDERATES_MAX) refuse('federates_with', 'too many trust domains');
  if (text.selectors.length === 0 || text.selectors.length > SELECTORS_MAX) {
    refuse('selectors', `an entry has 1 to ${SELECTORS_MAX} selectors`);
  }
  return {
    id: text.id,
    spiffeId,
    selectors: text.selectors.map(parseSelector),
    x509Ttl_s: within(text.x509Ttl_s, X509_TTL_S, 'x509Ttl_s'),
    jwtTtl_s: within(text.jwtTtl_s, JWT_TTL_S, 'jwtTtl_s'),
    hint,
    federatesWith: federatesWith.map((name) => parseTrustDomain(name).trustDomain),
  };
}

function parseSelector(text: string): Selector {
  const [, type, value] = /^unix:(uid|gid|path|sha256):(.+)$/s.exec(text) ?? [];
  if (type === undefined || value === undefined) {
    return refuse('selector', 'a selector is unix:uid:, unix:gid:, unix:path: or unix:sha256:');
  }
  if (type === 'uid' || type === 'gid') {
    if (!/^(?:0|[1-9]\d{0,9})$/.test(value) || Number(value) > ID_MAX) {
      return refuse('selector', `unix:${type} is followed by a number`);
    }
    return { type, value: Number(value) };
  }
  if (type === 'sha256') {
    if (!/^[0-9a-f]{64}$/.test(value)) {
      return refuse('selector', 'unix:sha256 is followed by 64 lower-case hex digits');
    }
    return { type, value };
  }
  if (!isPlainPath(value)) {
    return refuse('selector', 'unix:path is followed by an absolute path without relative parts');
  }
  return { type: 'path', value };
}

function isPlainPath(path: string): boolean {
  const parts = path.split('/').slice(1);
  return (
    path.startsWith('/') &&
    path.length <= PATH_CHARS_MAX &&
    !path.includes('\0') &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

function within(
  value: number | undefined,
  { min, default: usual, max }: { readonly min: number; readonly default: number; max: number },
  field: string,
): number {
  const ttl_s = value ?? usual;
  if (Number.isSafeInteger(ttl_s) && ttl_s >= min && ttl_s <= max) return ttl_s;
  return refuse(field, `${field} is ${min} to ${max} seconds`);
}

/** Whether the entry is the caller's. A fact that is not known fits no selector. */
export function fits(entry: RegistrationEntry, facts: CallerFacts): boolean {
  return entry.selectors.every(({ type, value }) => facts[type] === value);
}

/** Whether the entry may be the caller's once its program is hashed. */
export function needsDigest(entry: RegistrationEntry, facts: CallerFacts): boolean {
  return (
    entry.selectors.some(({ type }) => type === 'sha256') &&
    entry.selectors.every(({ type, value }) => type === 'sha256' || facts[type] === value)
  );
}

function refuse(rule: string, message: string): never {
  return fail('entry_invalid', message, { rule });
}
