/**
 * Shows gossipsub admitted peers only. It takes the place of libp2p's registrar in gossipsub's
 * components: inbound streams wait until their peer's hello is accepted or are reset, and
 * connections are announced by `connect`, which also serves to open a lost outbound stream again.
 * (Stream middleware cannot do it: libp2p 3.3 appends the handler to the registered middleware
 * list on every stream.)
 */
import { X0tError } from '#ledger/errors.ts';
import type { GossipSubComponents } from '@libp2p/gossipsub';
import type { Connection, PeerId, Topology } from '@libp2p/interface';
import { resetStream } from './frames.ts';

type Registrar = GossipSubComponents['registrar'];

export class GatedRegistrar {
  readonly #admitted: (connection: Connection) => Promise<boolean>;
  readonly #topologies = new Map<string, Topology>();
  #next = 0;

  constructor(admitted: (connection: Connection) => Promise<boolean>) {
    this.#admitted = admitted;
  }

  /** The part of the registrar that gossipsub uses, in front of the `inner` one. */
  around(inner: Registrar): Registrar {
    const gate: Pick<
      Registrar,
      'handle' | 'unhandle' | 'register' | 'unregister' | 'getTopologies'
    > = {
      handle: (protocol, handler, options) => {
        return inner.handle(
          protocol,
          async (stream, connection) => {
            if (await this.#admitted(connection)) {
              if (stream.status === 'open') await handler(stream, connection);
              return;
            }
            resetStream(
              stream,
              new X0tError('not_admitted', 'The peer opened gossip before its hello was accepted.'),
            );
          },
          options,
        );
      },
      unhandle: (protocol, options) => inner.unhandle(protocol, options),
      register: (_protocol, topology) => {
        const id = String((this.#next += 1));
        this.#topologies.set(id, topology);
        return Promise.resolve(id);
      },
      unregister: (id) => {
        this.#topologies.delete(id);
      },
      getTopologies: () => [...this.#topologies.values()],
    };
    return gate as Registrar;
  }

  /**
   * Announces a connection of an admitted peer: a gossip stream is opened unless there is one.
   * Idempotent.
   */
  connect(connection: Connection): void {
    // gossipsub registers one topology object once per protocol version
    for (const topology of new Set(this.#topologies.values()))
      void topology.onConnect?.(connection.remotePeer, connection);
  }

  /**
   * Announces that an admitted peer has gone: its streams, mesh links and subscriptions are
   * forgotten.
   */
  disconnect(peer: PeerId): void {
    for (const topology of new Set(this.#topologies.values())) void topology.onDisconnect?.(peer);
  }
}
