import { decode, encode } from '#ledger/codec.ts';
import { thresholdsOf } from '#ledger/committee.ts';
import { bytesOf, idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { Rows, Seats } from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import { attempt } from './attempt.ts';
import { isNewer, readBundleHead } from './bundle-head.ts';
import type { BundleHead } from './bundle-head.ts';
import { parseSpiffeId, parseTrustDomain } from './spiffe-id.ts';

/**
 * Foreign trust domains and their bundles. An operator makes a relationship, with the endpoint at
 * which the bundle is found; validators keep the bundle current. No validator is believed alone:
 * a bundle counts once as many of those who sit in the committee vouch for the same bytes as there
 * cannot be traitors of. They vouch for its digest; the document is told once, by the statement
 * that completes.
 *
 * Rows: `federations` → [name...], `federation/<name>` → Relation, `bundle/<name>` → document,
 * `refresh/<name>` → [[actor, digest, sequence]...]: what validators vouch for, one statement each.
 */
const NAMES = 'federations';
const ofRelation = (name: string): string => `federation/${name}`;
const ofBundle = (name: string): string => `bundle/${name}`;
const ofRefresh = (name: string): string => `refresh/${name}`;

export const FEDERATIONS_MAX = 64;
export const REFRESH_KIND = 'identity.refresh/1';
/** Commit time between two bundles of a relationship that validators put in place. */
export const REFRESH_PAUSE_MS = 60_000;

/** Where and how the bundle is fetched (SPIFFE Federation, 5.1). */
export interface EndpointParameters {
  readonly url: string;
  readonly profile: 'https_web' | 'https_spiffe';
  /** With `https_spiffe`: the SPIFFE ID that the endpoint's server shows. */
  readonly id?: string;
}

interface Relation {
  /** Id of the operator's event that made it as it is. */
  readonly basis: Uint8Array;
  readonly endpoint?: EndpointParameters;
  /** SHA-256 of the document. */
  readonly digest: Uint8Array;
  /** In decimal digits: it may have 128 bits. */
  readonly sequence?: string;
  readonly hint_s?: number;
  /** Commit time of the bundle's last change. */
  readonly changed_ms: number;
  /** With a bundle from validators: what they vouched for, and the commit time of it. */
  readonly refreshed?: readonly [content: Uint8Array, at_ms: number];
}

/** The sequence in decimal digits, empty for none. */
type Statement = readonly [actor: Uint8Array, digest: Uint8Array, sequence: string];

export interface Vouching {
  readonly actor: Id;
  /** SHA-256 of the document without its sequence. */
  readonly digest: Id;
  readonly sequence: bigint | undefined;
}

/** A relationship as it stands, without the documents. */
export interface Federation {
  readonly trustDomain: string;
  readonly basis: Id;
  readonly endpoint: EndpointParameters | undefined;
  readonly digest: Id;
  /** What validators vouched for, where the bundle is from them. */
  readonly content?: Id;
  readonly sequence: bigint | undefined;
  readonly hint_s: number | undefined;
  readonly changed_ms: number;
  /** What validators vouch for, and not enough of them yet; who left its seat counts no more. */
  readonly pending: readonly Vouching[];
}

export interface FederationBody {
  readonly trustDomain: string;
  readonly bundle?: Uint8Array;
  readonly endpoint?: EndpointParameters;
}

export interface RefreshBody {
  readonly trustDomain: string;
  readonly basis: Uint8Array;
  /** SHA-256 of the document without its sequence. */
  readonly digest: Uint8Array;
  /** In decimal digits. */
  readonly sequence?: string;
  /** The document without its sequence, from whoever completes. */
  readonly bundle?: Uint8Array;
}

type Reading = Pick<Rows, 'get'>;

/**
 * Validators that a bundle takes: more than there may be traitors, and two wherever there are two.
 * A committee of two or three bears no traitor; it waits for all of them anyway.
 */
export function refreshSupport({ validators }: Seats): number {
  const { validity } = thresholdsOf(validators.length);
  return Math.min(validators.length, Math.max(2, validity));
}

/** An operator makes a relationship, changes it as a whole, or ends it. */
export function federate(
  { trustDomain, bundle, endpoint }: FederationBody,
  { id, ts_ms }: { readonly id: Id; readonly ts_ms: number },
  ownDomain: string,
  rows: Rows,
): VerdictName {
  const parsed = attempt(() => parseTrustDomain(trustDomain));
  if (parsed?.trustDomain !== trustDomain) return 'identity_invalid';
  if (trustDomain === ownDomain) return 'identity_other_domain';
  const names = federationNames(rows);
  const isKnown = names.includes(trustDomain);
  if (!bundle && !isKnown) return 'identity_unknown';
  if (!bundle && !endpoint) {
    clearPending(rows, trustDomain);
    rows.remove(ofBundle(trustDomain));
    rows.remove(ofRelation(trustDomain));
    rows.put(NAMES, encode(names.filter((one) => one !== trustDomain)));
    return 'applied';
  }
  if (endpoint && !isEndpoint(endpoint)) return 'identity_invalid';
  const document = bundle ?? bundleOf(rows, trustDomain);
  const head = attempt(() => readBundleHead(document));
  if (!head) return 'identity_invalid';
  if (!isKnown && names.length >= FEDERATIONS_MAX) return 'identity_bounds';
  if (!isKnown) rows.put(NAMES, encode([...names, trustDomain]));
  // what was fetched for the relationship as it was says nothing of the new one
  clearPending(rows, trustDomain);
  const changed_ms = bundle ? ts_ms : (relationOf(rows, trustDomain)?.changed_ms ?? ts_ms);
  hold(rows, trustDomain, document, head, { basis: bytesOf(id), endpoint, changed_ms });
  return 'applied';
}

/**
 * A sitting validator vouches for what it fetched, by digest. The bundle changes with the statement
 * that brings the document, once enough of them vouch for it; sooner no document is taken.
 */
export function refresh(
  actor: Id,
  { trustDomain, basis, digest, sequence = '', bundle }: RefreshBody,
  ts_ms: number,
  rows: Rows,
  seats: Seats,
): VerdictName {
  const seated = new Set(seats.validators.map((one) => one.actor));
  if (!seated.has(actor)) return 'identity_not_permitted';
  const relation = relationOf(rows, trustDomain);
  if (!relation?.endpoint) return 'identity_unknown';
  if (basis.toHex() !== relation.basis.toHex()) return 'identity_stale';
  const name = digest.toHex();
  const [content, refreshed_ms = -Infinity] = relation.refreshed ?? [];
  if ([relation.digest.toHex(), content?.toHex()].includes(name)) return 'identity_known';
  if (!isNewer(sequenceOf(relation), sequenceOf({ sequence }))) return 'identity_stale';
  const before = statementsOf(rows, trustDomain);
  const others = before.filter(([who]) => seated.has(who.toHex()) && who.toHex() !== actor);
  const after: readonly Statement[] = [...others, [bytesOf(actor), digest, sequence]];
  if (!bundle) {
    const own = before.find(([who]) => who.toHex() === actor);
    if (own?.[1].toHex() === name && own[2] === sequence) return 'identity_known';
    rows.put(ofRefresh(trustDomain), encode(after));
    return 'applied';
  }
  if (idOf(bundle) !== name) return 'identity_invalid';
  const same = after.filter(([, what, at]) => what.toHex() === name && !at === !sequence);
  // as many as it takes have seen this one or a later one
  const reached = same.map(([, , at]) => BigInt(at)).toSorted((a, b) => (a < b ? 1 : -1));
  const vouched = reached[refreshSupport(seats) - 1];
  const document = sequence ? withSequence(bundle, vouched ?? 0n) : bundle;
  const head = attempt(() => readBundleHead(document));
  const isBare = attempt(() => readBundleHead(bundle).sequence === undefined) === true;
  if (!head || !isBare) return 'identity_invalid';
  if (vouched === undefined || ts_ms < refreshed_ms + REFRESH_PAUSE_MS) return 'identity_early';
  clearPending(rows, trustDomain);
  const { endpoint } = relation;
  const refreshed = [digest, ts_ms] as const;
  hold(rows, trustDomain, document, head, { basis, endpoint, changed_ms: ts_ms, refreshed });
  return 'applied';
}

/** All relationships, in the order of their making. */
export function federationsIn(rows: Reading): readonly Federation[] {
  return federationNames(rows).map((trustDomain) => {
    const relation = relationOf(rows, trustDomain) as Relation;
    const { basis, endpoint, digest, hint_s, changed_ms, refreshed } = relation;
    return {
      trustDomain,
      basis: basis.toHex(),
      endpoint,
      digest: digest.toHex(),
      ...(refreshed && { content: refreshed[0].toHex() }),
      sequence: sequenceOf(relation),
      hint_s,
      changed_ms,
      pending: statementsOf(rows, trustDomain).map(([who, what, sequence]) => {
        return { actor: who.toHex(), digest: what.toHex(), sequence: sequenceOf({ sequence }) };
      }),
    };
  });
}

/** The document of a relationship that there is. */
export function bundleOf(rows: Reading, trustDomain: string): Uint8Array {
  return rows.get(ofBundle(trustDomain)) as Uint8Array;
}

/** The document with a sequence, which it has not yet: the first of its members. */
function withSequence(bundle: Uint8Array, sequence: bigint): Uint8Array {
  const text = new TextDecoder().decode(bundle);
  return new TextEncoder().encode(text.replace('{', `{"spiffe_sequence":${sequence},`));
}

function hold(
  rows: Rows,
  trustDomain: string,
  document: Uint8Array,
  { sequence, refreshHint_s }: BundleHead,
  { basis, endpoint, changed_ms, refreshed }: Pick<
    Relation, 'basis' | 'changed_ms' | 'refreshed'
  > & {
    readonly endpoint?: EndpointParameters | undefined;
  },
): void {
  const relation: Relation = {
    basis,
    digest: bytesOf(idOf(document)),
    changed_ms,
    ...(endpoint && { endpoint }),
    ...(refreshed && { refreshed }),
    ...(sequence !== undefined && { sequence: String(sequence) }),
    ...(refreshHint_s !== undefined && { hint_s: refreshHint_s }),
  };
  rows.put(ofBundle(trustDomain), document);
  rows.put(ofRelation(trustDomain), encode(relation));
}

function clearPending(rows: Rows, trustDomain: string): void {
  rows.remove(ofRefresh(trustDomain));
}

/**
 * An https URL without a user and a fragment (SPIFFE Federation, 5.2.1.1 and 5.2.2.1), and the ID
 * with the profile that takes one. Nodes look at the URL more closely before they use it.
 */
function isEndpoint({ url, profile, id }: EndpointParameters): boolean {
  if (!/^https:\/\/[^\s/?#@\\]+(?:[/?][!-~]*)?$/.test(url) || /[#\\]/.test(url)) return false;
  if (profile === 'https_web') return id === undefined;
  const parsed = attempt(() => parseSpiffeId(id ?? ''));
  return parsed !== undefined && parsed.path !== '';
}

function federationNames(rows: Reading): string[] {
  const found = rows.get(NAMES);
  return found ? (decode(found) as string[]) : [];
}

function relationOf(rows: Reading, trustDomain: string): Relation | undefined {
  const found = rows.get(ofRelation(trustDomain));
  return found && (decode(found) as Relation);
}

function statementsOf(rows: Reading, trustDomain: string): readonly Statement[] {
  const found = rows.get(ofRefresh(trustDomain));
  return found ? (decode(found) as Statement[]) : [];
}

function sequenceOf({ sequence }: Pick<Relation, 'sequence'>): bigint | undefined {
  return sequence ? BigInt(sequence) : undefined;
}
