/**
 * The gossip half of the network port on gossipsub 1.2: no signatures of its own (blocks carry
 * their author's), ids from the content, and a message spreads only after its handler accepted it.
 * Message loss is normal here: a slow peer's queue is reset, a message is not repeated within two
 * minutes, and the log's sync fetches what is missing.
 */
import { X0tError } from '#ledger/errors.ts';
import { GOSSIP_BYTES_MAX } from '#ledger/limits.ts';
import type { Clock, GossipVerdict, Log, PeerName, Topic } from '#ledger/ports.ts';
import { Bucket } from '#ledger/token-buckets.ts';
import { TopicValidatorResult } from '@libp2p/gossipsub';
import type { GossipsubMessage } from '@libp2p/gossipsub';
import type { Counters } from './counters.ts';
import { nameOf } from './failures.ts';
import { IDONTWANT_BYTES_MIN, topicName, TOPICS } from './gossip-service.ts';
import type { GossipRouter } from './gossip-service.ts';
import {
  GOSSIP_BURST,
  GOSSIP_PENDING_BYTES_MAX,
  GOSSIP_PENDING_MAX,
  GOSSIP_PER_S,
} from './limits.ts';
import type { Links } from './links.ts';

const GOSSIP_RATE = { perSecond: GOSSIP_PER_S, burst: GOSSIP_BURST };

export type GossipHandler = (message: Uint8Array, from: PeerName) => Promise<GossipVerdict>;

/** Bounds of the time for which an accepted message is held before it is passed on. */
const HOLD_MS_MIN = 10;
const HOLD_MS_MAX = 100;

const ACCEPTANCE: Readonly<Record<GossipVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

export interface GossipParts {
  readonly chain: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly links: Links;
  readonly counters: Counters;
  readonly penalise: (peer: PeerName, code: string) => void;
}

/** Topics, their handlers, and the messages that handlers are busy with. */
export class Gossip {
  readonly #parts: GossipParts;
  readonly #handlers = new Map<
    string,
    { readonly topic: Topic; readonly handler: GossipHandler }
  >();
  #router: GossipRouter | undefined;
  // messages whose handler has not answered
  readonly #pendingOf = new Map<PeerName, number>();
  #pendingBytes = 0;
  /** What is left of those whose share is below 1; `forget` drops a peer's. */
  readonly #shares = new Map<PeerName, { readonly share: number; readonly bucket: Bucket }>();

  constructor(parts: GossipParts) {
    this.#parts = parts;
  }

  subscribe(topic: Topic, handler: GossipHandler): void {
    this.#handlers.set(topicName(this.#parts.chain, topic), { topic, handler });
  }

  /** Call after the router has started. */
  start(router: GossipRouter): void {
    this.#router = router;
    router.addEventListener(
      'gossipsub:message',
      (event) => void this.#receive(router, event.detail),
    );
    for (const name of this.#handlers.keys()) router.subscribe(name);
  }

  stop(): void {
    this.#router = undefined;
  }

  async publish(topic: Topic, message: Uint8Array): Promise<void> {
    const { chain, counters } = this.#parts;
    if (message.byteLength > GOSSIP_BYTES_MAX) {
      throw new X0tError(
        'message_too_large',
        'Gossip carries at most 1 MiB; send bulk data over a request.',
        {
          bytes: message.byteLength,
          bytes_max: GOSSIP_BYTES_MAX,
        },
      );
    }
    if (this.#router === undefined)
      throw new X0tError('network_stopped', 'The network is not running; start it first.');
    counters.add('gossip_out_total', topic);
    counters.add('gossip_out_bytes_total', topic, message.byteLength);
    await this.#router.publish(topicName(chain, topic), message);
  }

  /** Forgets a peer that went down. */
  forget(peer: PeerName): void {
    this.#shares.delete(peer);
  }

  /** Topics to which the peer has subscribed, as far as it has told. */
  topicsOf(peer: PeerName): Topic[] {
    return TOPICS.filter((topic) => {
      const takers = this.#router?.getSubscribers(topicName(this.#parts.chain, topic)) ?? [];
      return takers.some((taker) => taker.toString() === peer);
    });
  }

  /** Which gossip streams to an admitted peer are open. */
  streams(peer: PeerName): 'both' | 'outbound' | 'inbound' | 'none' {
    const outbound = this.#router?.streamsOutbound.has(peer) === true;
    const inbound = this.#router?.streamsInbound.has(peer) === true;
    if (outbound) return inbound ? 'both' : 'outbound';
    return inbound ? 'inbound' : 'none';
  }

  /** Never rejects. */
  async #receive(
    router: GossipRouter,
    { msg, msgId, propagationSource }: GossipsubMessage,
  ): Promise<void> {
    const { clock, counters, links, penalise } = this.#parts;
    const from = propagationSource.toString();
    const known = this.#handlers.get(msg.topic);
    const start_ms = clock.monotonic_ms();
    const verdict =
      known === undefined
        ? 'ignore'
        : await this.#judge(known.topic, known.handler, msg.data, from);
    if (verdict === 'accept' && msg.data.byteLength >= IDONTWANT_BYTES_MIN) {
      await this.#hold(clock.monotonic_ms() - start_ms);
    }
    router.reportMessageValidationResult(msgId, from, ACCEPTANCE[verdict]);
    if (known === undefined) return;
    counters.add('gossip_in_total', `${known.topic} ${verdict}`);
    counters.add('gossip_in_bytes_total', known.topic, msg.data.byteLength);
    links.heard(from);
    if (verdict === 'reject') penalise(from, 'gossip_rejected');
  }

  /** Whether the peer's share of what is taken per second is not used up. */
  #isWithin(from: PeerName, share: number): boolean {
    if (share >= 1) return true;
    let row = this.#shares.get(from);
    if (row?.share !== share) {
      const bucket = Bucket.scaled(this.#parts.clock, GOSSIP_RATE, share);
      this.#shares.set(from, (row = { share, bucket }));
    }
    return row.bucket.take();
  }

  /**
   * Waits before a message is passed on, until peers that got it from its author can have said so:
   * an IDONTWANT takes a round trip. The author sent to all its peers, so in a full mesh nobody
   * waits for the forwarded copy. With handlers that answer at once each message came three times
   * at four nodes without this, and hardly ever twice with it.
   */
  #hold(spent_ms: number): Promise<void> {
    const { clock, links } = this.#parts;
    const rtt_ms = Math.max(...links.all().map((peer) => peer.rtt_ms ?? 0));
    const hold_ms = Math.min(HOLD_MS_MAX, Math.max(HOLD_MS_MIN, rtt_ms)) - spent_ms;
    if (hold_ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      clock.after(hold_ms, resolve);
    });
  }

  async #judge(
    topic: Topic,
    handler: GossipHandler,
    data: Uint8Array,
    from: PeerName,
  ): Promise<GossipVerdict> {
    const { links, log, penalise } = this.#parts;
    const access = links.get(from)?.access;
    if (access?.gossips !== true || !this.#isWithin(from, access.share)) return 'ignore';
    if (data.byteLength > GOSSIP_BYTES_MAX) {
      penalise(from, 'gossip_too_large');
      return 'ignore';
    }
    const pending = this.#pendingOf.get(from) ?? 0;
    if (
      pending >= GOSSIP_PENDING_MAX ||
      this.#pendingBytes + data.byteLength > GOSSIP_PENDING_BYTES_MAX
    ) {
      if (pending >= GOSSIP_PENDING_MAX) penalise(from, 'gossip_overload');
      return 'ignore';
    }
    this.#pendingOf.set(from, pending + 1);
    this.#pendingBytes += data.byteLength;
    try {
      // a plain Uint8Array: libp2p hands out Buffers, which some engines refuse
      return await handler(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), from);
    } catch (error) {
      log.error({ topic, from, error: nameOf(error) }, 'gossip handler failed');
      return 'ignore';
    } finally {
      const left = (this.#pendingOf.get(from) ?? 1) - 1;
      if (left === 0) this.#pendingOf.delete(from);
      else this.#pendingOf.set(from, left);
      this.#pendingBytes -= data.byteLength;
    }
  }
}
