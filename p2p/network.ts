/** The network port on libp2p: puts links, gossip, requests, scores and supervision together. */
import { fail, X0tError } from '#ledger/errors.ts';
import type {
  Network,
  PeerInfo,
  PeerName,
  Protocol,
  RequestOptions,
  Topic,
} from '#ledger/ports.ts';
import { multiaddr } from '@multiformats/multiaddr';
import { AccessControl } from './access.ts';
import { peerIn } from './addresses.ts';
import { Admission } from './admission.ts';
import type { CloseReason } from './admission.ts';
import { Counters } from './counters.ts';
import { GatedRegistrar } from './gated-registrar.ts';
import { resetStream } from './frames.ts';
import { isGossip } from './gossip-service.ts';
import { Gossip } from './gossip.ts';
import type { GossipHandler } from './gossip.ts';
import { HELLO_PROTOCOL } from './hello.ts';
import { createHost } from './host.ts';
import type { Host } from './host.ts';
import { JOIN_PROTOCOL, JoinDesk } from './join.ts';
import { readPeerKey } from './keys.ts';
import { PEERS_DEFAULT, sizeLimits, STREAMS_MAX } from './limits.ts';
import { infoOf, Links } from './links.ts';
import type { LinkedPeer } from './links.ts';
import { Liveness, LIVENESS } from './liveness.ts';
import { protocolName, request } from './requests.ts';
import { PeerScores } from './score.ts';
import { Serving } from './serving.ts';
import type { RequestHandler } from './serving.ts';
import { networkStatus } from './status.ts';
import { BACKOFF, Supervisor } from './supervisor.ts';
import type { ManagedNetwork, NetworkOptions, NetworkStatus } from './types.ts';

/** What libp2p asks this node before it exists; filled in by the constructor. */
interface Questions {
  refused: (peer: PeerName) => boolean;
  links: Links | undefined;
}

/** Makes the adapter without starting it. Throws `peer_key_invalid` and `address_invalid`. */
export async function createNetwork(options: NetworkOptions): Promise<ManagedNetwork> {
  for (const addr of [...options.listen, ...options.bootstrap, ...(options.announce ?? [])])
    checkAddr(addr);
  const questions: Questions = { refused: () => false, links: undefined };
  const gate = new GatedRegistrar((connection) => {
    return questions.links?.admitted(connection) ?? Promise.resolve(false);
  });
  const host = await createHost({
    key: readPeerKey(options.key),
    chain: options.chain,
    listen: options.listen,
    announce: options.announce ?? [],
    mdns: options.mdns ?? false,
    sizes: sizeLimits(options.peers_max ?? PEERS_DEFAULT),
    gate,
    refuses: (peer) => questions.refused(peer.toString()),
    gossips: (peer) => questions.links?.get(peer)?.access.gossips ?? true,
  });
  return new Libp2pNetwork(options, host, gate, questions);
}

class Libp2pNetwork implements ManagedNetwork {
  readonly self: PeerName;
  readonly #options: NetworkOptions;
  readonly #host: Host;
  #state: 'new' | 'running' | 'stopped' = 'new';
  // what this node knows of peers and holds against them
  readonly #counters = new Counters();
  readonly #scores: PeerScores;
  readonly #links: Links;
  #blocked: ReadonlySet<PeerName> = new Set();
  #listener: Parameters<Network['onPeer']>[0] | undefined;
  #onPenalty: Parameters<ManagedNetwork['onPenalty']>[0] | undefined;
  // the two halves of the port
  readonly #gossip: Gossip;
  readonly #serving: Serving;
  readonly #handlers = new Map<Protocol, RequestHandler>();
  // who comes in and stays
  readonly #access: AccessControl;
  readonly #admission: Admission;
  readonly #supervisor: Supervisor;
  readonly #liveness: Liveness;

  constructor(options: NetworkOptions, host: Host, gate: GatedRegistrar, questions: Questions) {
    const { clock, log, chain } = options;
    const self = host.peerId.toString();
    const counters = this.#counters;
    const penalise = (peer: PeerName, code: string): void => this.penalise(peer, code);
    const refused = (peer: PeerName): boolean => {
      return this.#refusedFor_ms(peer) > 0 || this.#access.isWorn(peer);
    };
    this.self = self;
    this.#options = options;
    this.#host = host;
    this.#scores = new PeerScores(clock);
    const links = new Links(clock, options.peers_max ?? PEERS_DEFAULT, {
      up: (peer) => this.#notify(peer, 'up'),
      down: (peer) => {
        this.#serving.forget(peer.peer);
        this.#gossip.forget(peer.peer);
        this.#supervisor.lost(peer.peer, 'link_lost');
        this.#notify(peer, 'down');
      },
    });
    this.#links = links;
    this.#gossip = new Gossip({ chain, clock, log, links, counters, penalise });
    this.#serving = new Serving({ clock, log, links, counters, penalise, ...options.serving });
    this.#access = new AccessControl({
      ask: options.access,
      clock,
      log,
      links,
      drop: (peer) => this.#drop(peer, 'access'),
      regossip: (peer) => regossip(gate, peer),
      retry: (peer) => this.#supervisor.retry(peer),
    });
    this.#supervisor = new Supervisor({
      self,
      clock,
      log,
      links,
      counters,
      dial: (addrs, signal) => host.dial(addrs, { signal }),
      refusedFor_ms: (peer) => {
        return Math.max(this.#refusedFor_ms(peer), this.#access.refusedFor_ms(peer));
      },
      backoff: { ...BACKOFF, ...options.backoff },
      configured: new Set(options.bootstrap),
    });
    this.#admission = new Admission({
      self,
      clock,
      log,
      links,
      counters,
      penalise,
      refused,
      gate,
      auth: options.hello,
      access: this.#access,
      desk: new JoinDesk({ clock, log, counters, penalise, handler: options.join }),
      supervisor: this.#supervisor,
    });
    this.#liveness = new Liveness({
      clock,
      log,
      links,
      counters,
      gossip: this.#gossip,
      timing: { ...LIVENESS, ...options.liveness },
      nudge: (connection) => gate.connect(connection),
      close: (connection, why) => this.#admission.close(connection, why),
    });
    questions.refused = refused;
    questions.links = links;
  }

  async start(): Promise<void> {
    if (this.#state !== 'new') fail('network_stopped', 'A network starts once; make a new one.');
    this.#state = 'running';
    await this.#attach();
    try {
      await this.#host.start();
    } catch (error) {
      this.#state = 'stopped';
      await this.#host.stop();
      throw new X0tError(
        'listen_failed',
        'The node cannot listen there; is the port taken?',
        {
          listen: [...this.#options.listen],
        },
        { cause: error },
      );
    }
    this.#gossip.start(this.#host.services.gossip);
    for (const addr of this.#options.bootstrap) this.#supervisor.bootstrap(addr);
    this.#supervisor.start();
    this.#liveness.start();
  }

  async stop(): Promise<void> {
    if (this.#state !== 'running') {
      this.#state = 'stopped';
      return;
    }
    this.#state = 'stopped';
    this.#supervisor.stop();
    this.#liveness.stop();
    this.#gossip.stop();
    await this.#host.stop();
  }

  peers(): readonly PeerInfo[] {
    return this.#links.all().map(infoOf);
  }

  onPeer(listener: Parameters<Network['onPeer']>[0]): void {
    this.#listener = listener;
  }

  publish(topic: Topic, message: Uint8Array): Promise<void> {
    return this.#gossip.publish(topic, message);
  }

  subscribe(topic: Topic, handler: GossipHandler): void {
    this.#gossip.subscribe(topic, handler);
  }

  request(
    peer: PeerName,
    protocol: Protocol,
    message: Uint8Array,
    options: RequestOptions,
  ): AsyncIterable<Uint8Array> {
    const { clock, chain } = this.#options;
    const parts = {
      clock,
      chain,
      links: this.#links,
      counters: this.#counters,
      penalise: (who: PeerName, code: string) => this.penalise(who, code),
    };
    return request(parts, peer, protocol, message, options);
  }

  serve(protocol: Protocol, handler: RequestHandler): void {
    this.#handlers.set(protocol, handler);
  }

  penalise(peer: PeerName, code: string): void {
    this.#counters.add('penalties_total', code);
    const linked = this.#links.get(peer);
    if (linked) this.#onPenalty?.(linked.actor, code);
    if (!this.#scores.penalise(peer, code)) return;
    this.#counters.add('bans_total', code);
    this.#options.log.warn(
      { peer, code, banned_ms: this.#scores.bannedFor_ms(peer) },
      'peer banned',
    );
    this.#drop(peer, 'banned');
  }

  setBlocked(peers: ReadonlySet<PeerName>): void {
    const before = this.#blocked;
    this.#blocked = new Set(peers);
    for (const peer of this.#blocked) if (!before.has(peer)) this.#drop(peer, 'blocked');
    if ([...before].some((peer) => !this.#blocked.has(peer))) this.#supervisor.retryNow();
  }

  onPenalty(listener: Parameters<ManagedNetwork['onPenalty']>[0]): void {
    this.#onPenalty = listener;
  }

  review(): void {
    this.#access.review();
  }

  dialNow(): void {
    this.#supervisor.retryNow();
  }

  addBootstrap(addr: string): void {
    checkAddr(addr);
    this.#supervisor.bootstrap(addr);
  }

  tellAddresses(peer: PeerName, addrs: readonly string[], isSought: boolean): string[] {
    const full = addrs.map((addr) => (peerIn(addr) === undefined ? `${addr}/p2p/${peer}` : addr));
    const fits = full.filter((addr) => peerIn(addr) === peer && isAddr(addr));
    this.#supervisor.tell(peer, fits, isSought);
    return full.filter((addr) => !fits.includes(addr));
  }

  setUndialled(peers: ReadonlySet<PeerName>): void {
    this.#supervisor.setUndialled(peers);
  }

  status(): NetworkStatus {
    return networkStatus({
      self: this.self,
      clock: this.#options.clock,
      addrs: this.#host.getMultiaddrs().map((addr) => addr.toString()),
      links: this.#links,
      gossip: this.#gossip,
      scores: this.#scores,
      addresses: this.#supervisor.addresses,
      blocked: this.#blocked,
      counters: this.#counters,
    });
  }

  /** Registers handlers and listeners with libp2p. */
  async #attach(): Promise<void> {
    const host = this.#host;
    await host.handle(
      HELLO_PROTOCOL,
      (stream, connection) => this.#admission.helloStream(stream, connection),
      {
        maxInboundStreams: 4,
        maxOutboundStreams: 4,
      },
    );
    await host.handle(
      JOIN_PROTOCOL,
      (stream, connection) => void this.#admission.joinStream(stream, connection),
      { maxInboundStreams: 1 },
    );
    for (const [protocol, handler] of this.#handlers) {
      await host.handle(
        protocolName(this.#options.chain, protocol),
        (stream, connection) => {
          void this.#serving.serve(protocol, handler, stream, connection);
        },
        { maxInboundStreams: STREAMS_MAX, maxOutboundStreams: STREAMS_MAX },
      );
    }
    host.addEventListener('connection:open', (event) => this.#admission.opened(event.detail));
    host.addEventListener('connection:close', (event) => this.#admission.closed(event.detail));
    host.addEventListener('peer:identify', ({ detail }) => {
      this.#admission.identified(
        detail.connection,
        detail.listenAddrs.map((addr) => addr.toString()),
      );
    });
    host.addEventListener('peer:discovery', ({ detail }) => {
      this.#supervisor.learn(
        detail.id.toString(),
        detail.multiaddrs.map((addr) => addr.toString()),
        'discovered',
      );
    });
  }

  #notify(peer: LinkedPeer, change: 'up' | 'down'): void {
    this.#options.log.info({ peer: peer.peer, actor: peer.actor }, `peer ${change}`);
    this.#listener?.(infoOf(peer), change);
  }

  #refusedFor_ms(peer: PeerName): number {
    return this.#blocked.has(peer) ? Infinity : this.#scores.bannedFor_ms(peer);
  }

  #drop(peer: PeerName, why: CloseReason): void {
    for (const connection of this.#host.getConnections()) {
      if (connection.remotePeer.toString() === peer) this.#admission.close(connection, why);
    }
  }
}

/** Forgets streams and subscriptions of the peer and begins anew; it does so when it sees that. */
function regossip(gate: GatedRegistrar, { links }: LinkedPeer): void {
  const open = links.map((link) => link.connection).filter(({ status }) => status === 'open');
  const newest = open.at(-1);
  if (newest === undefined) return;
  // gossipsub only closes its half of the peer's stream, which then never comes again
  const why = new X0tError('gossip_ended', 'Gossip with this peer begins anew or ends.');
  for (const { streams } of open) {
    for (const stream of streams) if (isGossip(stream.protocol)) resetStream(stream, why);
  }
  gate.disconnect(newest.remotePeer);
  gate.connect(newest);
}

function checkAddr(addr: string): void {
  if (isAddr(addr)) return;
  fail(
    'address_invalid',
    'This is no multiaddr; write it like /ip4/192.0.2.7/tcp/4101/p2p/12D3Koo...',
    { addr },
  );
}

function isAddr(addr: string): boolean {
  try {
    multiaddr(addr);
    return true;
  } catch {
    return false;
  }
}
