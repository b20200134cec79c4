import type { Socket } from 'node:net';
import type { Shares } from '#ledger/shares.ts';

/** A connection is idle so long without anybody having proved who it is, and goes. */
export const UNPROVED_IDLE_MS = 5000;

interface Connection {
  readonly socket: Socket;
  readonly shares: Shares;
  readonly party: string;
  readonly timer: NodeJS.Timeout;
  readonly leave: () => void;
  underWay: number;
  isProved: boolean;
}

/**
 * Connections that are open, by both their ends: a TLS connection has two sockets in this process,
 * which tell the same ones.
 */
const open = new Map<string, Connection>();

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Looks after a new connection of a party, and gives its place back when it ends. */
export function watchConnection(socket: Socket, shares: Shares, party: string): void {
  const ends = endsOf(socket);
  const connection: Connection = {
    socket,
    shares,
    party,
    leave: () => {
      if (open.get(ends) !== connection) return;
      open.delete(ends);
      clearTimeout(connection.timer);
      shares.give(party);
    },
    timer: setTimeout(() => {
      if (isIdle(connection)) socket.destroy();
    }, UNPROVED_IDLE_MS).unref(),
    underWay: 0,
    isProved: false,
  };
  open.get(ends)?.leave();
  open.set(ends, connection);
  socket.once('close', connection.leave);
}

/** A request on a connection is under way; call what is returned when it was answered. */
export function requestBegins(socket: Socket): () => void {
  const connection = open.get(endsOf(socket));
  if (!connection) return () => undefined;
  connection.underWay += 1;
  return () => {
    connection.underWay -= 1;
    if (open.get(endsOf(socket)) === connection) connection.timer.refresh();
  };
}

/** That a request on the connection has shown who calls: it may be kept while it is idle. */
export function noteProof(socket: Socket): void {
  const connection = open.get(endsOf(socket));
  if (connection) connection.isProved = true;
}

/** Whether a request on the connection has shown who calls. */
export function hasProof(socket: Socket): boolean {
  return open.get(endsOf(socket))?.isProved === true;
}

/** Ends a party's oldest idle connection on which nothing was proved; false: it has none. */
export function endOldestOf(shares: Shares, party: string): boolean {
  for (const connection of open.values()) {
    const isIts = connection.shares === shares && connection.party === party;
    if (!isIts || !isIdle(connection)) continue;
    connection.leave();
    connection.socket.destroy();
    return true;
  }
  return false;
}

function isIdle({ underWay, isProved }: Connection): boolean {
  return underWay === 0 && !isProved;
}
