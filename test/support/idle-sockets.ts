import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** Another host than the others of a test, as far as addresses tell: all of 127/8 is loopback. */
const ATTACKER = '127.0.0.2';

/** TCP connections from an address of their own that say nothing. */
export class IdleSockets {
  readonly #sockets: Socket[] = [];

  /** Opens `count` to a port of this machine; resolves when each is open or was refused. */
  async open(port: number, count: number): Promise<void> {
    const opening = Array.from({ length: count }, () => {
      const socket = connect({ host: '127.0.0.1', port, localAddress: ATTACKER });
      this.#sockets.push(socket);
      return new Promise<void>((resolve) => {
        socket.once('connect', () => resolve());
        socket.once('error', () => resolve());
        socket.on('error', () => socket.destroy());
        // reads on, so that the other side's end is seen
        socket.resume();
      });
    });
    await Promise.all(opening);
  }

  /** Those that the other side has not closed. */
  get openCount(): number {
    return this.#sockets.filter(({ readyState }) => readyState === 'open').length;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
