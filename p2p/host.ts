/**
 * The libp2p node under the port: TCP, noise, yamux, identify, ping, gossipsub; every limit set
 * from `limits.ts`.
 */
import { noise } from '@libp2p/noise';
import { identify } from '@libp2p/identify';
import type { PeerName } from '#ledger/ports.ts';
import type { Ed25519PrivateKey, Libp2p, PeerId } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import { ping } from '@libp2p/ping';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import { corkedTcp } from './corked-tcp.ts';
import type { GatedRegistrar } from './gated-registrar.ts';
import { gossipService } from './gossip-service.ts';
import type { GossipRouter } from './gossip-service.ts';
import { inboundGate } from './inbound-gate.ts';
import { ADDRESSES_PER_PEER_MAX, STREAMS_MAX } from './limits.ts';
import type { SizeLimits } from './limits.ts';

export interface HostOptions {
  readonly key: Ed25519PrivateKey;
  readonly chain: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly mdns: boolean;
  readonly sizes: SizeLimits;
  readonly gate: GatedRegistrar;
  /** True for peers on the deny list and banned ones. */
  readonly refuses: (peer: PeerId) => boolean;
  /** False for linked peers whose gossip is not taken; everybody's is by default. */
  readonly gossips?: (peer: PeerName) => boolean;
}

export type Host = Libp2p<{ gossip: GossipRouter }>;

/** Makes the node without starting it. */
export async function createHost(options: HostOptions): Promise<Host> {
  const { sizes, refuses } = options;
  const host = await createLibp2p({
    start: false,
    privateKey: options.key,
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: [corkedTcp({ dialOpts: { keepAlive: true }, listenOpts: { keepAlive: true } })],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({ maxInboundStreams: 4 * STREAMS_MAX, maxOutboundStreams: 4 * STREAMS_MAX }),
    ],
    peerDiscovery: options.mdns
      ? [mdns({ serviceTag: `_x0t-${options.chain.slice(0, 16)}._udp.local` })]
      : [],
    connectionGater: inboundGate(refuses, sizes.inboundPending_max),
    connectionManager: {
      maxConnections: sizes.connections_max,
      inboundConnectionThreshold: sizes.inboundPerHost_s,
      maxIncomingPendingConnections: sizes.inboundPending_max,
      maxPeerAddrsToDial: ADDRESSES_PER_PEER_MAX,
      // the supervisor reconnects
      reconnectRetries: 0,
    },
    // liveness.ts pings; this one aborts links under load
    connectionMonitor: { enabled: false, abortConnectionOnPingFailure: false },
    services: {
      identify: identify({ maxInboundStreams: 4, maxOutboundStreams: 4 }),
      ping: ping({ maxInboundStreams: 8, maxOutboundStreams: 4 }),
      gossip: gossipService(
        options.chain,
        sizes,
        options.gate,
        options.gossips ?? (() => true),
      ),
    },
  });
  return host;
}
