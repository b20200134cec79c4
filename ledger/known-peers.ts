import type {
  GossipVerdict, Id, Network, PeerInfo, PeerName, Protocol, RequestOptions, Topic,
} from './ports.ts';

/**
 * The network with its peers under the names that the ledger gives them. A hello proves that a peer
 * holds a key; a node that is behind may not know yet whose that is, and its link then carries the
 * id of the key. Once the ledger binds it, the peer counts as that actor, over the same link.
 */
export class KnownPeers implements Network {
  readonly #network: Network;
  readonly #actorOf: (id: Id) => Id;

  /** `actorOf`: the actor with this id, or whose present key it is; else the id. */
  constructor(network: Network, actorOf: (id: Id) => Id) {
    this.#network = network;
    this.#actorOf = actorOf;
  }

  get self(): PeerName {
    return this.#network.self;
  }

  #known(peer: PeerInfo): PeerInfo {
    const actor = this.#actorOf(peer.actor);
    return actor === peer.actor ? peer : { ...peer, actor };
  }

  peers(): readonly PeerInfo[] {
    return this.#network.peers().map((peer) => this.#known(peer));
  }

  onPeer(listener: (peer: PeerInfo, change: 'up' | 'down') => void): void {
    this.#network.onPeer((peer, change) => listener(this.#known(peer), change));
  }

  publish(topic: Topic, message: Uint8Array): Promise<void> {
    return this.#network.publish(topic, message);
  }

  subscribe(
    topic: Topic,
    handler: (message: Uint8Array, from: PeerName) => Promise<GossipVerdict>,
  ): void {
    this.#network.subscribe(topic, handler);
  }

  request(
    peer: PeerName,
    protocol: Protocol,
    message: Uint8Array,
    options: RequestOptions,
  ): AsyncIterable<Uint8Array> {
    return this.#network.request(peer, protocol, message, options);
  }

  serve(
    protocol: Protocol,
    handler: (message: Uint8Array, from: PeerName) => AsyncIterable<Uint8Array>,
  ): void {
    this.#network.serve(protocol, handler);
  }

  penalise(peer: PeerName, code: string): void {
    this.#network.penalise(peer, code);
  }
}
