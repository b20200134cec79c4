/**
 * The ports: everything impure that the ledger needs, and nothing else. What stands above them runs
 * unchanged on the real adapters and in a simulator with virtual time. The contract of each port is
 * stated here and checked by one suite per port (`test/contracts/`) on the fake and on every real
 * adapter.
 */

/**
 * Lower-case hex of a SHA-256 digest; sorts as its bytes do. At the edges it is shown as a CID
 * (`ids.ts`).
 */
export type Id = string;

/** A peer's name on the network: its libp2p peer id in base58 text. */
export type PeerName = string;

/** Wall and monotonic time, and timers. Never called by pure code. */
export interface Clock {
  /** Milliseconds since the Unix epoch, UTC, an integer; may step. */
  wall_ms(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonic_ms(): number;
  /**
   * Calls `fire` once after `delay_ms` (at least 0). The returned function cancels; cancelling
   * twice is harmless.
   */
  after(delay_ms: number, fire: () => void): () => void;
}

/** A source of unpredictable bytes. */
export interface Entropy {
  /** `count` fresh bytes. */
  bytes(count: number): Uint8Array;
}

/**
 * Makes ML-DSA-65 signatures (FIPS 204, pure, empty context) with one private key, which never
 * leaves it.
 */
export interface Signer {
  /** Name and version of the engine, e.g. `liboqs 0.15.1 (wasm)`. */
  readonly engine: string;
  /** The raw public key, 1,952 bytes. */
  readonly publicKey: Uint8Array;
  /** The signature over `message`: 3,309 bytes, randomised, so two calls differ. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/**
 * One signature to check: raw key of 1,952 bytes, raw signature of 3,309 bytes; other lengths are
 * simply invalid.
 */
export interface SignatureJob {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Checks ML-DSA-65 signatures. Pure, so a call may be repeated. */
export interface Verifier {
  readonly engine: string;
  /**
   * One boolean per job, in the order of the jobs. Never rejects because of what a job holds;
   * rejects with `engine_closed` after `close`. The caller bounds how many jobs are under way.
   */
  verify(jobs: readonly SignatureJob[]): Promise<boolean[]>;
  /** Ends worker threads, if any. Calls under way reject. Idempotent. */
  close(): Promise<void>;
}

/** What a policy speaks of: an entity by its type and id, e.g. `Role` and `operator`. */
export interface PolicyEntity {
  readonly type: string;
  readonly id: string;
}

/** Values that policies compare: no floats; a whole number is within 2^53. */
export type PolicyValue = string | number | boolean | readonly string[];

/** An entity with what it is in and what is known of it. It does not change once it was passed. */
export interface PolicySubject extends PolicyEntity {
  readonly parents: readonly PolicyEntity[];
  readonly attrs: Readonly<Record<string, PolicyValue>>;
}

/** One question. What no policy looks at is not computed: hence the functions, which are pure. */
export interface PolicyRequest {
  readonly action: string;
  readonly principal: () => PolicySubject;
  readonly resource: () => PolicySubject;
  readonly context: () => Readonly<Record<string, PolicyValue>>;
}

/** Allowed only if a policy permits and none forbids. */
export interface PolicyDecision {
  readonly isAllowed: boolean;
  /** Ids of the policies that decided, sorted; none where nothing permitted. */
  readonly reasons: readonly string[];
  /** Ids of policies whose evaluation failed, sorted: they did not apply. */
  readonly errors: readonly string[];
}

/** A whole policy set as text. */
export interface PolicyTexts {
  /** By id: one static policy each. */
  readonly policies: ReadonlyMap<string, string>;
  /** What the node says of itself: entity types, actions, their contexts. */
  readonly base: string;
  /** The schema that policies are checked against: it says all that `base` says. */
  readonly schema: string;
}

/** A policy set that was parsed and validated. */
export interface PolicyProgram {
  /** What people should know: policies that can never apply. One sentence each. */
  readonly warnings: readonly string[];
  /** Never throws; the same answer for the same question, always and everywhere. */
  decide(request: PolicyRequest): PolicyDecision;
  /**
   * The set as it is to be reckoned with where nothing is known of an attribute of the context:
   * what it permits, the whole set permits whatever the attribute is. Permits that look at it are
   * left out, forbids that look at it lose those clauses.
   */
  regardlessOf(attribute: string): PolicyProgram;
  /** Ids of a type that the scopes and conditions of its policies name, sorted. */
  mentioned(type: string): readonly string[];
  /** Parts of the policies that may matter to an action: what a question costs at most. */
  partsFor(action: string): number;
}

/**
 * Decides who may do what. Pure and synchronous: no clock, no entropy, so it may run in a reducer.
 * Two engines of one `version` give the same answer to every question.
 */
export interface PolicyEngine {
  /** Name, release and digest of the code, e.g. `cedar/4.13.0/9ed10461f45bceab`. */
  readonly version: string;
  /**
   * Parses a set and validates it strictly. Throws `policy_invalid` (a text does not parse or is
   * nested too deep), `policy_schema_invalid` (the schema does not parse, stands for too
   * much, or lacks what `base` says), `policy_contradicts_schema`, or `policy_bounds` (it would
   * take too long to validate the set, or to decide by it); their data names the policy. What a set
   * may come to is bounded, so that no text holds a node up.
   */
  compile(texts: PolicyTexts): PolicyProgram;
}

export type StoreOp =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

export interface StoreRange {
  /** First key, inclusive. */
  readonly gte: string;
  /** End, exclusive. */
  readonly lt: string;
  readonly reverse?: boolean;
  /** At most so many rows. */
  readonly limit?: number;
}

/** Rows of a store that stand still. */
export interface FrozenRows {
  get(key: string): Uint8Array | undefined;
  close(): Promise<void>;
}

/**
 * An ordered key-value store; keys are ASCII or UTF-8 text ordered by their bytes. One process
 * opens it at a time. A batch is atomic: after a crash all of it is there or nothing. `sync`
 * batches survive a power cut, with every batch written before them.
 */
export interface BlockStore {
  get(key: string): Uint8Array | undefined;
  /**
   * Rejects with `store_failed`; after that the store takes no more writes. Writes apply in the
   * order of the calls.
   */
  write(ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void>;
  /** Rows in key order from a consistent snapshot taken at the call. */
  range(range: StoreRange): AsyncIterable<readonly [string, Uint8Array]>;
  /**
   * The rows as they are now, to read while others take their place. Close it, since what is
   * deleted meanwhile is kept for it.
   */
  frozen(): FrozenRows;
  /** Gives back the disk of what was deleted between two keys; for stores that keep it. */
  compact?(from: string, to: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * What a receiver says of a gossiped message: pass it on, drop it, or drop it and hold it against
 * the sender.
 */
export type GossipVerdict = 'accept' | 'ignore' | 'reject';

/**
 * The gossiped topics: one sealed block per message, one batch of pool entries, or one vote on a
 * checkpoint.
 */
export type Topic = 'block' | 'events' | 'checkpoint';

/** The request/response protocols; each has its handler in `ledger/sync/`. */
export type Protocol =
  | 'blocks'
  | 'frontier'
  | 'range'
  | 'events'
  | 'checkpoints'
  | 'snapshot';

export interface RequestOptions {
  /** The whole exchange ends with `request_timeout` after this time. */
  readonly timeout_ms: number;
  /** More bytes than this in all frames end it with `response_too_large`. */
  readonly responseBytes_max: number;
}

export interface PeerInfo {
  readonly peer: PeerName;
  /** The actor that the peer's signed hello proved. */
  readonly actor: Id;
  /** Last measured round trip. */
  readonly rtt_ms: number | undefined;
}

/**
 * Authenticated links to peers of the same chain. Only peers whose `hello` was accepted are seen
 * here. Messages may be lost, doubled and reordered; nothing is retried. A slow peer loses gossip,
 * never delays the caller.
 */
export interface Network {
  readonly self: PeerName;
  peers(): readonly PeerInfo[];
  /** Called after a peer was admitted or has gone. One listener. */
  onPeer(listener: (peer: PeerInfo, change: 'up' | 'down') => void): void;
  /**
   * Hands one message of at most `GOSSIP_BYTES_MAX` to the transport; resolves without waiting for
   * peers.
   */
  publish(topic: Topic, message: Uint8Array): Promise<void>;
  /**
   * The handler of a topic; one each, set before `start`. It may take its time: the message spreads
   * on `accept`.
   */
  subscribe(
    topic: Topic,
    handler: (message: Uint8Array, from: PeerName) => Promise<GossipVerdict>,
  ): void;
  /**
   * Sends one request frame and yields the response frames. Ends with a coded `X0tError` on
   * timeout, oversize, disconnection (`peer_gone`) or the peer's refusal. Breaking out of the loop
   * ends the exchange.
   */
  request(
    peer: PeerName,
    protocol: Protocol,
    message: Uint8Array,
    options: RequestOptions,
  ): AsyncIterable<Uint8Array>;
  /**
   * The handler of a protocol; one each, set before `start`. A throw ends the exchange and is
   * counted.
   */
  serve(
    protocol: Protocol,
    handler: (message: Uint8Array, from: PeerName) => AsyncIterable<Uint8Array>,
  ): void;
  /**
   * Holds an error code against a peer; enough of them disconnect it for a time (`p2p/score.ts`).
   */
  penalise(peer: PeerName, code: string): void;
}

/** A leveled structured log; `pino` fits it. Fields hold no secrets. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
