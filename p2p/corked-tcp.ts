/**
 * libp2p's TCP transport, but what one turn of the event loop writes leaves in one system call. As
 * it comes, each header, length and ciphertext is a write of its own, and with Nagle's algorithm
 * off (as it has to be) a segment of its own: 10 for a gossiped block of 100 KB.
 */
import { Socket } from 'node:net';
import { nextTick } from 'node:process';
import type { MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import type { TCPComponents, TCPOptions } from '@libp2p/tcp';

/** The same interface as `tcp`. */
export function corkedTcp(options: TCPOptions): (components: TCPComponents) => Transport {
  return (components) => {
    const transport = tcp(options)(components);
    const dial = transport.dial.bind(transport);
    const createListener = transport.createListener.bind(transport);
    transport.dial = (addr, dialOptions) => {
      return dial(addr, { ...dialOptions, upgrader: corkingUpgrader(dialOptions.upgrader) });
    };
    transport.createListener = (listenOptions) => {
      return createListener({
        ...listenOptions,
        upgrader: corkingUpgrader(listenOptions.upgrader),
      });
    };
    return transport;
  };
}

/** An upgrader that corks every connection before `inner` takes it. */
function corkingUpgrader(inner: Upgrader): Upgrader {
  const upgrader: Pick<Upgrader, 'upgradeInbound' | 'upgradeOutbound'> = {
    upgradeInbound: (connection, options) => inner.upgradeInbound(corked(connection), options),
    upgradeOutbound: (connection, options) => inner.upgradeOutbound(corked(connection), options),
  };
  return upgrader as Upgrader;
}

/** Corks the socket from the first write of a turn to the turn's end. */
function corked(connection: MultiaddrConnection): MultiaddrConnection {
  const socket: unknown = Reflect.get(connection, 'socket');
  if (!(socket instanceof Socket)) return connection;
  const write = socket.write.bind(socket);
  let isCorked = false;
  socket.write = ((...args: Parameters<typeof write>) => {
    if (!isCorked) {
      isCorked = true;
      socket.cork();
      nextTick(() => {
        isCorked = false;
        socket.uncork();
      });
    }
    return write(...args);
  }) as typeof write;
  return connection;
}
