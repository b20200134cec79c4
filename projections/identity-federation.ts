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
 * cannot be traitors of.
 *
 * Rows: `federations` → [name...], `federation/<name>` → Relation, `bundle/<name>` → document,
 * `refresh/<name>` → [[actor, digest]...]: whom validators vouch for, one statement each,
 * `candidate/<name>/<64 hex digits>` → document, as long as somebody vouches for it.
 */
const NAMES = 'federations';
const ofRelation = (name: string): string => `federation/${name}`;
const ofBundle = (name: string): string => `bundle/${name}`;
const ofRefresh = (name: string): string => `refresh/${name}`;
const ofCandidate = (name: string, digest: Id): string => `candidate/${name}/${digest}`;

export const FEDERATIONS_MAX = 64;
export const REFRESH_KIND = 'identity.refresh/1';

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
}

type Statements = readonly (readonly [actor: Uint8Array, digest: Uint8Array])[];

/** A relationship as it stands, without the documents. */
export interface Federation {
  readonly trustDomain: string;
  readonly basis: Id;
  readonly endpoint: EndpointParameters | undefined;
  readonly digest: Id;
  readonly sequence: bigint | undefined;
  readonly hint_s: number | undefined;
  readonly changed_ms: number;
  /** What validators vouch for, and not enough of them yet; who left its seat counts no more. */
  readonly pending: readonly { readonly actor: Id; readonly digest: Id }[];
}

export interface FederationBody {
  readonly trustDomain: string;
  readonly bundle?: Uint8Array;
  readonly endpoint?: EndpointParameters;
}

export interface RefreshBody {
  readonly trustDomain: string;
  readonly basis: Uint8Array;
  readonly digest: Uint8Array;
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

/** A sitting validator vouches for what it fetched; the bundle changes once enough of them do. */
export function refresh(
  actor: Id,
  { trustDomain, basis, digest, bundle }: RefreshBody,
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
  if (name === relation.digest.toHex()) return 'identity_known';
  const before = statementsOf(rows, trustDomain);
  const isSaid = before.some(([who, what]) => who.toHex() === actor && what.toHex() === name);
  if (isSaid) return 'identity_known';
  if (bundle && idOf(bundle) !== name) return 'identity_invalid';
  const document = bundle ?? rows.get(ofCandidate(trustDomain, name));
  if (!document) return 'identity_unknown';
  const head = attempt(() => readBundleHead(document));
  if (!head) return 'identity_invalid';
  if (!isNewer(sequenceOf(relation), head.sequence)) return 'identity_stale';
  const others = before.filter(([who]) => seated.has(who.toHex()) && who.toHex() !== actor);
  const after: Statements = [...others, [bytesOf(actor), digest]];
  const vouching = after.filter(([, what]) => what.toHex() === name).length;
  if (vouching >= refreshSupport(seats)) {
    clearPending(rows, trustDomain);
    hold(rows, trustDomain, document, head, { ...relation, changed_ms: ts_ms });
    return 'applied';
  }
  rows.put(ofRefresh(trustDomain), encode(after));
  if (bundle) rows.put(ofCandidate(trustDomain, name), bundle);
  const kept = new Set(after.map(([, what]) => what.toHex()));
  for (const [, what] of before) {
    if (!kept.has(what.toHex())) rows.remove(ofCandidate(trustDomain, what.toHex()));
  }
  return 'applied';
}

/** All relationships, in the order of their making. */
export function federationsIn(rows: Reading): readonly Federation[] {
  return federationNames(rows).map((trustDomain) => {
    const relation = relationOf(rows, trustDomain) as Relation;
    const { basis, endpoint, digest, hint_s, changed_ms } = relation;
    return {
      trustDomain,
      basis: basis.toHex(),
      endpoint,
      digest: digest.toHex(),
      sequence: sequenceOf(relation),
      hint_s,
      changed_ms,
      pending: statementsOf(rows, trustDomain).map(([who, what]) => {
        return { actor: who.toHex(), digest: what.toHex() };
      }),
    };
  });
}

/** The document of a relationship that there is. */
export function bundleOf(rows: Reading, trustDomain: string): Uint8Array {
  return rows.get(ofBundle(trustDomain)) as Uint8Array;
}

/** What a validator vouches for; `undefined` once nobody does any more. */
export function candidateOf(
  rows: Reading,
  trustDomain: string,
  digest: Id,
): Uint8Array | undefined {
  return rows.get(ofCandidate(trustDomain, digest));
}

function hold(
  rows: Rows,
  trustDomain: string,
  document: Uint8Array,
  { sequence, refreshHint_s }: BundleHead,
  { basis, endpoint, changed_ms }: Pick<Relation, 'basis' | 'changed_ms'> & {
    readonly endpoint?: EndpointParameters | undefined;
  },
): void {
  const relation: Relation = {
    basis,
    digest: bytesOf(idOf(document)),
    changed_ms,
    ...(endpoint && { endpoint }),
    ...(sequence !== undefined && { sequence: String(sequence) }),
    ...(refreshHint_s !== undefined && { hint_s: refreshHint_s }),
  };
  rows.put(ofBundle(trustDomain), document);
  rows.put(ofRelation(trustDomain), encode(relation));
}

function clearPending(rows: Rows, trustDomain: string): void {
  for (const [, digest] of statementsOf(rows, trustDomain)) {
    rows.remove(ofCandidate(trustDomain, digest.toHex()));
  }
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

function statementsOf(rows: Reading, trustDomain: string): Statements {
  const found = rows.get(ofRefresh(trustDomain));
  return found ? (decode(found) as Statements) : [];
}

function sequenceOf({ sequence }: Relation): bigint | undefined {
  return sequence === undefined ? undefined : BigInt(sequence);
}
