/** gossipsub as this network runs it: what is set, and why it is not left at its default. */
import { hash } from 'node:crypto';
import type { PeerName, Topic } from '#ledger/ports.ts';
import { gossipsub, StrictNoSign } from '@libp2p/gossipsub';
import type {
  GossipSub,
  GossipSubComponents,
  GossipsubOpts,
  TopicValidatorResult,
} from '@libp2p/gossipsub';
import type { GatedRegistrar } from './gated-registrar.ts';
import { GOSSIP_QUEUE_BYTES_MAX, GOSSIP_RPC_BYTES_MAX } from './limits.ts';
import type { SizeLimits } from './limits.ts';

/** What the installed gossipsub has besides its declared interface. */
export interface GossipRouter extends GossipSub {
  readonly streamsOutbound: ReadonlyMap<PeerName, unknown>;
  readonly streamsInbound: ReadonlyMap<PeerName, unknown>;
  /** Whether anything that the peer sends on its gossip stream is looked at. */
  acceptFrom(id: PeerName): boolean;
  reportMessageValidationResult(id: string, from: PeerName, acceptance: TopicValidatorResult): void;
}

/** Below this an IDONTWANT costs more than the duplicate that it saves. */
export const IDONTWANT_BYTES_MIN = 16 * 1024;
export const TOPICS: readonly Topic[] = ['block', 'events', 'checkpoint'];

/** Whether a stream of this libp2p protocol is one of gossipsub's. */
export function isGossip(protocol: string): boolean {
  return protocol.startsWith('/meshsub/');
}

/** The topic's name on the wire; `chain` is the genesis id in hex. */
export function topicName(chain: string, topic: Topic): string {
  return `x0t/${chain.slice(0, 16)}/${topic}/1`;
}

/**
 * The service for `createLibp2p`. What a peer says that `gossips` excludes is dropped unread, its
 * subscriptions too, so that nothing is sent to it either; its streams stay open, or the other side
 * would take them for lost.
 */
export function gossipService(
  chain: string,
  sizes: SizeLimits,
  gate: GatedRegistrar,
  gossips: (peer: PeerName) => boolean,
) {
  const options: Partial<GossipsubOpts> = {
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => hash('sha256', message.data, 'buffer'),
    asyncValidation: true,
    fallbackToFloodsub: false,
    allowedTopics: TOPICS.map((topic) => topicName(chain, topic)),
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
    // messages are kept for answers to IWANT and while their handler thinks: 3 s of 1 MiB each
    // second at most
    mcacheLength: 3,
    mcacheGossip: 2,
    idontwantMinDataSize: IDONTWANT_BYTES_MIN,
    // per peer and heartbeat (1 s): above the 200 messages/s that a node is planned for, from
    // several authors
    idontwantMaxMessages: 4096,
    maxOutboundBufferSize: GOSSIP_QUEUE_BYTES_MAX,
    maxInboundDataLength: GOSSIP_RPC_BYTES_MAX,
    maxTopicBytesPerPeer: 16 * 1024,
    maxInboundStreams: 4,
    maxOutboundStreams: 4,
    scoreParams: {
      // Peers are admitted by a signed hello and judged by `score.ts`: many on one address are
      // normal in a test net or behind one gateway, and a second opinion here would cut honest
      // peers off after a reconnection.
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
    const router = gossipsub(options)(gated) as GossipRouter;
    const acceptFrom = router.acceptFrom.bind(router);
    router.acceptFrom = (id) => gossips(id) && acceptFrom(id);
    return router;
  };
}
