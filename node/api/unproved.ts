import type { Socket } from 'node:net';
import type { Place } from '#node/connection-places.ts';

/** A connection is idle so long without anybody having proved who it is, and goes. */
export const UNPROVED_IDLE_MS = 5000;

interface Connection {
  readonly place: Place;
  readonly timer: NodeJS.Timeout;
}

/**
 * Connections that are open, by both their ends: a TLS connection has two sockets in this process,
 * which tell the same ones.
 */
const open = new Map<string, Connection>();

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Looks after a new connection until it ends. */
export function watchConnection(place: Place): void {
  const { socket } = place;
  const ends = endsOf(socket);
  const timer = setTimeout(() => {
    if (place.underWay === 0 && !place.isProved) socket.destroy();
  }, UNPROVED_IDLE_MS).unref();
  const connection = { place, timer };
  const before = open.get(ends);
  if (before) clearTimeout(before.timer);
  open.set(ends, connection);
  socket.once('close', () => {
    clearTimeout(timer);
    if (open.get(ends) === connection) open.delete(ends);
  });
}

/** A request on a connection is under way; call what is returned when it was answered. */
export function requestBegins(socket: Socket): () => void {
  const connection = open.get(endsOf(socket));
  if (!connection) return () => undefined;
  connection.place.underWay += 1;
  return () => {
    connection.place.underWay -= 1;
    if (open.get(endsOf(socket)) === connection) connection.timer.refresh();
  };
}

/** That a request on the connection has shown who calls: it may be kept while it is idle. */
export function noteProof(socket: Socket): void {
  const connection = open.get(endsOf(socket));
  if (connection) connection.place.isProved = true;
}

/** Whether a request on the connection has shown who calls. */
export function hasProof(socket: Socket): boolean {
  return open.get(endsOf(socket))?.place.isProved === true;
}
