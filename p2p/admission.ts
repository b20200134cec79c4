/** From an open connection to an admitted link: runs the hello on each and closes what fails. */
import { X0tError } from '#ledger/errors.ts';
import type { Clock, Id, Log, PeerName } from '#ledger/ports.ts';
import type { Connection, Stream } from '@libp2p/interface';
import type { AccessControl, Admitted } from './access.ts';
import type { Counters } from './counters.ts';
import { coded } from './failures.ts';
import { FrameStream, resetStream } from './frames.ts';
import type { GatedRegistrar } from './gated-registrar.ts';
import { exchangeHello, HELLO_PROTOCOL } from './hello.ts';
import type { HelloAuth } from './hello.ts';
import type { JoinDesk } from './join.ts';
import { HELLO_MS_MAX } from './limits.ts';
import type { Links } from './links.ts';
import type { Supervisor } from './supervisor.ts';
import { deadline } from './timers.ts';

/** Why this node closed a connection; the labels of `disconnects_total`. */
export type CloseReason =
  'dead' | 'blocked' | 'banned' | 'gossip' | 'duplicate' | 'hello' | 'access' | 'join';

export interface AdmissionParts {
  readonly self: PeerName;
  readonly clock: Clock;
  readonly log: Log;
  readonly auth: HelloAuth;
  readonly access: AccessControl;
  readonly desk: JoinDesk;
  readonly links: Links;
  readonly gate: GatedRegistrar;
  readonly supervisor: Supervisor;
  readonly counters: Counters;
  readonly penalise: (peer: PeerName, code: string) => void;
  readonly refused: (peer: PeerName) => boolean;
}

/** One connection before and after its hello. */
interface Doorway {
  /** Takes the hello stream that the dialler opens; undefined once it came. */
  take: ((stream: Stream) => void) | undefined;
  /** Ends the wait for a hello: the dialler only wants to join. */
  readonly visit: () => void;
  /** Where the peer says it listens, as text. */
  addrs: readonly string[];
  admitted: boolean;
  closedBy: CloseReason | undefined;
}

/** The connection is that of one who is no member and asks to become one. */
class Visit extends X0tError {}

/** The hello holds; the owner of the port does not admit the actor that it proves. */
class AccessRefused extends X0tError {}

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #doorways = new Map<string, Doorway>();

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  opened(connection: Connection): void {
    const arrived = Promise.withResolvers<Stream>();
    const doorway: Doorway = {
      take: arrived.resolve,
      visit: () => arrived.reject(new Visit('join_visit', 'The peer only asks to join.')),
      addrs: [],
      admitted: false,
      closedBy: undefined,
    };
    this.#doorways.set(connection.id, doorway);
    if (this.#parts.refused(connection.remotePeer.toString())) {
      this.close(connection, 'blocked');
      return;
    }
    this.#parts.links.pending(connection, this.#greet(connection, doorway, arrived.promise));
  }

  /** The handler of the hello protocol. */
  helloStream(stream: Stream, connection: Connection): void {
    const doorway = this.#doorways.get(connection.id);
    if (doorway?.take !== undefined && connection.direction === 'inbound') {
      doorway.take(stream);
      doorway.take = undefined;
      return;
    }
    resetStream(
      stream,
      new X0tError('hello_repeated', 'One hello per connection, from its dialler.'),
    );
    this.#parts.penalise(connection.remotePeer.toString(), 'hello_repeated');
  }

  /** The handler of the join protocol: what the dialler may open instead of the hello. */
  async joinStream(stream: Stream, connection: Connection): Promise<void> {
    const doorway = this.#doorways.get(connection.id);
    if (doorway?.take === undefined || connection.direction !== 'inbound') {
      const why = 'A join is the first word on a connection, and the last.';
      resetStream(stream, new X0tError('hello_repeated', why));
      this.#parts.penalise(connection.remotePeer.toString(), 'hello_repeated');
      return;
    }
    doorway.take = undefined;
    doorway.visit();
    doorway.closedBy ??= 'join';
    await this.#parts.desk.serve(stream, connection);
    await this.#partAfterRefusal(connection);
  }

  /** What identify said; used for redialling once the peer is admitted. */
  identified(connection: Connection, addrs: readonly string[]): void {
    const doorway = this.#doorways.get(connection.id);
    if (doorway === undefined) return;
    doorway.addrs = addrs;
    if (doorway.admitted)
      this.#parts.supervisor.learn(connection.remotePeer.toString(), addrs, 'admitted');
  }

  closed(connection: Connection): void {
    const { links, gate, counters } = this.#parts;
    const doorway = this.#doorways.get(connection.id);
    this.#doorways.delete(connection.id);
    counters.add('disconnects_total', doorway?.closedBy ?? 'peer');
    const peer = connection.remotePeer.toString();
    const wasUp = links.get(peer) !== undefined;
    links.remove(connection);
    if (!wasUp) return;
    if (links.get(peer) === undefined) gate.disconnect(connection.remotePeer);
    // gossipsub bound its stream to one of the connections: maybe to this one
    const other = links.open(peer);
    if (other !== undefined) gate.connect(other);
  }

  /** Ends a connection at once, whatever is on its way. */
  close(connection: Connection, why: CloseReason): void {
    const doorway = this.#doorways.get(connection.id);
    if (doorway !== undefined) doorway.closedBy ??= why;
    mute(connection);
    connection.abort(new X0tError('link_closed', 'This node closed the connection.', { why }));
  }

  /** Resolves whether the connection was admitted. Never rejects. */
  async #greet(
    connection: Connection,
    doorway: Doorway,
    arrived: Promise<Stream>,
  ): Promise<boolean> {
    const { self, clock, log, links, gate, supervisor, counters, penalise } = this.#parts;
    const peer = connection.remotePeer.toString();
    const limit = deadline(clock, HELLO_MS_MAX, () => {
      return new X0tError('hello_timeout', 'The hello was not finished in time.', { peer });
    });
    try {
      const stream =
        connection.direction === 'outbound'
          ? await connection.newStream(HELLO_PROTOCOL, {
              signal: limit.signal,
              maxOutboundStreams: 2,
            })
          : await orAborted(arrived, limit.signal);
      const frames = new FrameStream(stream);
      const auth = this.#auth(connection);
      const actor = await exchangeHello(frames, auth, { self, peer }, limit.signal);
      if (connection.status !== 'open')
        throw new X0tError('peer_gone', 'The connection ended.', { peer });
      // asked again: a review may have come while the peer's verdict was on its way
      const access = this.#assertAccess(connection, actor);
      for (const stale of links.admit(connection, actor, access)) this.close(stale, 'duplicate');
      doorway.admitted = true;
      counters.add('hellos_total', 'ok');
      supervisor.admitted(peer, connection);
      if (doorway.addrs.length > 0) supervisor.learn(peer, doorway.addrs, 'admitted');
      gate.connect(connection);
      void stream.close({ signal: limit.signal }).catch(() => undefined);
      return true;
    } catch (error) {
      if (error instanceof Visit) return false;
      const failure = coded(error, limit.signal, peer);
      counters.add('hellos_total', failure.code);
      log.info(
        { peer, addr: connection.remoteAddr.toString(), code: failure.code, ...failure.data },
        'hello failed',
      );
      const isJudged = failure instanceof AccessRefused;
      // no fault of the peer: it may not know yet what was decided about it
      if (!isJudged) penalise(peer, failure.code);
      supervisor.lost(peer, failure.code, failure.data['reason']);
      doorway.closedBy ??= isJudged ? 'access' : 'hello';
      await this.#partAfterRefusal(connection);
      return false;
    } finally {
      limit.clear();
    }
  }

  /** The hello as the owner checks it, and then whether it lets that actor in. */
  #auth(connection: Connection): HelloAuth {
    const { auth } = this.#parts;
    return {
      make: (challenge, self) => auth.make(challenge, self),
      check: async (message, challenge, peer) => {
        const proven = await auth.check(message, challenge, peer);
        this.#assertAccess(connection, proven.actor);
        return proven;
      },
    };
  }

  #assertAccess({ remotePeer, direction }: Connection, actor: Id): Admitted {
    const peer = remotePeer.toString();
    const access = this.#parts.access.of(peer, actor, direction);
    if (access.isAdmitted) return access;
    throw new AccessRefused(access.code, 'This network does not let the peer in.', { peer, actor });
  }

  /** Closes gently, so that a refusal under way arrives, and hard if that takes long. */
  async #partAfterRefusal(connection: Connection): Promise<void> {
    const limit = deadline(
      this.#parts.clock,
      1_000,
      () => new X0tError('link_closed', 'Closing took too long.'),
    );
    try {
      await connection.close({ signal: limit.signal });
    } catch {
      this.close(connection, 'hello');
    } finally {
      limit.clear();
    }
  }
}

/**
 * A stream that was opened in this same turn announces itself in a microtask, and yamux throws
 * there if its connection was aborted meanwhile, which would end the process.
 */
function mute({ streams }: Connection): void {
  for (const stream of streams) {
    if ('sendWindowUpdate' in stream) stream.sendWindowUpdate = () => undefined;
  }
}

async function orAborted(stream: Promise<Stream>, signal: AbortSignal): Promise<Stream> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([stream, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
