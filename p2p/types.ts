/** What goes into the network adapter, and what it shows of itself. */
import type { Clock, Id, Log, Network, PeerName, Topic } from '#ledger/ports.ts';
import type { Origin } from './addresses.ts';
import type { AskAccess } from './access.ts';
import type { CounterValues } from './counters.ts';
import type { HelloAuth } from './hello.ts';
import type { JoinHandler } from './join.ts';
import type { LivenessTiming } from './liveness.ts';
import type { Backoff } from './supervisor.ts';

export interface NetworkOptions {
  /** The private key from `generatePeerKey`. */
  readonly key: Uint8Array;
  /**
   * The genesis id, lower-case hex; its first 16 characters are in every protocol's and topic's
   * name.
   */
  readonly chain: string;
  /**
   * Multiaddrs such as `/ip4/0.0.0.0/tcp/4101`; port 0 takes a free one. Empty: this node only
   * dials.
   */
  readonly listen: readonly string[];
  /** Multiaddrs to tell peers instead of those listened on (NAT, containers). */
  readonly announce?: readonly string[];
  /** Multiaddrs to stay connected to; with `/p2p/<peer>` only that peer is accepted there. */
  readonly bootstrap: readonly string[];
  /** Find peers of the same chain on the local network by multicast DNS; default off. */
  readonly mdns?: boolean;
  readonly hello: HelloAuth;
  /**
   * Whether the actor that a hello proved is let in, and how far; asked after each hello that
   * holds and at each `review`. A refusal is told with its code, costs no points, and is asked
   * again by `review`. By default everybody is let in.
   */
  readonly access?: AskAccess;
  /** Answers those who are no members and ask to become one; without it they are refused. */
  readonly join?: JoinHandler;
  readonly clock: Clock;
  readonly log: Log;
  /** Peers this node takes at most; libp2p's and gossipsub's limits follow from it. Default 64. */
  readonly peers_max?: number;
  /** Overrides, in whole or in part, of how fast links are judged and redialled. */
  readonly liveness?: Partial<LivenessTiming>;
  readonly backoff?: Partial<Backoff>;
  readonly serving?: {
    /** See `REQUEST_ARRIVAL_MS`, `REQUESTS_PER_S` and `REQUESTS_BURST` in `limits.ts`. */
    readonly arrival_ms?: number;
    readonly stall_ms?: number;
    readonly requestsPerS?: number;
    readonly requestsBurst?: number;
  };
}

interface PeerStatus {
  readonly peer: PeerName;
  readonly actor: Id;
  /** Remote multiaddr of the newest link. */
  readonly addr: string;
  readonly direction: 'inbound' | 'outbound';
  readonly links: number;
  readonly rtt_ms: number | undefined;
  /** Penalty points now (`score.ts`); 0 is a clean sheet, 100 bans. */
  readonly score: number;
  readonly gossip: 'both' | 'outbound' | 'inbound' | 'none';
  /** Topics that the peer takes; one that it has not named yet is not sent to it. */
  readonly topics: readonly Topic[];
  /** As `NetworkOptions.access` said last. */
  readonly share: number;
  readonly gossips: boolean;
  readonly up_ms: number;
}

interface TargetStatus {
  readonly peer: PeerName | undefined;
  readonly origin: Origin;
  readonly addrs: readonly string[];
  readonly failures: number;
  readonly lastFailure: string | undefined;
  /** With `hello_refused`: the code that the peer gave. */
  readonly lastReason: string | undefined;
  /** Milliseconds until the next dial; 0 when it is due. */
  readonly nextDial_ms: number;
}

export interface NetworkStatus {
  readonly self: PeerName;
  /** Multiaddrs under which this node can be reached, with its name. */
  readonly addrs: readonly string[];
  readonly peers: readonly PeerStatus[];
  /** Peers that are dialled because they are not connected. */
  readonly missing: readonly TargetStatus[];
  readonly blocked: readonly PeerName[];
  readonly banned: readonly PeerName[];
  readonly counters: CounterValues;
}

/** The port with what only its owner may call. */
export interface ManagedNetwork extends Network {
  /**
   * Starts to listen and dial; call after `subscribe` and `serve`. Throws `listen_failed`. Once
   * per object.
   */
  start(): Promise<void>;
  /** Closes every link and timer. Idempotent; the object cannot be started again. */
  stop(): Promise<void>;
  status(): NetworkStatus;
  /**
   * The operator's deny list: links to these peers are closed at once and refused until a later
   * call leaves them out, which dials them again. Replaces the former list. The other side sees
   * only that the connection ends.
   */
  setBlocked(peers: ReadonlySet<PeerName>): void;
  /** Called for every penalty of a linked peer, before it may be banned for it. One listener. */
  onPenalty(listener: (actor: Id, code: string) => void): void;
  /**
   * Asks `NetworkOptions.access` again for every linked peer and applies what it says: closes links
   * that are not admitted any more (`disconnects_total` label `access`) before it returns, scales
   * budgets, starts or ends gossip. Refused peers that are admitted now are dialled again.
   */
  review(): void;
  /** Dials at once what is not connected: what spoke against it may be gone. */
  dialNow(): void;
  /** Adds a bootstrap address while running; one that names its peer can be dropped. */
  addBootstrap(addr: string): void;
  /**
   * Dials these peers no more, until `addBootstrap` names one or a later call leaves it out; what
   * `NetworkOptions.bootstrap` names stays. Links that are there stay too, and they may dial this
   * node.
   */
  setUndialled(peers: ReadonlySet<PeerName>): void;
}
