/**
 * Bounds of the network adapter. libp2p's own defaults are tuned for a public swarm with one peer
 * per host; a mesh of known peers, many of which may share one address, needs others, and each is
 * set here on purpose.
 */
import { FRAME_BYTES_MAX, GOSSIP_BYTES_MAX } from '#ledger/limits.ts';

/** Peers a node expects when its configuration says nothing. */
export const PEERS_DEFAULT = 64;
/**
 * Inbound streams of one protocol and connection; half-closed ones count, and the default of 32 is
 * soon reached.
 */
export const STREAMS_MAX = 256;
/** Requests of one peer that are served at the same time. */
export const SERVED_PER_PEER_MAX = 32;
/** Requests a peer may send per second in the long run, over all protocols. */
export const REQUESTS_PER_S = 200;
/** Requests a peer may send at once after a pause: a node that catches up asks in bursts. */
export const REQUESTS_BURST = 400;
/** A request frame must have arrived after this time; honest ones need one round trip. */
export const REQUEST_ARRIVAL_MS = 10_000;
/** A requester that takes no bytes for so long is cut off. */
export const WRITE_STALL_MS = 15_000;
/** One served exchange ends after this time, however slowly it is read. */
export const SERVE_MS_MAX = 120_000;
/** How long a finished exchange may stay half open before it is reset. */
export const LINGER_MS = 2_000;
/** Both hellos and verdicts must have arrived after this time. */
export const HELLO_MS_MAX = 5_000;
/** A hello: a signature of 3,309 bytes, a key of 1,952, and the object. */
export const HELLO_BYTES_MAX = 16 * 1024;
/** Bytes of a hello's challenge. */
export const CHALLENGE_BYTES = 32;
/**
 * Connections to one peer: a simultaneous dial makes two, a redial before the old one is seen dead
 * makes three.
 */
export const CONNECTIONS_PER_PEER_MAX = 4;
/**
 * Bytes queued for one peer's gossip. Beyond it the stream is reset and its peer catches up by
 * asking.
 */
export const GOSSIP_QUEUE_BYTES_MAX = 8 * GOSSIP_BYTES_MAX;
/**
 * One gossip envelope: answers to IWANT carry several messages, and a larger one than this breaks
 * the link.
 */
export const GOSSIP_RPC_BYTES_MAX = 16 * GOSSIP_BYTES_MAX;
/**
 * Gossiped messages taken per second, in the long run and at once, of a peer whose share is below
 * 1, times that share: what a node is planned for from all authors together.
 */
export const GOSSIP_PER_S = 200;
export const GOSSIP_BURST = 400;
/**
 * Gossiped messages whose handler has not answered: of one peer, and their bytes in all. Later
 * ones are dropped.
 */
export const GOSSIP_PENDING_MAX = 512;
export const GOSSIP_PENDING_BYTES_MAX = 64 * GOSSIP_BYTES_MAX;
/** Unread bytes of a stream at which it is paused; what the sender has on the way comes on top. */
export const READ_BUFFER_BYTES = 2 * FRAME_BYTES_MAX;
/** Rows of the tables of addresses and scores. */
export const TABLE_MAX = 1024;
/** Addresses kept per peer. */
export const ADDRESSES_PER_PEER_MAX = 8;

/** What follows from the number of peers. */
export interface SizeLimits {
  readonly peers_max: number;
  /** libp2p prunes connections above this. */
  readonly connections_max: number;
  /**
   * New connections per second from one host; the default of 5 refuses a restarted test net on one
   * machine.
   */
  readonly inboundPerHost_s: number;
  /** Connections in the middle of their handshake; the default is 10. */
  readonly inboundPending_max: number;
  /**
   * Gossip degree: a full mesh up to 16 peers, so that a block takes one hop; above that
   * gossipsub's usual 8.
   */
  readonly meshDegree: number;
  readonly meshDegree_min: number;
  readonly meshDegree_max: number;
}

const FULL_MESH_PEERS = 16;
const MESH_DEGREE = 8;

/** The limits for a network of `peers_max` peers besides this node. */
export function sizeLimits(peers_max: number): SizeLimits {
  const full = peers_max <= FULL_MESH_PEERS;
  return {
    peers_max,
    connections_max: CONNECTIONS_PER_PEER_MAX * peers_max + 16,
    inboundPerHost_s: 2 * peers_max + 16,
    inboundPending_max: peers_max + 16,
    meshDegree: full ? FULL_MESH_PEERS : MESH_DEGREE,
    meshDegree_min: full ? FULL_MESH_PEERS : MESH_DEGREE - 2,
    meshDegree_max: FULL_MESH_PEERS,
  };
}
