/**
 * The gossip half of the network port on gossipsub 1.2: no signatures of its own (blocks carry their author's), ids
 * from the content, and a message spreads only after its handler accepted it. Message loss is normal here: a slow
 * peer's queue is reset, a message is not repeated within two minutes, and the log's sync fetches what is missing.
 */
import { hash } from 'node:crypto';
import { X0tError } from '#ledger/errors.ts';
import { GOSSIP_BYTES_MAX } from '#ledger/limits.ts';
import type { GossipVerdict, Log, PeerName, Topic } from '#ledger/ports.ts';
import { gossipsub, StrictNoSign, TopicValidatorResult } from '@libp2p/gossipsub';
import type { GossipSub, GossipsubMessage, GossipSubComponents, GossipsubOpts } from '@libp2p/gossipsub';
import type { Counters } from './counters.ts';
import { nameOf } from './failures.ts';
import type { GatedRegistrar } from './gated-registrar.ts';
import { GOSSIP_PENDING_BYTES_MAX, GOSSIP_PENDING_MAX, GOSSIP_QUEUE_BYTES_MAX, GOSSIP_RPC_BYTES_MAX } from './limits.ts';
import type { SizeLimits } from './limits.ts';
import type { Links } from './links.ts';

/** What the installed gossipsub has besides its declared interface. */
export interface GossipRouter extends GossipSub {
  readonly streamsOutbound: ReadonlyMap<PeerName, unknown>;
  readonly streamsInbound: ReadonlyMap<PeerName, unknown>;
  reportMessageValidationResult(id: string, from: PeerName, acceptance: TopicValidatorResult): void;
}

export type GossipHandler = (message: Uint8Array, from: PeerName) => Promise<GossipVerdict>;

const ACCEPTANCE: Readonly<Record<GossipVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

/** The topic's name on the wire; `chain` is the genesis id in hex. */
export function topicName(chain: string, topic: Topic): string {
  return `x0t/${chain.slice(0, 16)}/${topic}/1`;
}

/** The service for `createLibp2p`. */
export function gossipService(chain: string, sizes: SizeLimits, gate: GatedRegistrar) {
  const options: Partial<GossipsubOpts> = {
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => hash('sha256', message.data, 'buffer'),
    asyncValidation: true,
    fallbackToFloodsub: false,
    allowedTopics: [topicName(chain, 'block'), topicName(chain, 'events')],
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    batchPublish: true,
    // an author sends to every peer it has: in a committee a block should take one hop
    floodPublish: true,
    D: sizes.meshDegree,
    Dlo: sizes.meshDegree_min,
    Dhi: sizes.meshDegree_max,
    Dscore: 4,
    Dout: 2,
    // peer exchange and tags would have libp2p dial on its own
    doPX: false,
    tagMeshPeers: false,
    // messages are kept for answers to IWANT and while their handler thinks: 3 s of 1 MiB each second at most
    mcacheLength: 3,
    mcacheGossip: 2,
    idontwantMinDataSize: 512,
    // per peer and heartbeat (1 s): above the 200 messages/s that a node is planned for, from several authors
    idontwantMaxMessages: 4096,
    maxOutboundBufferSize: GOSSIP_QUEUE_BYTES_MAX,
    maxInboundDataLength: GOSSIP_RPC_BYTES_MAX,
    maxTopicBytesPerPeer: 16 * 1024,
    maxInboundStreams: 4,
    maxOutboundStreams: 4,
    scoreParams: {
      // Peers are admitted by a signed hello and judged by `score.ts`: many on one address are normal in a test net
      // or behind one gateway, and a second opinion here would cut honest peers off after a reconnection.
      topics: {},
      IPColocationFactorWeight: 0,
      appSpecificWeight: 0,
      // counted above 16 broken promises: an overloaded peer breaks some
      behaviourPenaltyThreshold: 16,
      behaviourPenaltyWeight: -1,
      behaviourPenaltyDecay: 0.5,
      retainScore: 60_000,
    },
  };
  return (components: GossipSubComponents): GossipRouter => {
    const gated = {
      privateKey: components.privateKey,
      peerId: components.peerId,
      peerStore: components.peerStore,
      registrar: gate.around(components.registrar),
      connectionManager: components.connectionManager,
      logger: components.logger,
    };
    return gossipsub(options)(gated) as GossipRouter;
  };
}

export interface GossipParts {
  readonly chain: string;
  readonly log: Log;
  readonly links: Links;
  readonly counters: Counters;
  readonly penalise: (peer: PeerName, code: string) => void;
}

/** Topics, their handlers, and the messages that handlers are busy with. */
export class Gossip {
  readonly #parts: GossipParts;
  readonly #handlers = new Map<string, { readonly topic: Topic; readonly handler: GossipHandler }>();
  #router: GossipRouter | undefined;
  // messages whose handler has not answered
  readonly #pendingOf = new Map<PeerName, number>();
  #pendingBytes = 0;

  constructor(parts: GossipParts) {
    this.#parts = parts;
  }

  subscribe(topic: Topic, handler: GossipHandler): void {
    this.#handlers.set(topicName(this.#parts.chain, topic), { topic, handler });
  }

  /** Call after the router has started. */
  start(router: GossipRouter): void {
    this.#router = router;
    router.addEventListener('gossipsub:message', (event) => void this.#receive(router, event.detail));
    for (const name of this.#handlers.keys()) router.subscribe(name);
  }

  stop(): void {
    this.#router = undefined;
  }

  async publish(topic: Topic, message: Uint8Array): Promise<void> {
    const { chain, counters } = this.#parts;
    if (message.byteLength > GOSSIP_BYTES_MAX) {
      throw new X0tError('message_too_large', 'Gossip carries at most 1 MiB; send bulk data over a request.', {
        bytes: message.byteLength, bytes_max: GOSSIP_BYTES_MAX,
      });
    }
    if (this.#router === undefined) throw new X0tError('network_stopped', 'The network is not running; start it first.');
    counters.add('gossip_out_total', topic);
    counters.add('gossip_out_bytes_total', topic, message.byteLength);
    await this.#router.publish(topicName(chain, topic), message);
  }

  /** Which gossip streams to an admitted peer are open. */
  streams(peer: PeerName): 'both' | 'outbound' | 'inbound' | 'none' {
    const outbound = this.#router?.streamsOutbound.has(peer) === true;
    const inbound = this.#router?.streamsInbound.has(peer) === true;
    if (outbound) return inbound ? 'both' : 'outbound';
    return inbound ? 'inbound' : 'none';
  }

  /** Never rejects. */
  async #receive(router: GossipRouter, { msg, msgId, propagationSource }: GossipsubMessage): Promise<void> {
    const { counters, links, penalise } = this.#parts;
    const from = propagationSource.toString();
    const known = this.#handlers.get(msg.topic);
    const verdict = known === undefined ? 'ignore' : await this.#judge(known.topic, known.handler, msg.data, from);
    router.reportMessageValidationResult(msgId, from, ACCEPTANCE[verdict]);
    if (known === undefined) return;
    counters.add('gossip_in_total', `${known.topic} ${verdict}`);
    counters.add('gossip_in_bytes_total', known.topic, msg.data.byteLength);
    links.heard(from);
    if (verdict === 'reject') penalise(from, 'gossip_rejected');
  }

  async #judge(topic: Topic, handler: GossipHandler, data: Uint8Array, from: PeerName): Promise<GossipVerdict> {
    const { links, log, penalise } = this.#parts;
    if (links.get(from) === undefined) return 'ignore';
    if (data.byteLength > GOSSIP_BYTES_MAX) {
      penalise(from, 'gossip_too_large');
      return 'ignore';
    }
    const pending = this.#pendingOf.get(from) ?? 0;
    if (pending >= GOSSIP_PENDING_MAX || this.#pendingBytes + data.byteLength > GOSSIP_PENDING_BYTES_MAX) {
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
