/**
 * What misbehaviour costs a peer: one table from error code to points, points that halve every
 * minute, and at the threshold a ban whose length doubles each time. A fault that an honest but
 * slow or restarting peer can show costs so little that only a stream of them matters; a forged or
 * malformed message cannot happen to an honest peer.
 */
import { OWN_FAILURES } from '#ledger/errors.ts';
import type { Clock, PeerName } from '#ledger/ports.ts';
import { TABLE_MAX } from './limits.ts';

export const BAN_POINTS = 100;
const HALF_LIFE_MS = 60_000;
const BAN_MS_MIN = 30_000;
const BAN_MS_MAX = 3_600_000;
/** After so long without a ban the next one is short again. */
const BAN_MEMORY_MS = 24 * 3_600_000;

/** No honest peer sends this: four of them in a minute ban. */
const FORGED = 30;
/** Broken on purpose or by another version. */
const MALFORMED = 20;
/** Happens to honest peers now and then. */
const CLUMSY = 5;
/** Load does this, to honest peers most of all: 800 a minute ban, no fewer. */
const SLOW = 0.125;

/**
 * Points per code. A code that is not listed is taken for a malformed object: those are most of
 * the ledger's codes.
 */
const POINTS: Readonly<Record<string, number>> = {
  bad_block_signature: FORGED,
  bad_checkpoint_signature: FORGED,
  bad_event_signature: FORGED,
  hello_invalid: FORGED,
  frame_invalid: MALFORMED,
  frame_too_large: MALFORMED,
  // a node that stops cuts the frames that it is sending
  frame_truncated: 1,
  frame_unexpected: MALFORMED,
  gossip_rejected: MALFORMED,
  gossip_too_large: MALFORMED,
  hello_repeated: MALFORMED,
  foreign_chain: CLUMSY,
  hello_timeout: CLUMSY,
  // a backup that was put back goes through the keys that it holds
  key_retired: 1,
  key_revoked: CLUMSY,
  join_refused: CLUMSY,
  request_stalled: CLUMSY,
  rate_limited: SLOW,
  response_too_large: CLUMSY,
  gossip_overload: SLOW,
  request_timeout: SLOW,
  not_admitted: CLUMSY,
  too_many_links: CLUMSY,
  actor_changed: CLUMSY,
  // what the network does, and the right of every peer to refuse
  hello_refused: 0,
  protocol_unsupported: 0,
  peer_gone: 0,
  request_refused: 0,
  // it may be this node that is wrong, or has gone on meanwhile
  snapshot_contradicts: 0,
  snapshot_stale: 1,
  too_many_peers: 0,
};

/** Points that `code` costs. */
export function pointsOf(code: string): number {
  if (OWN_FAILURES.has(code)) return 0;
  return Object.hasOwn(POINTS, code) ? (POINTS[code] ?? MALFORMED) : MALFORMED;
}

interface Row {
  points: number;
  at_ms: number;
  bans: number;
  bannedUntil_ms: number;
}

/**
 * The scores of at most `TABLE_MAX` peers; the one touched longest ago and not banned is forgotten
 * first.
 */
export class PeerScores {
  readonly #clock: Clock;
  readonly #rows = new Map<PeerName, Row>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds the points of `code`; true when that bans the peer now. */
  penalise(peer: PeerName, code: string): boolean {
    const points = pointsOf(code);
    if (points === 0) return false;
    const now = this.#clock.monotonic_ms();
    const row = this.#rows.get(peer) ?? { points: 0, at_ms: now, bans: 0, bannedUntil_ms: 0 };
    row.points = decayed(row, now) + points;
    row.at_ms = now;
    this.#rows.delete(peer);
    this.#rows.set(peer, row);
    this.#evict(now);
    if (row.points < BAN_POINTS || now < row.bannedUntil_ms) return false;
    if (now - row.bannedUntil_ms > BAN_MEMORY_MS) row.bans = 0;
    row.bannedUntil_ms = now + Math.min(BAN_MS_MAX, BAN_MS_MIN * 2 ** row.bans);
    row.bans += 1;
    row.points = BAN_POINTS / 2;
    return true;
  }

  /** Milliseconds until `peer` is let in again; 0 when it is not banned. */
  bannedFor_ms(peer: PeerName): number {
    return Math.max(0, (this.#rows.get(peer)?.bannedUntil_ms ?? 0) - this.#clock.monotonic_ms());
  }

  /** Points now, rounded; 0 is a clean sheet. */
  score(peer: PeerName): number {
    const row = this.#rows.get(peer);
    return row === undefined ? 0 : Math.round(decayed(row, this.#clock.monotonic_ms()));
  }

  /** Every peer banned now. */
  banned(): PeerName[] {
    return [...this.#rows.keys()].filter((peer) => this.bannedFor_ms(peer) > 0);
  }

  #evict(now_ms: number): void {
    if (this.#rows.size <= TABLE_MAX) return;
    const rows = [...this.#rows];
    const victim = rows.find(([, row]) => row.bannedUntil_ms <= now_ms) ?? rows[0];
    if (victim !== undefined) this.#rows.delete(victim[0]);
  }
}

function decayed(row: Row, now_ms: number): number {
  return row.points * 0.5 ** ((now_ms - row.at_ms) / HALF_LIFE_MS);
}
