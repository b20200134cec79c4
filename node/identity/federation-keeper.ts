import { X0tError, codeOf } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { every } from '#ledger/every.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { rendezvous } from '#ledger/submissions.ts';
import { RankedTries } from '#node/ranked-tries.ts';
import { REFRESH_KIND, refreshSupport } from '#projections/identity-federation.ts';
import type { Federation } from '#projections/identity-federation.ts';
import type { Case, FederationKeeperParts, FetchStatus } from './federation-parts.ts';
import { countsOf, intervalOf, orderIn, vouchingOf, windowOf } from './federation-turns.ts';

/** How often it looks at what is due by time alone. */
export const LOOK_MS = 1_000;
/** After failures polls are left out: of eight windows at most, and no longer than an hour. */
const BACKOFF_TURNS_MAX = 8;
const BACKOFF_MS_MAX = 3_600_000;
/** From a fetch to one that others' statements ask for; doubles with each of these in a window. */
const QUIET_MS = 10_000;
const FETCHES_MAX = 4;
/** A statement that is not final by then is taken for lost. */
const LOST_MS = 600_000;
/** So many changes in a row are news; with each more the pause doubles. */
const CHANGES_MAX = 2;
const UNSTEADY_MS_MAX = 86_400_000;
const unsteady = new X0tError('bundle_unsteady', 'A foreign bundle changes all the time.');

/**
 * A validator's part in keeping foreign bundles current. In each window, as long as the bundle's
 * refresh hint, as many validators poll as it takes to replace the bundle, so one that is honest at
 * least; who they are changes from window to window. They author the digest of what they found, if
 * it has changed, once in a window at most. Of a bundle that somebody vouches for the others
 * convince themselves, each by a fetch of its own, as many at a time as are needed, until enough
 * vouch for the same: one of these tells the document. A bundle that changes again and again, also
 * before it is told, is fetched more and more rarely.
 */
export class FederationKeeper {
  readonly #parts: FederationKeeperParts;
  readonly #cases = new Map<string, Case>();
  readonly #tries: RankedTries;
  #fetching = 0;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(parts: FederationKeeperParts) {
    this.#parts = parts;
    this.#tries = new RankedTries(parts.fallback_ms);
  }

  start(): void {
    this.#cancel = every(this.#parts.clock, LOOK_MS, () => this.look());
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** Of the relationships that this node fetches for; none while it has no seat. */
  get status(): readonly FetchStatus[] {
    return Array.from(this.#cases.values(), ({ status }) => status);
  }

  /** Does what is due; called on final events and from time to time. Never throws. */
  look(): void {
    if (this.#isStopped) return;
    const { self, seats, list } = this.#parts;
    const held = seats();
    const actors = held.validators.map(({ actor }) => actor);
    const isSeated = actors.includes(self);
    const polled = isSeated ? list().filter(({ endpoint }) => endpoint !== undefined) : [];
    const names = new Set(polled.map(({ trustDomain }) => trustDomain));
    for (const name of this.#cases.keys()) if (!names.has(name)) this.#cases.delete(name);
    const due = new Set<string>();
    const support = refreshSupport(held);
    for (const federation of polled) {
      const one = this.#caseOf(federation);
      this.#plan(one, federation, actors, support);
      this.#vouch(one, federation, actors, due, support);
      this.#doubt(one, federation, actors, due, support);
      const isDue = one.poll_ms !== undefined && this.#now_ms >= one.poll_ms;
      if (isDue && this.#mayFetch(one)) {
        one.poll_ms = undefined;
        void this.#fetch(one, federation);
      }
    }
    this.#tries.keep(due);
  }

  get #now_ms(): number {
    return this.#parts.clock.monotonic_ms();
  }

  #caseOf(federation: Federation): Case {
    const { trustDomain, basis, digest } = federation;
    const interval_s = intervalOf(federation);
    let one = this.#cases.get(trustDomain);
    if (one?.basis !== basis) {
      one = {
        basis, digest, window: -1, poll_ms: undefined, paused_ms: 0, quiet_ms: 0, doubts: 0,
        failures: 0, isFetching: false, fetched: undefined, sent: undefined,
        saidIn: -1, gaveIn: -1, seen: '', seen_ms: -Infinity, changes: 0, calm_ms: -Infinity,
        status: { trustDomain, interval_s },
      };
      this.#cases.set(trustDomain, one);
    }
    one.status = { ...one.status, interval_s };
    if (one.digest !== digest) {
      // it was refreshed: nobody has to any more in this window
      one.digest = digest;
      this.#noteNew(one, federation.content ?? digest, interval_s * 1000);
      one.fetched = undefined;
      one.poll_ms = undefined;
    }
    return one;
  }

  /** Whether and when this node polls in the present window. */
  #plan(one: Case, federation: Federation, actors: readonly Id[], support: number): void {
    const { self, clock, entropy, fallback_ms } = this.#parts;
    const window = windowOf(federation, clock.wall_ms());
    if (one.window === window) return;
    one.window = window;
    one.doubts = 0;
    const rank = orderIn(window, federation, actors).indexOf(self);
    const [jitter = 0] = entropy.bytes(1);
    // all of them within half a window
    const step_ms = Math.min(fallback_ms, (intervalOf(federation) * 1000) / (2 * support));
    const turn_ms = this.#now_ms + (rank + jitter / 256) * step_ms;
    const due_ms = Math.max(turn_ms, one.paused_ms, one.calm_ms);
    one.poll_ms = rank < support ? due_ms : undefined;
  }

  /** Says the digest of what was fetched; the document once enough vouch for it. */
  #vouch(
    one: Case,
    federation: Federation,
    actors: readonly Id[],
    due: Set<string>,
    support: number,
  ): void {
    const { fetched, window } = one;
    // what waits for a quorum is not said again
    if (one.sent && !one.sent.isFinal() && this.#now_ms < one.sent.until_ms) return;
    one.sent = undefined;
    if (!fetched) return;
    const { self } = this.#parts;
    const { trustDomain, basis } = federation;
    const { digest, sequence, document } = fetched;
    const vouching = vouchingOf(federation, fetched, actors);
    const isSaid = vouching.includes(self);
    const others = vouching.length - Number(isSaid);
    const isEnough = others + 1 >= support;
    const isTold = isEnough ? one.gaveIn === window : isSaid || one.saidIn === window;
    if (isTold) return;
    const name = `${isEnough ? 'give' : 'say'} ${trustDomain} ${basis} ${digest} ${window}`;
    due.add(name);
    // whoever completes comes first, then who has vouched, then who need not any more
    const ranked = (): number => {
      if (isSaid) return rendezvous(digest, vouching).indexOf(self);
      return others < support ? 0 : others;
    };
    if (!this.#tries.isDue(name, ranked, actors.length, this.#now_ms)) return;
    if (isEnough) one.gaveIn = window;
    else one.saidIn = window;
    void this.#author(one, {
      trustDomain,
      basis: bytesOf(basis),
      digest: bytesOf(digest),
      ...(sequence !== undefined && { sequence: String(sequence) }),
      ...(isEnough && { bundle: document }),
    });
  }

  /** Fetches for itself what others vouch for and this node has not seen. */
  #doubt(
    one: Case,
    federation: Federation,
    actors: readonly Id[],
    due: Set<string>,
    support: number,
  ): void {
    const { self } = this.#parts;
    const { trustDomain, basis } = federation;
    for (const digest of countsOf(federation, self, actors).keys()) {
      if (one.fetched?.digest === digest) continue;
      const name = `look ${trustDomain} ${basis} ${digest}`;
      due.add(name);
      if (!this.#mayFetch(one) || this.#now_ms < Math.max(one.quiet_ms, one.calm_ms)) continue;
      // as many at a time as are needed
      const rank = () => rendezvous(digest, actors).indexOf(self) / support;
      if (!this.#tries.isDue(name, rank, actors.length, this.#now_ms)) continue;
      one.doubts += 1;
      void this.#fetch(one, federation);
    }
  }

  #mayFetch(one: Case): boolean {
    return !one.isFetching && this.#fetching < FETCHES_MAX;
  }

  /** Never rejects. */
  async #fetch(one: Case, federation: Federation): Promise<void> {
    const { refetch, fetched, log, clock } = this.#parts;
    const { trustDomain } = federation;
    one.isFetching = true;
    this.#fetching += 1;
    try {
      const found = await refetch(federation);
      fetched(found ? 'changed' : 'same');
      if (one.failures > 0) log.info({ trustDomain }, 'a bundle endpoint answers again');
      one.failures = 0;
      one.paused_ms = 0;
      // another may have refreshed it meanwhile
      one.fetched = one.digest === federation.digest ? found : undefined;
      one.status = { ...one.status, checked_ms: clock.wall_ms() };
      if (found) this.#noteNew(one, found.digest, intervalOf(federation) * 1000);
    } catch (error) {
      this.#failed(one, federation, codeOf(error));
    } finally {
      one.isFetching = false;
      this.#fetching -= 1;
      one.quiet_ms = this.#now_ms + QUIET_MS * 2 ** one.doubts;
    }
    this.look();
  }

  /** Something new, here or on the ledger: too often in a row, and there is a pause. */
  #noteNew(one: Case, digest: Id, interval_ms: number): void {
    if (digest === one.seen) return;
    const now_ms = this.#now_ms;
    // within the windows that a turn takes to come round, and twice the last pause
    const since_ms = Math.max(one.seen_ms, one.calm_ms);
    const pause_ms = one.calm_ms > one.seen_ms ? one.calm_ms - one.seen_ms : 0;
    const isSoon = now_ms - since_ms <= 4 * interval_ms + pause_ms;
    one.changes = isSoon ? Math.min(one.changes + 1, 32) : 0;
    one.seen = digest;
    one.seen_ms = now_ms;
    if (one.changes <= CHANGES_MAX) return;
    const long_ms = interval_ms * 2 ** (one.changes - CHANGES_MAX);
    one.calm_ms = now_ms + Math.min(long_ms, UNSTEADY_MS_MAX);
    const { log, clock } = this.#parts;
    const { trustDomain } = one.status;
    const { code } = unsteady;
    log.warn({ trustDomain, code, changes: one.changes }, 'a foreign bundle does not stay');
    one.status = { ...one.status, failure: { at_ms: clock.wall_ms(), code } };
  }

  /** The held bundle stays. */
  #failed(one: Case, federation: Federation, code: string): void {
    const { fetched, log, clock } = this.#parts;
    const { trustDomain } = federation;
    fetched('failed', code);
    if (one.failures === 0 || one.status.failure?.code !== code) {
      log.warn({ trustDomain, code }, 'a foreign bundle could not be fetched');
    }
    one.failures += 1;
    const interval_ms = intervalOf(federation) * 1000;
    const turns = Math.min(BACKOFF_TURNS_MAX, 2 ** (one.failures - 1));
    const pause_ms = Math.min(turns * interval_ms, Math.max(interval_ms, BACKOFF_MS_MAX));
    one.paused_ms = this.#now_ms + pause_ms;
    one.status = { ...one.status, failure: { at_ms: clock.wall_ms(), code } };
  }

  /** Never rejects. */
  async #author(one: Case, body: Body): Promise<void> {
    const { log, author, authored } = this.#parts;
    const { trustDomain } = one.status;
    const sent = { isFinal: () => false, until_ms: this.#now_ms + LOST_MS };
    one.sent = sent;
    try {
      sent.isFinal = await author(REFRESH_KIND, body);
      authored();
      log.info({ trustDomain }, 'a foreign bundle has changed');
    } catch (error) {
      one.sent = undefined;
      log.warn({ trustDomain, code: codeOf(error) }, 'a foreign bundle could not be told');
    }
  }
}
