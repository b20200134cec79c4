/**
 * The network port in memory, for the simulator: a hub joins nodes by links that can be cut, slow,
 * lossy and duplicating. Deterministic: one seed and one clock (virtual or real) give one run. It
 * keeps the contract of the port (`test/contracts/network.ts`); what it leaves out is the
 * transport: hellos are taken for accepted, and nobody floods.
 */
import { hash } from 'node:crypto';
import { fail } from '#ledger/errors.ts';
import { GOSSIP_BYTES_MAX } from '#ledger/limits.ts';
import type {
  Clock,
  GossipVerdict,
  Id,
  Network,
  PeerInfo,
  PeerName,
  Protocol,
  RequestOptions,
  Topic,
} from '#ledger/ports.ts';
import { PeerScores } from '#p2p/score.ts';
import { fakeRequest } from './fake-exchange.ts';
import type { FakeHandler } from './fake-exchange.ts';
import { FakeLink, seeded } from './fake-link.ts';
import type { LinkShape, Way } from './fake-link.ts';

export type { LinkShape } from './fake-link.ts';

export interface HubOptions {
  readonly clock: Clock;
  readonly seed: number;
  /** The shape of links that nobody shaped; default: 1 ms, no loss, no duplicates. */
  readonly link?: Partial<LinkShape>;
  /** How long both ends of a cut link still believe in it; default 0. */
  readonly detect_ms?: number;
  /** From a healed link or a started node to the notice that the peer is up; default 1. */
  readonly reconnect_ms?: number;
  /** Is told of everything that is published and delivered. */
  readonly watch?: HubWatch;
}

export interface HubWatch {
  /** A node hands a message of its own to its peers. */
  published(from: PeerName, topic: Topic, message: Uint8Array): void;
  /** A gossiped message or a frame of a stream arrives. */
  delivered(from: PeerName, to: PeerName, bytes: Uint8Array): void;
}

type Listener = Parameters<Network['onPeer']>[0];
type Handler = (message: Uint8Array, from: PeerName) => Promise<GossipVerdict>;

/** Message ids a node remembers to drop duplicates; the adapter remembers two minutes. */
const SEEN_MAX = 16_384;

const OPEN: Omit<Way, 'waiting'> = { isClogged: false, isLost: false, lag_ms: 0 };

export class FakeHub {
  readonly clock: Clock;
  readonly #random: () => number;
  readonly #shape: LinkShape;
  readonly #detect_ms: number;
  readonly #reconnect_ms: number;
  readonly #nodes = new Map<PeerName, FakeNetwork>();
  readonly #links = new Map<string, FakeLink>();
  readonly watch: HubWatch | undefined;
  /** What has come to stalled nodes. */
  readonly #stalled = new Map<PeerName, (() => void)[]>();

  constructor(options: HubOptions) {
    this.clock = options.clock;
    this.#random = seeded(options.seed);
    this.#shape = { delay_ms: [1, 1], loss: 0, duplicate: 0, ...options.link };
    this.#detect_ms = options.detect_ms ?? 0;
    this.#reconnect_ms = options.reconnect_ms ?? 1;
    this.watch = options.watch;
  }

  /** A new node that is not started; a name can join again after the former bearer stopped. */
  join(self: PeerName, actor: Id): FakeNetwork {
    if (this.#nodes.get(self)?.running === true) throw new Error(`${self} is already there`);
    const node = new FakeNetwork(this, self, actor);
    this.#nodes.set(self, node);
    return node;
  }

  /** Changes how one link behaves, both ways. */
  shape(a: PeerName, b: PeerName, shape: Partial<LinkShape>): void {
    const link = this.link(a, b);
    link.shape = { ...link.shape, ...shape };
  }

  /** Cuts one link: nothing passes, and after `detect_ms` both ends see the other go down. */
  cut(a: PeerName, b: PeerName): void {
    this.link(a, b).cut = true;
    this.reconcile(a, b);
  }

  /** Heals one link; what streams sent meanwhile arrives if nobody had noticed. */
  heal(a: PeerName, b: PeerName): void {
    const link = this.link(a, b);
    link.cut = false;
    link.flush();
    this.reconcile(a, b);
  }

  /** Cuts every link between different groups and heals those within one. */
  partition(...groups: readonly (readonly PeerName[])[]): void {
    const groupOf = (name: PeerName): number => groups.findIndex((group) => group.includes(name));
    this.#pairs((a, b) => {
      if (groupOf(a) === groupOf(b)) this.heal(a, b);
      else this.cut(a, b);
    });
  }

  healAll(): void {
    this.#pairs((a, b) => {
      for (const from of [a, b]) Object.assign(this.link(a, b).way(from), OPEN);
      this.heal(a, b);
    });
  }

  /** Changes one direction of a link; what waited comes when it is open again. */
  setWay(from: PeerName, to: PeerName, change: Partial<Omit<Way, 'waiting'>>): void {
    const link = this.link(from, to);
    Object.assign(link.way(from), change);
    link.flush();
  }

  /** Nothing reaches the node until it resumes, and it does not notice. */
  stall(name: PeerName): void {
    if (!this.#stalled.has(name)) this.#stalled.set(name, []);
  }

  resume(name: PeerName): void {
    const waiting = this.#stalled.get(name) ?? [];
    this.#stalled.delete(name);
    for (const take of waiting) take();
  }

  #deliver(from: PeerName, to: PeerName, bytes: Uint8Array | undefined, take: () => void): void {
    const arrive = (): void => {
      if (bytes) this.watch?.delivered(from, to, bytes);
      take();
    };
    const stalled = this.#stalled.get(to);
    if (stalled) stalled.push(arrive);
    else arrive();
  }

  node(name: PeerName): FakeNetwork | undefined {
    return this.#nodes.get(name);
  }

  others(self: PeerName): PeerName[] {
    return [...this.#nodes.keys()].filter((name) => name !== self);
  }

  link(a: PeerName, b: PeerName): FakeLink {
    const ends = a < b ? ([a, b] as const) : ([b, a] as const);
    const key = ends.join(' ');
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new FakeLink(ends, this.#shape, this.clock, this.#random, (...message) =>
        this.#deliver(...message),
      );
      this.#links.set(key, link);
    }
    return link;
  }

  /** Lets the link go up or down as its ends and its cut demand. */
  reconcile(a: PeerName, b: PeerName): void {
    const link = this.link(a, b);
    const [one, two] = link.ends.map((name) => this.#nodes.get(name));
    const alive = one?.running === true && two?.running === true;
    const welcome = alive && one.isOpenTo(two) && two.isOpenTo(one);
    const up = welcome && !link.cut;
    if ((link.pending?.up ?? link.up) === up) return;
    link.pending?.cancel();
    link.pending = undefined;
    if (link.up === up) return;
    const delay_ms = up ? this.#reconnect_ms : welcome ? this.#detect_ms : 0;
    const apply = (): void => {
      link.pending = undefined;
      link.up = up;
      if (!up) link.breakDown();
      for (const [node, peer] of [
        [one, two],
        [two, one],
      ] as const) {
        if (node?.running === true && peer !== undefined) node.notify(peer, up ? 'up' : 'down');
      }
    };
    if (delay_ms === 0) apply();
    else link.pending = { up, cancel: this.clock.after(delay_ms, apply) };
  }

  #pairs(visit: (a: PeerName, b: PeerName) => void): void {
    const names = [...this.#nodes.keys()];
    names.forEach((a, index) => names.slice(index + 1).forEach((b) => visit(a, b)));
  }
}

/** One node's port. */
export class FakeNetwork implements Network {
  readonly self: PeerName;
  readonly actor: Id;
  running = false;
  /** Every code held against a peer, in order, for tests. */
  readonly penalties: { readonly peer: PeerName; readonly code: string }[] = [];
  /** Whom it lets in, where somebody says so. */
  admits: (peer: FakeNetwork) => boolean = () => true;
  readonly #hub: FakeHub;
  readonly #scores: PeerScores;
  /** Cancel the ends of bans. */
  readonly #pardons = new Set<() => void>();
  readonly #topics = new Map<Topic, Handler>();
  readonly #protocols = new Map<Protocol, FakeHandler>();
  #listener: Listener | undefined;
  readonly #up = new Map<PeerName, FakeNetwork>();
  /** Ids that were handled, and those on their way that will not be lost. */
  readonly #seen = new Set<string>();
  readonly #expected = new Set<string>();

  constructor(hub: FakeHub, self: PeerName, actor: Id) {
    this.#hub = hub;
    this.self = self;
    this.actor = actor;
    this.#scores = new PeerScores(hub.clock);
  }

  start(): Promise<void> {
    this.running = true;
    for (const peer of this.#scores.banned()) this.#pardonLater(peer);
    for (const other of this.#hub.others(this.self)) this.#hub.reconcile(this.self, other);
    return Promise.resolve();
  }

  /** Also what a crash looks like to the others. */
  stop(): Promise<void> {
    this.running = false;
    for (const cancel of this.#pardons) cancel();
    this.#pardons.clear();
    for (const other of this.#hub.others(this.self)) this.#hub.reconcile(this.self, other);
    return Promise.resolve();
  }

  /** Judges all links again, as `admits` says. */
  review(): void {
    for (const other of this.#hub.others(this.self)) this.#hub.reconcile(this.self, other);
  }

  peers(): readonly PeerInfo[] {
    return Array.from(this.#linked(), (node) => this.#info(node));
  }

  onPeer(listener: Listener): void {
    this.#listener = listener;
  }

  async publish(topic: Topic, message: Uint8Array): Promise<void> {
    if (message.byteLength > GOSSIP_BYTES_MAX) {
      fail('message_too_large', 'Gossip carries at most 1 MiB; send bulk data over a request.');
    }
    if (!this.running) fail('network_stopped', 'The network is not running; start it first.');
    const id = hash('sha256', message);
    if (this.#seen.has(id)) return;
    this.#remember(id);
    this.#hub.watch?.published(this.self, topic, message);
    this.#spread(topic, message.slice(), id, undefined);
  }

  /** Sends a message to some peers only, unasked and as often as it is called: for traitors. */
  tell(peers: readonly PeerName[], topic: Topic, message: Uint8Array): void {
    const id = hash('sha256', message);
    for (const peer of this.#linked()) {
      if (peers.includes(peer.self)) this.#send(peer, topic, message, id);
    }
  }

  subscribe(topic: Topic, handler: Handler): void {
    this.#topics.set(topic, handler);
  }

  request(
    peer: PeerName,
    protocol: Protocol,
    message: Uint8Array,
    options: RequestOptions,
  ): AsyncIterable<Uint8Array> {
    const known = this.running && peer !== this.self && this.#hub.node(peer) !== undefined;
    return fakeRequest({
      clock: this.#hub.clock,
      link: known ? this.#hub.link(this.self, peer) : undefined,
      from: this.self,
      to: peer,
      message,
      options,
      handler: () => this.#hub.node(peer)?.handlerOf(protocol),
      penalise: (code) => this.penalise(peer, code),
    });
  }

  serve(protocol: Protocol, handler: FakeHandler): void {
    this.#protocols.set(protocol, handler);
  }

  penalise(peer: PeerName, code: string): void {
    this.penalties.push({ peer, code });
    if (!this.#scores.penalise(peer, code)) return;
    this.#hub.reconcile(this.self, peer);
    this.#pardonLater(peer);
  }

  // for the hub

  isOpenTo(peer: FakeNetwork): boolean {
    return this.bannedFor_ms(peer.self) === 0 && this.admits(peer);
  }

  bannedFor_ms(peer: PeerName): number {
    return this.#scores.bannedFor_ms(peer);
  }

  handlerOf(protocol: Protocol): FakeHandler | undefined {
    return this.#protocols.get(protocol);
  }

  notify(peer: FakeNetwork, change: 'up' | 'down'): void {
    if (change === 'up') this.#up.set(peer.self, peer);
    else this.#up.delete(peer.self);
    this.#listener?.(this.#info(peer), change);
  }

  /** Takes a gossiped message off the link. Never rejects. */
  async receive(topic: Topic, message: Uint8Array, id: string, from: PeerName): Promise<void> {
    this.#expected.delete(id);
    const handler = this.#topics.get(topic);
    if (!this.running || handler === undefined || this.#seen.has(id)) return;
    this.#remember(id);
    let verdict: GossipVerdict;
    try {
      verdict = await handler(message, from);
    } catch {
      verdict = 'ignore';
    }
    if (verdict === 'reject') this.penalise(from, 'gossip_rejected');
    if (verdict === 'accept' && this.running) this.#spread(topic, message, id, from);
  }

  #pardonLater(peer: PeerName): void {
    const cancel = this.#hub.clock.after(this.bannedFor_ms(peer), () => {
      this.#pardons.delete(cancel);
      this.#hub.reconcile(this.self, peer);
    });
    this.#pardons.add(cancel);
  }

  #spread(topic: Topic, message: Uint8Array, id: string, from: PeerName | undefined): void {
    for (const peer of this.#linked()) {
      // what IDONTWANT does: nobody is sent what it has or is about to get
      if (peer.self === from || peer.#seen.has(id) || peer.#expected.has(id)) continue;
      this.#send(peer, topic, message, id);
    }
  }

  #send(peer: FakeNetwork, topic: Topic, message: Uint8Array, id: string): void {
    const link = this.#hub.link(this.self, peer.self);
    for (let copies = link.copies(); copies > 0; copies -= 1) {
      peer.#expected.add(id);
      link.gossip(
        this.self,
        message,
        () => void peer.receive(topic, message, id, this.self),
        () => void peer.#expected.delete(id),
      );
    }
  }

  #linked(): Iterable<FakeNetwork> {
    return this.running ? this.#up.values() : [];
  }

  #info(node: FakeNetwork): PeerInfo {
    const [min, max] = this.#hub.link(this.self, node.self).shape.delay_ms;
    return { peer: node.self, actor: node.actor, rtt_ms: min + max };
  }

  #remember(id: string): void {
    this.#seen.add(id);
    if (this.#seen.size <= SEEN_MAX) return;
    for (const oldest of this.#seen) {
      this.#seen.delete(oldest);
      return;
    }
  }
}
