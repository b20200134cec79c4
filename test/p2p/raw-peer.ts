/** Peers that speak raw libp2p and whose hello is accepted; what they do then is up to the test. */
import { multiaddr } from '@multiformats/multiaddr';
import { FrameStream } from '#p2p/frames.ts';
import { GatedRegistrar } from '#p2p/gated-registrar.ts';
import { exchangeHello, HELLO_PROTOCOL } from '#p2p/hello.ts';
import { createHost } from '#p2p/host.ts';
import type { Host } from '#p2p/host.ts';
import { generatePeerKey } from '#p2p/index.ts';
import { readPeerKey } from '#p2p/keys.ts';
import { sizeLimits } from '#p2p/limits.ts';
import type { Connection } from '@libp2p/interface';
import { CHAIN, testAuth } from './support.ts';

export interface RawPeer {
  readonly host: Host;
  readonly gate: GatedRegistrar;
  readonly connection: Connection;
}

/** A process that stands still in the middle of a hello is refused, and tries again. */
const TRIES_MAX = 3;

/** Dials `addr` and gets admitted there; gossip stays silent until `gate.connect`. */
export async function rawPeer(addr: string): Promise<RawPeer> {
  const gate = new GatedRegistrar(() => Promise.resolve(true));
  const host = await createHost({
    key: readPeerKey(await generatePeerKey()),
    chain: CHAIN,
    listen: [],
    announce: [],
    mdns: false,
    sizes: sizeLimits(8),
    gate,
    refuses: () => false,
  });
  await host.start();
  for (let tries = 1; ; tries += 1) {
    try {
      const connection = await host.dial(multiaddr(addr), { force: true });
      await greet(host, connection);
      return { host, gate, connection };
    } catch (error) {
      if (tries === TRIES_MAX) throw error;
    }
  }
}

async function greet(host: Host, connection: Connection): Promise<void> {
  const stream = await connection.newStream(HELLO_PROTOCOL);
  const names = { self: host.peerId.toString(), peer: connection.remotePeer.toString() };
  await exchangeHello(new FrameStream(stream), testAuth(), names, AbortSignal.timeout(60_000));
}
