import type { Certifier } from './certifier.ts';
import type { Committee } from './committee.ts';
import { OWN_FAILURES, codeOf } from './errors.ts';
import type { EventIntake } from './event-intake.ts';
import type { BlockIntake } from './intake.ts';
import type { GossipVerdict, Log, Network, PeerName, Topic } from './ports.ts';
import { decodePoolItems } from '#ledger/sync/messages.ts';

/** Who takes what comes; each throws the code of what it does not take. */
export interface GossipTakers {
  readonly blocks: Pick<BlockIntake, 'take'>;
  readonly events: Pick<EventIntake, 'take'>;
  readonly votes: Pick<Certifier, 'take'>;
}

/** What goes to everybody and comes from anybody: blocks, events and votes on checkpoints. */
export class Gossip {
  readonly #network: Pick<Network, 'publish' | 'subscribe' | 'peers' | 'penalise'>;
  readonly #committee: () => Committee;
  readonly #log: Log;

  /** `committee`: the present one. */
  constructor(
    network: Pick<Network, 'publish' | 'subscribe' | 'peers' | 'penalise'>,
    committee: () => Committee,
    log: Log,
  ) {
    this.#network = network;
    this.#committee = committee;
    this.#log = log;
  }

  /** A message that cannot be sent is logged: others ask for what they miss. */
  publish(topic: Topic, message: Uint8Array): void {
    this.#network.publish(topic, message).catch((error: unknown) => {
      this.#log.warn({ topic, code: codeOf(error) }, 'a message could not be published');
    });
  }

  /** Registers the handlers; what a peer sends against the rules is held against it. */
  attach({ blocks, events, votes }: GossipTakers): void {
    this.#network.subscribe('block', (message, from) =>
      this.#judged(from, async () => this.#forOthers(await blocks.take(message, from))),
    );
    this.#network.subscribe('events', (message, from) =>
      this.#judged(from, () => events.take(decodePoolItems(message), false, from)),
    );
    this.#network.subscribe('checkpoint', (message, from) =>
      this.#judged(from, async () => this.#forOthers(await votes.take(message))),
    );
  }

  /** What is valid is handed on only where somebody may need it from this node. */
  #forOthers(verdict: GossipVerdict): GossipVerdict {
    return verdict === 'accept' && !this.#mustSpread() ? 'ignore' : verdict;
  }

  /**
   * Whether others may need a block from this node. Its author sends it to all that it is linked
   * to, so in a committee where everybody is linked to everybody handing it on would double the
   * work of all; a validator without a link to the author fetches it as a parent. Observers and a
   * torn mesh need it.
   */
  #mustSpread(): boolean {
    const committee = this.#committee();
    let validators = 0;
    for (const { actor } of this.#network.peers()) {
      if (committee.indexOf(actor) === undefined) return true;
      validators += 1;
    }
    return validators < committee.size - 1;
  }

  async #judged(from: PeerName, take: () => Promise<GossipVerdict>): Promise<GossipVerdict> {
    try {
      return await take();
    } catch (error) {
      const code = codeOf(error);
      if (OWN_FAILURES.has(code)) return 'ignore';
      this.#network.penalise(from, code);
      return 'reject';
    }
  }
}
