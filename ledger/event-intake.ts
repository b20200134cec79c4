import { codeOf, OWN_FAILURES, StateRefusal } from './errors.ts';
import { entryLeaf } from './event.ts';
import type { GossipVerdict, Network, PeerName } from './ports.ts';
import type { Submissions } from './submissions.ts';
import type { PoolItem } from '#ledger/sync/messages.ts';
import type { VerifiedEntries } from './verified.ts';

/** Events of one message that are checked together: what forged ones can cost. */
const AT_ONCE = 32;

/** Refusals of what a well-behaved peer sends: it does not know this node's state. */
const HARMLESS = new Set([
  'replayed',
  'expired',
  'slot_pending',
  'actor_quota',
  'pool_full',
  'overloaded',
  'not_member',
  'key_retired',
  'key_revoked',
  'too_many_lanes',
  'unknown_kind',
  // a defect of this node
  'internal',
  ...OWN_FAILURES,
]);

/** The way of pool events from peers to the pool, and what is held against who sent them. */
export class EventIntake {
  readonly #submissions: Submissions;
  readonly #verified: VerifiedEntries;
  readonly #network: Pick<Network, 'peers' | 'penalise'>;

  constructor(
    submissions: Submissions,
    verified: VerifiedEntries,
    network: Pick<Network, 'peers' | 'penalise'>,
  ) {
    this.#submissions = submissions;
    this.#verified = verified;
    this.#network = network;
  }

  /**
   * Takes the events of one message; with `isOrigin` the sender has acknowledged them and hands
   * them over. What is merely late or full here is no fault of the peer's; after a fault the rest
   * is not looked at, nor anything of a peer that has gone. Only a message whose every signature
   * was found to hold is passed on: who passes on forged ones is banned for them.
   */
  async take(
    items: readonly PoolItem[],
    isOrigin: boolean,
    from: PeerName,
  ): Promise<GossipVerdict> {
    let isVerified = true;
    for (let at = 0; at < items.length; at += AT_ONCE) {
      if (!this.#network.peers().some(({ peer }) => peer === from)) return 'ignore';
      const results = await Promise.allSettled(
        items
          .slice(at, at + AT_ONCE)
          .map(({ entry, coseKey }) =>
            this.#submissions.submit(entry, coseKey, isOrigin, isOrigin, from),
          ),
      );
      let isForged = false;
      for (const result of results) {
        if (result.status === 'fulfilled') {
          isVerified &&= this.#verified.has(entryLeaf(result.value));
          continue;
        }
        isVerified = false;
        const code = codeOf(result.reason);
        this.#submissions.refused(code);
        if (HARMLESS.has(code) || result.reason instanceof StateRefusal) continue;
        isForged = true;
        this.#network.penalise(from, code);
      }
      if (isForged) return 'reject';
    }
    return isVerified ? 'accept' : 'ignore';
  }
}
