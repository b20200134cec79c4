import { availableParallelism, hostname } from 'node:os';
import type { CoreConfig } from '#ledger/core.ts';
import type { EngineName } from '#native/engine.ts';

/**
 * What one node chooses for itself; it may differ from node to node and change on restart. What
 * must be equal everywhere is in the genesis. Read from `config.json` in the data directory, then
 * from options of the command line.
 */
export interface NodeConfig extends CoreConfig {
  /** For people: the node's name in its status. */
  readonly name: string;
  readonly api: {
    readonly host: string;
    readonly port: number;
    /**
     * Names by which callers mean this node, besides where it listens; each with a port, or without
     * for the ports that it listens on. Signed requests to other names are refused.
     */
    readonly names: readonly string[];
    /** Audiences of JWT-SVIDs that are for this node, besides its own SPIFFE IDs. */
    readonly audience: readonly string[];
    readonly rate: Partial<RateConfig>;
    /** A listener for HTTPS with the node's X.509-SVID, besides the one for HTTP. */
    readonly tls?: { readonly host?: string; readonly port: number };
  };
  readonly p2p: {
    /** Multiaddrs to listen on. */
    readonly listen: readonly string[];
    readonly announce: readonly string[];
    readonly bootstrap: readonly string[];
    readonly mdns: boolean;
  };
  readonly crypto: {
    readonly engine: EngineName;
    /** Threads that verify signatures; 0 verifies on the main thread. */
    readonly workers: number;
  };
  /** SPIFFE on this host; an empty text leaves a part out. */
  readonly identity: {
    /** Path of the Unix socket on which this node serves the Workload API. */
    readonly socket: string;
    /** URI of the Workload API that gives this node its own SVID; else SPIFFE_ENDPOINT_SOCKET. */
    readonly agent: string;
    /** A bundle endpoint for foreign trust domains, profile `https_spiffe`; host: else all. */
    readonly endpoint?: { readonly host?: string; readonly port: number };
  };
  readonly log: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

/** How many requests are answered; what is left out is as in `RATES`. */
export interface RateConfig {
  /** Of one caller that has proved who it is. */
  readonly perSecond: number;
  readonly burst: number;
  /** Of one address, for requests that prove nothing or fail to. */
  readonly anonymousPerSecond: number;
  readonly anonymousBurst: number;
}

/** One client writes some thousands of events a second at most; in batches fewer requests. */
export const RATES: RateConfig = {
  perSecond: 2000,
  burst: 8000,
  anonymousPerSecond: 50,
  anonymousBurst: 500,
};

export const API_PORT = 8420;
export const P2P_PORT = 4420;

/** Pacing for a local network: consensus.md 2.18 gives other columns for other networks. */
export const DEFAULT_CONFIG: NodeConfig = {
  name: hostname(),
  api: { host: '127.0.0.1', port: API_PORT, names: [], audience: [], rate: {} },
  p2p: { listen: [`/ip4/0.0.0.0/tcp/${P2P_PORT}`], announce: [], bootstrap: [], mdns: false },
  // the main thread is as busy as one that verifies
  crypto: { engine: 'liboqs', workers: Math.max(1, Math.min(4, availableParallelism() - 1)) },
  identity: { socket: '', agent: '' },
  log: 'info',
  // five rounds make an isolated event final: 25 ms of pauses
  roundDelay_ms: 5,
  // a block costs every node a signature check and a gossip round: under load fewer and fuller ones
  busyRoundDelay_ms: 60,
  leaderTimeout_ms: 200,
  fallback_ms: 1500,
  antiEntropy_ms: 1000,
  sync: 'full',
  retention: 'archive',
  pool: {
    events_max: 50_000,
    bytes_max: 64 * 1024 * 1024,
    // half a pool: one client may be the only one
    eventsPerActor_max: 25_000,
  },
};

/** A configuration file may leave out what it does not change. */
export type PartialConfig = {
  readonly [K in keyof NodeConfig]?: NodeConfig[K] extends object
    ? Partial<NodeConfig[K]>
    : NodeConfig[K];
};

/** Later ones win; objects are merged one level deep. */
export function mergeConfig(...parts: readonly PartialConfig[]): NodeConfig {
  const merged: Record<string, unknown> = { ...DEFAULT_CONFIG };
  for (const part of parts) {
    for (const [name, value] of Object.entries(part)) {
      if (value === undefined) continue;
      const before = merged[name];
      const isGroup =
        typeof value === 'object' && !Array.isArray(value) && typeof before === 'object';
      merged[name] = isGroup ? { ...(before as object), ...value } : value;
    }
  }
  return merged as unknown as NodeConfig;
}
