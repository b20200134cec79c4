import { codeOf } from './errors.ts';
import type { Body, Entry } from './event.ts';
import { bytesOf } from './ids.ts';
import { storeKeys } from './keys.ts';
import type { BlockStore, Clock, Entropy, Log } from './ports.ts';
import type { Replica } from './replica.ts';

/** The kind with which a validator says that its store was lost. */
export const RETURN_KIND = 'committee.return/1';
const NONCE_BYTES = 16;
/** How often it is looked whether the node is in step, so that it can say so. */
const LOOK_MS = 500;

/** What the returning validator needs of its node. */
export interface ReturningHost {
  /** Whether the node holds what its peers do. */
  isInStep(): boolean;
  /** Authors a signed event as this node. */
  author(kind: string, body: Body): Promise<Entry>;
}

/**
 * The way back of a validator whose store was lost (consensus.md 2.12): it cannot know what it has
 * signed in any epoch that was running before the loss. So it says that it lost its store, in an
 * event with a fresh nonce. An epoch that begins after the one in which this event is final began
 * after the loss, so nothing can have been signed in it before: there it seals again. Needs no
 * clock, and no word of a peer.
 */
export class Returning {
  readonly #replica: Replica;
  readonly #store: BlockStore;
  readonly #clock: Pick<Clock, 'after'>;
  readonly #entropy: Entropy;
  readonly #log: Log;
  readonly #host: ReturningHost;
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(
    replica: Replica,
    ports: {
      readonly store: BlockStore;
      readonly clock: Clock;
      readonly entropy: Entropy;
      readonly log: Log;
    },
    host: ReturningHost,
  ) {
    this.#replica = replica;
    this.#store = ports.store;
    this.#clock = ports.clock;
    this.#entropy = ports.entropy;
    this.#log = ports.log;
    this.#host = host;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** At start, when own blocks turn out to be forgotten, and in every epoch. */
  begin(): void {
    if (this.#isStopped || this.#cancel || !this.#replica.hasForgotten) return;
    this.#cancel = this.#clock.after(LOOK_MS, () => {
      this.#cancel = undefined;
      this.#look().catch((error: unknown) => {
        this.#log.warn({ code: codeOf(error) }, 'the loss of the store could not be told yet');
        this.begin();
      });
    });
  }

  /** Says it once, as soon as it can be heard: only a member's events count. */
  async #look(): Promise<void> {
    const { hasForgotten, hasSeat } = this.#replica;
    if (!hasForgotten || !hasSeat || this.#store.get(storeKeys.returning)) return;
    if (!this.#host.isInStep()) {
      this.begin();
      return;
    }
    const nonce = this.#entropy.bytes(NONCE_BYTES);
    const { id } = await this.#host.author(RETURN_KIND, { nonce });
    await this.#store.write(
      [{ type: 'put', key: storeKeys.returning, value: bytesOf(id) }],
      { sync: true },
    );
  }

  /** Asked when an epoch is entered: whether it began after the loss. */
  get mayReturn(): boolean {
    const id = this.#store.get(storeKeys.returning);
    return id !== undefined && this.#replica.fold.isFinal(id.toHex());
  }
}
