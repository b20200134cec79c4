import type { Clock } from '#ledger/ports.ts';
import type { Authority, IssuedX509 } from './authority.ts';
import type { RegistrationEntry } from '#projections/identity-entries.ts';
import { BACKDATED_MS } from './x509-issuing.ts';

interface Held {
  readonly entry: RegistrationEntry;
  readonly authority: Authority;
  readonly svid: Promise<IssuedX509>;
  readonly renewAt_ms: number;
  readonly madeAt_ms: number;
}

/**
 * The X.509-SVIDs given out, one for each entry and shared by all processes that it fits. A new one
 * with a new key is made at half its life, when the entry or the authority has changed, and when
 * the clock was set back to before its validity. Keys are held in memory only; bound: the entries.
 */
export class SvidShelf {
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A failed making is not kept. */
  async take(entry: RegistrationEntry, authority: Authority): Promise<IssuedX509> {
    const known = this.#held.get(entry.id);
    if (known && this.#isFresh(known, entry, authority)) return known.svid;
    const now_ms = this.#clock.wall_ms();
    const svid = authority.issueX509(entry.spiffeId, entry.x509Ttl_s);
    const end_ms = Math.min(now_ms + entry.x509Ttl_s * 1000, authority.notAfter_ms);
    const renewAt_ms = now_ms + (end_ms - now_ms) / 2;
    const held = { entry, authority, svid, renewAt_ms, madeAt_ms: now_ms };
    this.#held.set(entry.id, held);
    try {
      return await svid;
    } catch (error) {
      if (this.#held.get(entry.id) === held) this.#held.delete(entry.id);
      throw error;
    }
  }

  /** Forgets what belongs to no entry of these. */
  keep(entries: readonly RegistrationEntry[]): void {
    const ids = new Set(entries.map(({ id }) => id));
    for (const id of this.#held.keys()) if (!ids.has(id)) this.#held.delete(id);
  }

  #isFresh(held: Held, entry: RegistrationEntry, authority: Authority): boolean {
    const now_ms = this.#clock.wall_ms();
    return (
      held.authority === authority &&
      held.entry.spiffeId.uri === entry.spiffeId.uri &&
      held.entry.x509Ttl_s === entry.x509Ttl_s &&
      now_ms < held.renewAt_ms &&
      now_ms >= held.madeAt_ms - BACKDATED_MS
    );
  }
}
