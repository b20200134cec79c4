import { fail } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';
import { parseSpiffeId, parseTrustDomain } from './spiffe-id.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** Life of an X.509-SVID: as short as renewals at half life can follow a busy machine. */
export const X509_TTL_S = { min: 60, default: 3600, max: 24 * 3600 } as const;
/** Life of a JWT-SVID: it is a bearer token, so shorter. */
export const JWT_TTL_S = { min: 10, default: 300, max: 3600 } as const;

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
  /**
   * The nodes on whose hosts it holds, by actor; none: on all. User ids mean other people on other
   * hosts.
   */
  readonly nodes: readonly Id[];
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
  readonly nodes?: readonly Id[];
}

export const SELECTORS_MAX = 16;
export const FEDERATES_MAX = 32;
export const NODES_MAX = 64;
export const HINT_CHARS_MAX = 128;
/** Linux: PATH_MAX. */
const PATH_CHARS_MAX = 4096;
/** Linux: the highest number that is some user's. */
const ID_MAX = 2 ** 32 - 2;
const ENTRY_ID = /^[a-zA-Z0-9._-]{1,64}$/;

/** Fails with `entry_invalid`, or `spiffe_id_invalid`. */
export function parseEntry(text: EntryText): RegistrationEntry {
  if (!ENTRY_ID.test(text.id)) refuse('id', 'the id of an entry is 1 to 64 plain characters');
  const spiffeId = parseSpiffeId(text.spiffeId);
  if (spiffeId.path === '') refuse('path', 'the SPIFFE ID of a workload has a path');
  const { hint = '', federatesWith = [], nodes = [] } = text;
  if (nodes.length > NODES_MAX) refuse('nodes', 'an entry names too many nodes');
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
    nodes,
  };
}

/** As `parseEntry` takes it. */
export function selectorText({ type, value }: Selector): string {
  return `unix:${type}:${value}`;
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

function refuse(rule: string, message: string): never {
  return fail('entry_invalid', message, { rule });
}
