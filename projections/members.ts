import { decode, encode } from '#ledger/codec.ts';
import { Committee } from '#ledger/committee.ts';
import type { Validator } from '#ledger/committee.ts';
import { keyId } from '#ledger/cose.ts';
import { EVIDENCE_KIND, readEvidence } from '#ledger/evidence.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { bytesOf, equalBytes } from '#ledger/ids.ts';
import { COMMITTEE_MAX } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';
import { RETURN_KIND } from '#ledger/returning.ts';
import { KEY_KINDS } from '#ledger/rotation.ts';
import type {
  Membership, OrderedEvent, Projection, Rows, Seats, Standing,
} from '#ledger/projection.ts';
import type { VerdictName } from '#ledger/verdicts.ts';
import {
  CommitteeChange,
  CommitteeLeave,
  CommitteeReturn,
  EquivocationEvidence,
} from './members-kinds.ts';
import type { Joining } from './members-kinds.ts';
import {
  KEY_KIND_SPECS, actorOfKey, applyToKeys, isAccusing, keyOf, keyState, keysOf,
} from './member-keys.ts';
import type { Committees, MemberKey } from './member-keys.ts';

/** A member as the projection shows it. */
export interface Member {
  readonly actor: Id;
  readonly roles: readonly ('validator' | 'operator')[];
  /** Index in the committee, for a validator. */
  readonly author?: number;
  /** The libp2p peer id of one that is or was a validator. */
  readonly peer?: string;
  /** Where it said that it can be reached: multiaddrs. */
  readonly addrs?: readonly string[];
  /** It signed two blocks for one slot: it never sits in a committee again. */
  readonly barred?: true;
  /** Its keys, oldest first, where they were changed; else it has its first alone. */
  readonly keys?: readonly MemberKey[];
}

/** A member's row; what it holds of a validator stays when it has left. */
interface Row {
  readonly isOperator?: true;
  readonly key?: Uint8Array;
  readonly peer?: string;
  readonly addrs?: readonly string[];
  readonly barred?: true;
  /** See `member-keys.ts`. */
  readonly signing?: Uint8Array;
}

/**
 * Rows: `list` → [actor...] in the order of their coming, `actor/<64 hex digits>` → Row, `epoch` →
 * number, `committee/<epoch>` → [committee's id, [actor...], [key...]] for every epoch (evidence
 * may concern an old one; keys only where one is not the first), `next` → [actor...] only inside a
 * commit that changes the committee, `evidence/<epoch>/<author>` → [number of the event,
 * round]. Those of keys: `member-keys.ts`.
 */
const LIST = 'list';
const EPOCH = 'epoch';
const NEXT = 'next';
const ofActor = (actor: Id): string => `actor/${actor}`;
const ofEpoch = (epoch: number): string => `committee/${epoch}`;
const ofEvidence = (epoch: number, author: number): string => `evidence/${epoch}/${author}`;

type Reading = Pick<Rows, 'get'>;

/**
 * Who belongs to the network, and who sits in the committee. Operators of the genesis change it, a
 * validator may leave by itself, and evidence of equivocation removes its author by rule. All
 * changes of one commit make one change set, which ends the epoch with this commit. Who leaves a
 * committee stays a member: its events still count.
 */
export const members: Projection & Membership = {
  name: 'members',
  version: 3,
  kinds: [
    ...KEY_KIND_SPECS,
    {
      kind: 'committee.change/1',
      about: 'Takes validators into the committee and out of it; by an operator. Ends the epoch.',
      body: CommitteeChange,
    },
    {
      kind: 'committee.leave/1',
      about: 'A validator leaves the committee. Ends the epoch.',
      body: CommitteeLeave,
    },
    {
      kind: RETURN_KIND,
      about: 'A validator lost its store: it seals again in the epoch after this one.',
      body: CommitteeReturn,
    },
    {
      kind: EVIDENCE_KIND,
      about: 'Two signed headers of one slot: their author loses its seat. Ends the epoch.',
      body: EquivocationEvidence,
    },
  ],

  start(genesis: Genesis, rows: Rows): void {
    const { committee, operators } = genesis;
    const found = new Map<Id, Row>();
    for (const { actor, coseKey, peer } of committee) found.set(actor, { key: coseKey, peer });
    for (const actor of operators) found.set(actor, { ...found.get(actor), isOperator: true });
    for (const [actor, row] of found) rows.put(ofActor(actor), encode(row));
    rows.put(LIST, encode([...found.keys()].map(bytesOf)));
    seat(rows, 0, committee);
  },

  apply(ordered: OrderedEvent, rows: Rows): VerdictName {
    const { event } = ordered;
    if (KEY_KINDS.has(event.kind)) return applyToKeys(ordered, rows, committees(rows));
    if (event.kind === EVIDENCE_KIND) return convict(ordered, rows);
    if (event.kind === RETURN_KIND) {
      return actorsOf(rows, epochOf(rows)).includes(event.actor) ? 'applied' : 'not_validator';
    }
    if (event.kind === 'committee.leave/1') return change(rows, [], [event.actor]);
    if (rowOf(rows, event.actor)?.isOperator !== true) return 'not_operator';
    const { add = [], remove = [] } = event.body as {
      add?: readonly Joining[];
      remove?: readonly Uint8Array[];
    };
    return change(rows, add, remove.map((actor) => actor.toHex()));
  },

  standing,

  isMember: (actor, rows) => rows.get(ofActor(actor)) !== undefined,

  keyOf,
  keyState,
  actorOfKey,

  endCommit(rows: Rows): boolean {
    const next = rows.get(NEXT);
    if (!next) return false;
    rows.remove(NEXT);
    seat(rows, epochOf(rows) + 1, actorsIn(next).map((actor) => validatorOf(rows, actor)));
    return true;
  },

  isConvicted: (epoch, author, rows) => rows.get(ofEvidence(epoch, author)) !== undefined,

  seats(rows: Reading): Seats {
    const epoch = epochOf(rows);
    return { epoch, validators: actorsOf(rows, epoch).map((actor) => validatorOf(rows, actor)) };
  },
};

function seat(rows: Rows, epoch: number, validators: readonly Validator[]): void {
  const { id } = new Committee(epoch, validators);
  const actors = validators.map(({ actor }) => bytesOf(actor));
  const keys = validators.map(({ coseKey }) => bytesOf(keyId(coseKey)));
  const areFirst = keys.every((key, i) => equalBytes(key, actors[i] as Uint8Array));
  rows.put(ofEpoch(epoch), encode([bytesOf(id), actors, ...(areFirst ? [] : [keys])]));
  rows.put(EPOCH, encode(epoch));
}

/** The committee that the next epoch gets as things stand. */
function nextActors(rows: Reading): Id[] {
  const next = rows.get(NEXT);
  return next ? actorsIn(next) : actorsOf(rows, epochOf(rows));
}

/** One change of the set, or none: the verdict says why. */
function change(
  rows: Rows,
  add: readonly Joining[],
  remove: readonly Id[],
): VerdictName {
  const before = nextActors(rows);
  const leaving = new Set(remove);
  if (leaving.size < remove.length || remove.some((actor) => !before.includes(actor))) {
    return 'not_validator';
  }
  const after = before.filter((actor) => !leaving.has(actor));
  const peers = new Set(after.map((actor) => rowOf(rows, actor)?.peer));
  for (const { key, peer } of add) {
    const actor = joinerOf(rows, key);
    const state = rowOf(rows, actor) && keyState(actor, keyId(key), rows);
    if (state === 'retired') return 'key_retired';
    if (state === 'revoked') return 'key_revoked';
    if (after.includes(actor)) return 'already_validator';
    if (rowOf(rows, actor)?.barred) return 'member_barred';
    if (peers.has(peer)) return 'peer_taken';
    peers.add(peer);
    after.push(actor);
  }
  if (after.length < 1 || after.length > COMMITTEE_MAX) return 'committee_bounds';
  for (const joining of add) enrol(rows, joining);
  rows.put(NEXT, encode(after.map(bytesOf)));
  return 'applied';
}

/** Whose key it is; one that is nobody's makes a new actor. */
function joinerOf(rows: Reading, key: Uint8Array): Id {
  const id = keyId(key);
  return actorOfKey(id, rows) ?? id;
}

/** Who sits in the next committee, for changes of keys. */
function committees(rows: Rows): Committees {
  return {
    renew(actor) {
      const next = nextActors(rows);
      if (next.includes(actor)) rows.put(NEXT, encode(next.map(bytesOf)));
    },
    unseat: (actor) => unseat(rows, actor),
  };
}

/** The last validator of all stays: without it nothing would ever be final again. */
function unseat(rows: Rows, actor: Id): void {
  const before = nextActors(rows);
  const after = before.filter((one) => one !== actor);
  if (after.length > 0 && after.length < before.length) {
    rows.put(NEXT, encode(after.map(bytesOf)));
  }
}

function enrol(rows: Rows, { key, peer, addrs = [] }: Joining): void {
  const actor = joinerOf(rows, key);
  const known = rowOf(rows, actor);
  if (!known) rows.put(LIST, encode([...listOf(rows), actor].map(bytesOf)));
  const kept = {
    ...(known?.isOperator && { isOperator: true }),
    ...(known?.signing && { signing: known.signing }),
  };
  rows.put(ofActor(actor), encode({ ...kept, key, peer, ...(addrs.length > 0 && { addrs }) }));
}

/** The first evidence for an epoch and author counts; its signatures are part of its validity. */
function convict({ event, seq, ts_ms }: OrderedEvent, rows: Rows): VerdictName {
  const { chain, body } = event;
  const evidence = readEvidence(body);
  if (!evidence) return 'bad_body';
  const { epoch, author, round, key, committee } = evidence;
  const row = rows.get(ofEpoch(epoch));
  const [id, actors, keys = actors] = row ? (decode(row) as SeatsRow) : [];
  const actor = actors?.[author]?.toHex();
  const isFounded =
    evidence.chain === chain && id?.toHex() === committee && keys?.[author]?.toHex() === key;
  if (!isFounded || actor === undefined) return 'evidence_unfounded';
  if (!isAccusing(key, ts_ms, rows)) return 'evidence_unfounded';
  if (rows.get(ofEvidence(epoch, author))) return 'evidence_known';
  rows.put(ofEvidence(epoch, author), encode([seq, round]));
  rows.put(ofActor(actor), encode({ ...rowOf(rows, actor), barred: true }));
  unseat(rows, actor);
  return 'applied';
}

/** By the row and the epoch that it follows from: policies ask at every event. */
const standings = new WeakMap<Uint8Array, { readonly epoch: number; readonly of: Standing }>();

function standing(actor: Id, rows: Reading): Standing | undefined {
  const row = rows.get(ofActor(actor));
  if (!row) return undefined;
  const epoch = epochOf(rows);
  const known = standings.get(row);
  if (known?.epoch === epoch) return known.of;
  const { roles = [] } = readMember(rows, actor) ?? {};
  const of = { roles, labels: [] };
  standings.set(row, { epoch, of });
  return of;
}

type SeatsRow = readonly [
  id: Uint8Array,
  actors: readonly Uint8Array[],
  keys?: readonly Uint8Array[],
];

function epochOf(rows: Reading): number {
  const row = rows.get(EPOCH);
  return row ? (decode(row) as number) : 0;
}

function actorsOf(rows: Reading, epoch: number): Id[] {
  const row = rows.get(ofEpoch(epoch));
  return row ? (decode(row) as SeatsRow)[1].map((actor) => actor.toHex()) : [];
}

function actorsIn(row: Uint8Array): Id[] {
  return (decode(row) as readonly Uint8Array[]).map((actor) => actor.toHex());
}

function listOf(rows: Reading): Id[] {
  const list = rows.get(LIST);
  return list ? actorsIn(list) : [];
}

function rowOf(rows: Reading, actor: Id): Row | undefined {
  const row = rows.get(ofActor(actor));
  return row && (decode(row) as Row);
}

/** Every seat has had a key and a peer since it was taken. */
function validatorOf(rows: Reading, actor: Id): Validator {
  const { key, peer } = rowOf(rows, actor) as Required<Pick<Row, 'key' | 'peer'>>;
  return { actor, coseKey: key, peer, stake: 1 };
}

/** One member, or `undefined`. */
export function readMember(rows: Reading, actor: Id): Member | undefined {
  return shownAs(rows, actor, actorsOf(rows, epochOf(rows)));
}

/** All members in the order of their coming: the committee and operators of the genesis first. */
export function listMembers(rows: Reading): readonly Member[] {
  const seated = actorsOf(rows, epochOf(rows));
  return listOf(rows).flatMap((actor) => shownAs(rows, actor, seated) ?? []);
}

function shownAs(rows: Reading, actor: Id, seated: readonly Id[]): Member | undefined {
  const row = rowOf(rows, actor);
  if (!row) return undefined;
  const { isOperator, peer, addrs, barred } = row;
  const author = seated.indexOf(actor);
  const keys = keysOf(actor, rows);
  const roles: Member['roles'] = [
    ...(author >= 0 ? (['validator'] as const) : []),
    ...(isOperator ? (['operator'] as const) : []),
  ];
  return {
    actor,
    roles,
    ...(author >= 0 && { author }),
    ...(peer !== undefined && { peer }),
    ...(addrs && { addrs }),
    ...(barred && { barred }),
    ...((keys.length > 1 || keys[0]?.state !== 'present') && { keys }),
  };
}
