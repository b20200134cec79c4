import { keysFor, sealBlock } from './block.ts';
import type { Block } from './block.ts';
import type { EpochRun } from './epoch-run.ts';
import { Lateness } from './lateness.ts';
import { pickPayload } from './payload.ts';
import type { Pool } from './pool.ts';
import type { Clock, Id, Signer } from './ports.ts';
import { propose } from './propose.ts';
import type { Pace } from './propose.ts';

/** What the sealer needs of the replica. */
export interface SealerHost {
  /** Whether the clock can be trusted for a block. */
  maySeal(): boolean;
  isConnected(actor: Id): boolean;
  /** A timer fired: the replica looks again. */
  wake(): void;
}

/**
 * Makes own blocks when the proposal rule says so, and a timer for when it should be asked again.
 * Keeps nothing but pace; the caller writes the block before it shows it.
 */
export class Sealer {
  readonly #chain: Id;
  readonly #pace: Pace;
  readonly #clock: Clock;
  readonly #host: SealerHost;
  readonly #lateness = new Lateness();
  #last_ms = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(chain: Id, pace: Pace, clock: Clock, host: SealerHost) {
    this.#chain = chain;
    this.#pace = pace;
    this.#clock = clock;
    this.#host = host;
  }

  /** When the last block was sealed, on the monotonic clock. */
  get last_ms(): number {
    return this.#last_ms;
  }

  stop(): void {
    this.#cancel?.();
  }

  /**
   * The block that is due now over this DAG, if any; the run takes it as its last. `signer`: of the
   * key that the run's committee names.
   */
  async seal(run: EpochRun, pool: Pool, signer: Signer): Promise<Block | undefined> {
    const { committee, orderer, roundClock, last: own, self } = run;
    if (self === undefined || !own || orderer.isEnded) return undefined;
    const now_ms = this.#clock.monotonic_ms();
    const hasOwn = pool.ownWaiting > 0;
    const due_ms = hasOwn ? undefined : pool.nextDue_ms();
    const situation = {
      orderer,
      committee,
      self,
      clockRound: roundClock.round,
      entered_ms: roundClock.entered_ms,
      last: own,
      lastSeal_ms: this.#last_ms,
      lateness_ms: this.#lateness.smoothed_ms,
      referenced: run.referenced,
      hasPayload: hasOwn || (due_ms !== undefined && due_ms <= now_ms),
      isConnected: (index: number) => this.#host.isConnected(committee.at(index).actor),
    };
    const proposal = propose(situation, this.#pace, now_ms);
    this.#arm(pool, proposal.type === 'wait' ? proposal.until_ms : undefined, now_ms);
    if (proposal.type !== 'seal' || !this.#host.maySeal()) return undefined;
    this.#lateness.woke(now_ms);
    const { entries, keys } = pickPayload(pool.ready(now_ms), self, committee);
    const { last } = orderer.state;
    const draft = {
      chain: this.#chain,
      epoch: committee.epoch,
      committee: committee.id,
      round: proposal.round,
      author: self,
      ts_ms: this.#clock.wall_ms(),
      parents: proposal.parents,
      ...(last.index > 0 && { vote: { index: last.index, id: last.id } }),
    };
    const table = keysFor(entries, self, committee, (id) => keys.get(id));
    const block = await sealBlock(draft, entries, table, signer);
    this.#last_ms = now_ms;
    run.last = block.ref;
    for (const { author, round } of proposal.parents) run.referenced.set(author, round);
    return block;
  }

  /** The next turn comes at the latest at `until_ms`, or when another's pending event is due. */
  #arm(pool: Pool, until_ms: number | undefined, now_ms: number): void {
    this.#cancel?.();
    if (until_ms !== undefined) this.#lateness.waits(until_ms);
    const due_ms = pool.nextDue_ms();
    const times = [until_ms, due_ms !== undefined && due_ms > now_ms ? due_ms : undefined];
    const next_ms = Math.min(...times.filter((time) => time !== undefined));
    if (!Number.isFinite(next_ms)) return;
    this.#cancel = this.#clock.after(Math.max(0, next_ms - now_ms), () => this.#host.wake());
  }
}
