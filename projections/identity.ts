import { decode, encode } from '#ledger/codec.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { REVOKE_KIND } from '#ledger/rotation.ts';
import type { OrderedEvent, Projection, Rows, Seats, StandingOf } from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import { attempt } from './attempt.ts';
import { parseEntry } from './identity-entries.ts';
import type { EntryText, RegistrationEntry } from './identity-entries.ts';
import {
  REFRESH_KIND, bundleOf, federate, federationsIn, refresh,
} from './identity-federation.ts';
import type { Federation, FederationBody, RefreshBody } from './identity-federation.ts';
import {
  IdentityAuthority,
  IdentityEntry,
  IdentityFederation,
  IdentityIssuer,
  IdentityRefresh,
  IdentityRevocation,
} from './identity-kinds.ts';

/** An entry costs every caller of a node's socket a comparison. */
export const ENTRIES_MAX = 1024;
/**
 * Authorities of the trust domain: its bundle holds them all, and who reads a bundle, a workload or
 * another network, takes as many certificates and as many keys for tokens.
 */
export const AUTHORITIES_MAX = 64;
/** Rotation needs two; a node that restarts makes new ones, and where there is room keeps four. */
const AUTHORITIES_OF_ACTOR = { min: 2, max: 4 } as const;
export const ISSUERS_MAX = AUTHORITIES_MAX / AUTHORITIES_OF_ACTOR.min;
/** By a clock that is so far behind the commits' an authority that has ended counts still. */
const ENDED_MS = 60_000;
/** An authority that claims to hold longer counts for no longer. */
export const AUTHORITY_LIFE_MS_MAX = 30 * 24 * 3_600_000;

/** What a node publishes of its keys. */
export interface AuthorityRow {
  readonly x509: Uint8Array;
  readonly jwt: { readonly kid: string; readonly x: Uint8Array; readonly y: Uint8Array };
  readonly notAfter_ms: number;
}

interface AuthoritiesRow {
  readonly held: readonly AuthorityRow[];
}

/** An entry's body with actors as bytes. */
interface EntryBody extends Omit<EntryText, 'id' | 'nodes'> {
  readonly nodes?: readonly Uint8Array[];
}

/**
 * Rows: `domain` → name of the trust domain, `issuers` → [actor...], `entries` → [id...] in
 * the order of their coming, `entry/<id>` → body, `authorities/<actor>` → {held}, `sequence` →
 * number of the event that last changed the bundle; and those of `identity-federation.ts`.
 */
const row = {
  domain: 'domain',
  issuers: 'issuers',
  entries: 'entries',
  sequence: 'sequence',
  entry: (id: string) => `entry/${id}`,
  authorities: (actor: Id) => `authorities/${actor}`,
} as const;

type Reading = Pick<Rows, 'get'>;

/**
 * Who has which SPIFFE identity: registration entries, the authorities of the nodes that issue, and
 * the bundles of foreign trust domains. Operators change entries, issuers and federation; issuers,
 * at first the validators of the genesis, publish their own authorities; validators keep foreign
 * bundles current.
 */
export const identity: Projection = {
  name: 'identity',
  version: 2,
  kinds: [
    {
      kind: 'identity.authority/1',
      about: 'Keys with which a node issues identities; by an issuer.',
      body: IdentityAuthority,
    },
    {
      kind: 'identity.entry/1',
      about: 'Which processes get a SPIFFE identity; by an operator.',
      body: IdentityEntry,
    },
    {
      kind: 'identity.federation/1',
      about: 'A foreign trust domain, its bundle and where that is found; by an operator.',
      body: IdentityFederation,
    },
    {
      kind: 'identity.issuer/1',
      about: 'Who may publish authorities; by an operator. Who may not any more loses its own.',
      body: IdentityIssuer,
    },
    {
      kind: REFRESH_KIND,
      about: 'What a validator fetched as the bundle of a foreign trust domain.',
      body: IdentityRefresh,
    },
    {
      kind: 'identity.revocation/1',
      about: 'Takes authorities out of the bundle; by their node, or an operator.',
      body: IdentityRevocation,
    },
  ],

  start(genesis: Genesis, rows: Rows): void {
    const { committee } = genesis;
    rows.put(row.domain, encode(trustDomainOf(genesis)));
    rows.put(row.issuers, encode(committee.slice(0, ISSUERS_MAX).map((one) => bytesOf(one.actor))));
    rows.put(row.sequence, encode(0));
  },

  apply(
    { event, id, seq, ts_ms }: OrderedEvent,
    rows: Rows,
    standingOf: StandingOf = () => undefined,
    seatsOf: () => Seats = () => ({ epoch: 0, validators: [] }),
  ): VerdictName {
    const { actor, kind } = event;
    const body = event.body as unknown;
    if (kind === 'identity.authority/1') {
      return publish(actor, body as AuthorityRow, seq, ts_ms, rows);
    }
    if (kind === REFRESH_KIND) return refresh(actor, body as RefreshBody, ts_ms, rows, seatsOf());
    const isOperator = standingOf(actor)?.roles.includes('operator') === true;
    if (kind === 'identity.revocation/1') {
      const { actor: owner, kid } = body as { actor: Uint8Array; kid: string };
      if (!isOperator && owner.toHex() !== actor) return 'identity_not_permitted';
      return revoke(owner.toHex(), (one) => one.jwt.kid === kid, seq, rows);
    }
    if (!isOperator) return 'identity_not_permitted';
    if (kind === 'identity.entry/1') return enter(body as Parameters<typeof enter>[0], rows);
    if (kind === 'identity.issuer/1') {
      const { actor: issuer, allowed } = body as { actor: Uint8Array; allowed: boolean };
      return allow(issuer.toHex(), allowed, seq, rows);
    }
    return federate(body as FederationBody, { id, ts_ms }, domainIn(rows), rows);
  },

  watches: [REVOKE_KIND],

  /** Who had a member's key may have published as that member: nothing of it is to come back. */
  observe({ event, seq }: OrderedEvent, rows: Rows): void {
    const { actor } = event.body as unknown as { readonly actor: Uint8Array };
    revoke(actor.toHex(), () => true, seq, rows);
  },
};

/**
 * The trust domain of a network: its name as far as the characters of a trust domain go, and bytes
 * of its salt, so that networks of one name differ (SPIFFE-ID, 2.1.1).
 */
export function trustDomainOf({ name, salt }: Pick<Genesis, 'name' | 'salt'>): string {
  const plain = name.toLowerCase().replace(/[^a-z0-9._-]/g, '-');
  return `${plain === '' ? 'x0t' : plain}.${salt.subarray(0, 8).toHex()}`;
}

function publish(
  actor: Id,
  { x509, jwt, notAfter_ms }: AuthorityRow,
  seq: number,
  ts_ms: number,
  rows: Rows,
): VerdictName {
  if (!actorsIn(rows, row.issuers).includes(actor)) return 'identity_not_issuer';
  if (notAfter_ms <= ts_ms) return 'identity_invalid';
  const end_ms = Math.min(notAfter_ms, ts_ms + AUTHORITY_LIFE_MS_MAX);
  const living = authoritiesOf(rows, actor).filter((one) => one.notAfter_ms > ts_ms);
  if (living.some((one) => one.jwt.kid === jwt.kid)) return 'identity_known';
  const count = Math.min(living.length + 1, roomFor(actor, ts_ms, rows));
  if (count < Math.min(living.length + 1, AUTHORITIES_OF_ACTOR.min)) return 'identity_bounds';
  const held = [...living, { x509, jwt, notAfter_ms: end_ms }].slice(-count);
  rows.put(row.authorities(actor), encode({ held }));
  rows.put(row.sequence, encode(seq));
  return 'applied';
}

/**
 * Authorities that an issuer may have: what others leave of all, and no more than its share, so
 * that those who restart often leave everybody else two.
 */
function roomFor(actor: Id, ts_ms: number, rows: Rows): number {
  const issuers = actorsIn(rows, row.issuers);
  const others = issuers
    .filter((one) => one !== actor)
    .flatMap((one) => authoritiesOf(rows, one))
    .filter(({ notAfter_ms }) => notAfter_ms > ts_ms - ENDED_MS);
  const share = Math.floor(AUTHORITIES_MAX / issuers.length);
  return Math.min(AUTHORITIES_OF_ACTOR.max, share, AUTHORITIES_MAX - others.length);
}

function revoke(
  actor: Id,
  isMeant: (one: AuthorityRow) => boolean,
  seq: number,
  rows: Rows,
): VerdictName {
  const before = authoritiesOf(rows, actor);
  const held = before.filter((one) => !isMeant(one));
  if (held.length === before.length) return 'identity_unknown';
  if (held.length === 0) rows.remove(row.authorities(actor));
  else rows.put(row.authorities(actor), encode({ held }));
  rows.put(row.sequence, encode(seq));
  return 'applied';
}

function allow(issuer: Id, isAllowed: boolean, seq: number, rows: Rows): VerdictName {
  const before = actorsIn(rows, row.issuers);
  if (before.includes(issuer) === isAllowed) {
    return isAllowed ? 'identity_known' : 'identity_unknown';
  }
  if (!isAllowed) {
    rows.put(row.issuers, encode(before.filter((one) => one !== issuer).map(bytesOf)));
    revoke(issuer, () => true, seq, rows);
    return 'applied';
  }
  if (before.length >= ISSUERS_MAX) return 'identity_bounds';
  rows.put(row.issuers, encode([...before, issuer].map(bytesOf)));
  return 'applied';
}

function enter(
  { id, entry }: { readonly id: string; readonly entry?: EntryBody },
  rows: Rows,
): VerdictName {
  const ids = textsIn(rows, row.entries);
  const isKnown = ids.includes(id);
  if (!entry) {
    if (!isKnown) return 'identity_unknown';
    rows.remove(row.entry(id));
    rows.put(row.entries, encode(ids.filter((one) => one !== id)));
    return 'applied';
  }
  const parsed = attempt(() => entryOf(id, entry));
  if (!parsed) return 'identity_invalid';
  if (parsed.spiffeId.trustDomain !== domainIn(rows)) return 'identity_other_domain';
  if (!isKnown && ids.length >= ENTRIES_MAX) return 'identity_bounds';
  if (!isKnown) rows.put(row.entries, encode([...ids, id]));
  rows.put(row.entry(id), encode(entry));
  return 'applied';
}

/** What the rows say: of a trust domain's own bundle the parts, of foreign ones the documents. */
export interface IdentityView {
  readonly trustDomain: string;
  readonly entries: readonly RegistrationEntry[];
  readonly issuers: readonly Id[];
  /** With the issuer whose they are. */
  readonly authorities: readonly (AuthorityRow & { readonly actor: Id })[];
  /** Of the own bundle: grows whenever that changes. */
  readonly sequence: number;
  readonly federations: readonly (Federation & { readonly bundle: Uint8Array })[];
}

/** Reads the rows; `undefined` in a network whose genesis does not have this projection. */
export function readIdentity(rows: Reading): IdentityView | undefined {
  if (!rows.get(row.domain)) return undefined;
  const issuers = actorsIn(rows, row.issuers);
  const sequence = rows.get(row.sequence);
  return {
    trustDomain: domainIn(rows),
    entries: textsIn(rows, row.entries).map((id) => {
      return entryOf(id, decode(rows.get(row.entry(id)) as Uint8Array) as EntryBody);
    }),
    issuers,
    authorities: issuers.flatMap((actor) =>
      authoritiesOf(rows, actor).map((held) => ({ ...held, actor })),
    ),
    sequence: sequence ? (decode(sequence) as number) : 0,
    federations: federationsIn(rows).map((one) => {
      return { ...one, bundle: bundleOf(rows, one.trustDomain) };
    }),
  };
}

function entryOf(id: string, { nodes = [], ...entry }: EntryBody): RegistrationEntry {
  return parseEntry({ ...entry, id, nodes: nodes.map((actor) => actor.toHex()) });
}

function authoritiesOf(rows: Reading, actor: Id): readonly AuthorityRow[] {
  const found = rows.get(row.authorities(actor));
  return found ? (decode(found) as AuthoritiesRow).held : [];
}

function domainIn(rows: Reading): string {
  const found = rows.get(row.domain);
  return found ? (decode(found) as string) : '';
}

function actorsIn(rows: Reading, key: string): Id[] {
  const found = rows.get(key);
  return found ? (decode(found) as Uint8Array[]).map((actor) => actor.toHex()) : [];
}

function textsIn(rows: Reading, key: string): string[] {
  const found = rows.get(key);
  return found ? (decode(found) as string[]) : [];
}
