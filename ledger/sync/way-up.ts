import type { Clock, Network, PeerName } from '#ledger/ports.ts';
import type { Frontier } from './messages.ts';
import type { SnapshotProgress, SnapshotSync } from './snapshot-sync.ts';

/** How a node that is far behind comes up: `full` takes the whole log where a peer has it. */
export type SyncMode = 'full' | 'snapshot';

/** Behind by fewer commits than this, a snapshot is not worth it. */
const SNAPSHOT_COMMITS = 128;
/** Peers that have not told what they hold are waited for so long before a snapshot is taken. */
const UNHEARD_MS = 3000;
/** When no peer gave a snapshot, the next try comes after this. */
const AGAIN_MS = 1000;
/** After so many tries without one, commits are taken where a peer has them. */
const TRIES_MAX = 3;

/**
 * The way of a node that is far behind (consensus.md 2.11): commits, where a linked peer has them,
 * else a snapshot.
 */
export class WayUp {
  readonly #snapshots: Pick<SnapshotSync, 'run' | 'isRunning' | 'progress'>;
  readonly #network: Pick<Network, 'peers'>;
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #mode: SyncMode;
  /** The first commit that each linked peer has. */
  readonly #firsts = new Map<PeerName, number>();
  #noLog_ms: number | undefined;
  #again_ms = 0;
  #tries = 0;

  constructor(
    snapshots: Pick<SnapshotSync, 'run' | 'isRunning' | 'progress'>,
    network: Pick<Network, 'peers'>,
    clock: Pick<Clock, 'monotonic_ms'>,
    mode: SyncMode,
  ) {
    this.#snapshots = snapshots;
    this.#network = network;
    this.#clock = clock;
    this.#mode = mode;
  }

  /** Whether a snapshot is being fetched. */
  get isFetching(): boolean {
    return this.#snapshots.isRunning;
  }

  get progress(): SnapshotProgress | undefined {
    return this.#snapshots.progress;
  }

  /** What a peer has told of itself. */
  note(peer: PeerName, { first }: Frontier): void {
    const linked = new Set(this.#network.peers().map((one) => one.peer));
    for (const known of this.#firsts.keys()) if (!linked.has(known)) this.#firsts.delete(known);
    this.#firsts.set(peer, first);
  }

  /**
   * Fetches a snapshot if that is the way from commit `next()` on. Returns whether commits may be
   * taken from this peer then.
   */
  async go(next: () => number, { commit, first }: Frontier): Promise<boolean> {
    if (this.isFetching) return false;
    const prefers = this.#mode === 'snapshot' && this.#tries < TRIES_MAX;
    const isLong = prefers && commit - next() > SNAPSHOT_COMMITS;
    const now_ms = this.#clock.monotonic_ms();
    if (isLong || (first > next() && this.#isLogGone(next(), now_ms))) {
      if (now_ms < this.#again_ms) return false;
      const isDone = await this.#snapshots.run();
      this.#tries = isDone ? 0 : this.#tries + 1;
      this.#again_ms = isDone ? 0 : this.#clock.monotonic_ms() + AGAIN_MS;
      if (!isDone) return false;
    }
    return first <= next();
  }

  /** Whether no linked peer has the commit; those that have not told yet may for a while. */
  #isLogGone(commit: number, now_ms: number): boolean {
    const firsts = this.#network.peers().map(({ peer }) => this.#firsts.get(peer));
    const isSomewhere = firsts.some((first) => first !== undefined && first <= commit);
    if (isSomewhere) this.#noLog_ms = undefined;
    else this.#noLog_ms ??= now_ms;
    if (isSomewhere || this.#noLog_ms === undefined) return false;
    return !firsts.includes(undefined) || now_ms - this.#noLog_ms > UNHEARD_MS;
  }
}
