import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { dirname } from 'node:path';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import type { Clock, Log } from '#ledger/ports.ts';
import { TokenBuckets } from '#ledger/token-buckets.ts';
import type { Rate } from '#ledger/token-buckets.ts';
import { PeerProcess } from '#native/peer-process.ts';
import type { PeerKernel } from '#native/peer-process.ts';
import { CONNECTIONS_MAX, CallerRoom, partyOf } from './caller-room.ts';
import { assertOwnFolder } from './socket-folder.ts';
import { CallerServer } from './workload-calls.ts';
import type { Provider } from './provider.ts';

export interface WorkloadServerParts {
  readonly provider: Provider;
  readonly kernel: PeerKernel;
  readonly clock: Clock;
  readonly log: Log;
  /** Counts a refusal by its code. */
  readonly refused: (code: string) => void;
}

/** Calls and connections that one party may begin in a second, and at once after a pause. */
const CALLS: Rate = { perSecond: 50, burst: 200 };
/** Connections that are looked at at once: beyond what is served, as many as wait in the kernel. */
const ACCEPTED_MAX = 2 * CONNECTIONS_MAX;
/** sockaddr_un without its ending zero. */
const PATH_BYTES_MAX = 107;
/** Renewals are looked for this often: far more often than the shortest half life. */
const LOOK_MS = 2_000;
const OWN_UID = process.geteuid?.() ?? 0;
/** A socket file whose owner does not answer within this time is taken over. */
const STALE_PROBE_MS = 1_000;

/**
 * The SPIFFE Workload Endpoint on a Unix socket: anyone on this machine may connect, and gets what
 * the registration entries say of the process that the kernel says has connected. No secret of the
 * caller is asked for (Workload Endpoint, 5).
 */
export class WorkloadServer {
  readonly #parts: WorkloadServerParts;
  readonly #callers = new Map<Socket, CallerServer>();
  readonly #room = new CallerRoom(OWN_UID);
  readonly #rates: TokenBuckets;
  #listener: Server | undefined;
  #cancelLook: () => void = () => undefined;
  /** The folder above the socket's where others may make its folder, if that is gone. */
  sticky: string | undefined;

  constructor(parts: WorkloadServerParts) {
    this.#parts = parts;
    this.#rates = new TokenBuckets(CALLS, parts.clock, CONNECTIONS_MAX);
  }

  get connections(): number {
    return this.#callers.size;
  }

  /** Fails with `socket_path_invalid`, `socket_folder_open`, `socket_taken`, `socket_failed`. */
  async listen(path: string): Promise<void> {
    if (!path.startsWith('/') || Buffer.byteLength(path) > PATH_BYTES_MAX) {
      const length = `at most ${PATH_BYTES_MAX} bytes`;
      fail('socket_path_invalid', `a socket has an absolute path of ${length}`);
    }
    this.sticky = await assertOwnFolder(dirname(path), OWN_UID);
    await removeStale(path);
    const listener = createServer({ allowHalfOpen: false }, (socket) => this.#accept(socket));
    listener.maxConnections = ACCEPTED_MAX;
    await new Promise<void>((resolve, reject) => {
      listener.once('error', (error) => {
        const data = { reason: error.message };
        reject(new X0tError('socket_failed', 'the socket cannot be made', data));
      });
      listener.listen(path, resolve);
    });
    this.#listener = listener;
    // whoever may reach its folder may connect: what they get depends on who they are
    await chmod(path, 0o777);
    this.#plan();
  }

  /** Sends what has changed: call it when the state has, besides its own looking. */
  async look(): Promise<void> {
    await Promise.all([...this.#callers.values()].map((server) => server.look()));
  }

  /** Ends all calls; the socket file goes with its listener. */
  async close(): Promise<void> {
    this.#cancelLook();
    const listener = this.#listener;
    this.#listener = undefined;
    const closed = listener && new Promise((resolve) => listener.close(resolve));
    for (const socket of this.#callers.keys()) socket.destroy();
    await closed;
  }

  #plan(): void {
    this.#cancelLook = this.#parts.clock.after(LOOK_MS, () => {
      this.#plan();
      this.look().catch((error: unknown) => {
        this.#parts.log.warn({ code: codeOf(error) }, 'looking for renewals failed');
      });
    });
  }

  #accept(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    try {
      const caller = new PeerProcess(descriptorOf(socket), this.#parts.kernel);
      this.#serve(socket, caller);
    } catch (error) {
      const code = codeOf(error);
      this.#parts.refused(code);
      this.#parts.log.info({ code }, 'a caller of the Workload API was refused');
      socket.destroy();
    }
  }

  #serve(socket: Socket, caller: PeerProcess): void {
    const { uid } = caller.credentials;
    const give = this.#enter(caller, socket);
    const server = new CallerServer(caller, socket, {
      provider: this.#parts.provider,
      refused: this.#parts.refused,
      spend: () => this.#spend(uid),
    });
    this.#callers.set(socket, server);
    socket.once('close', () => {
      this.#callers.delete(socket);
      server.close();
      caller.close();
      give();
    });
  }

  /** Returns what gives the place back. */
  #enter(caller: PeerProcess, socket: Socket): () => void {
    const { uid } = caller.credentials;
    try {
      this.#spend(uid);
      const give = this.#room.take(uid, () => socket.destroy());
      return give ?? fail('workload_busy', 'a uid has too many connections', { uid });
    } catch (error) {
      caller.close();
      throw error;
    }
  }

  #spend(uid: number): void {
    if (this.#rates.take(partyOf(uid))) return;
    fail('workload_busy', 'a uid makes too many calls', { uid });
  }
}

/** Node has no public name for it; a Unix socket's handle has it on Linux. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } };
  const fd = handle?.fd ?? -1;
  return fd >= 0 ? fd : fail('caller_gone', 'the connection has ended already');
}

/** Removes a socket file that nobody listens on; any other file stays and is an error. */
async function removeStale(path: string): Promise<void> {
  const file = await lstat(path).catch(() => undefined);
  if (!file) return;
  if (!file.isSocket() || (await isAnswered(path))) {
    fail('socket_taken', 'the path of the socket is in use', { path });
  }
  await unlink(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.setTimeout(STALE_PROBE_MS);
    const end = (answered: boolean): void => {
      probe.destroy();
      resolve(answered);
    };
    probe.once('connect', () => end(true));
    probe.once('timeout', () => end(true));
    probe.once('error', () => end(false));
  });
}
