import { closeSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { fail } from '#ledger/errors.ts';

/**
 * Who is at the other end of a Unix socket, by the kernel's word (unix(7), SO_PEERCRED): the
 * process that connected, not one that got the socket from it. Its pid may be given to another
 * process once it has ended; a `PeerProcess` notices. Linux only.
 */
export interface PeerCredentials {
  readonly pid: number;
  /** Effective ids at the time of the connection. */
  readonly uid: number;
  readonly gid: number;
}

/** What is asked of the kernel; tests stand in for one that knows less. */
export interface PeerKernel {
  /** Fails with `caller_unknown`. */
  credentials(socketFd: number): PeerCredentials;
  /**
   * A descriptor of the peer's process (SO_PEERPIDFD); `undefined` where the kernel has none of
   * these (before Linux 6.5). Fails with `caller_gone` where it has, and gives none of this peer.
   */
  pidfdOfPeer(socketFd: number): number | undefined;
  /** A descriptor of the process that has this pid now (Linux 5.3), or `undefined`. */
  pidfdOfPid(pid: number): number | undefined;
  /** Whether the process of a descriptor has ended. */
  hasEnded(pidfd: number): boolean;
  close(pidfd: number): void;
  /** When the process of a pid started, in ticks since the machine did; `undefined`: it is gone. */
  startOf(pid: number): string | undefined;
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERPIDFD = 77;
/** `asm-generic/errno.h`: no such socket option. */
const ENOPROTOOPT = 92;
const POLLIN = 1;

/** The running kernel. Fails with `attestation_unavailable` where there is no such kernel. */
export function peerKernel(): PeerKernel {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    return fail('attestation_unavailable', 'callers of a socket are attested on Linux only', {
      platform: process.platform,
      arch: process.arch,
    });
  }
  const { errno, getsockopt, poll, pidfdOpen } = bind();
  return {
    credentials(socketFd) {
      const value = Buffer.alloc(12);
      const length = [value.length];
      if (getsockopt(socketFd, SOL_SOCKET, SO_PEERCRED, value, length) !== 0) {
        return fail('caller_unknown', 'the kernel does not say who is connected', {
          errno: errno(),
        });
      }
      const [pid, uid, gid] = [value.readInt32LE(0), value.readUInt32LE(4), value.readUInt32LE(8)];
      // 0: a process of a pid namespace that is not below ours
      if (pid > 0) return { pid, uid, gid };
      return fail('caller_unknown', 'the caller is in another pid namespace, or has ended');
    },
    pidfdOfPeer(socketFd) {
      const value = Buffer.alloc(4);
      if (getsockopt(socketFd, SOL_SOCKET, SO_PEERPIDFD, value, [value.length]) === 0) {
        return value.readInt32LE(0);
      }
      const code = errno();
      // by its pid it would be whoever has that now
      if (code !== ENOPROTOOPT) {
        fail('caller_gone', 'the kernel has no process at the other end', { errno: code });
      }
      return undefined;
    },
    pidfdOfPid(pid) {
      const pidfd = pidfdOpen?.(pid, 0) ?? -1;
      return pidfd >= 0 ? pidfd : undefined;
    },
    hasEnded(pidfd) {
      // struct pollfd { int fd; short events; short revents; }
      const asked = Buffer.alloc(8);
      asked.writeInt32LE(pidfd, 0);
      asked.writeInt16LE(POLLIN, 4);
      // readable: it has ended; an error is taken for that, too
      return poll(asked, 1, 0) !== 0;
    },
    close: closeSync,
    startOf: startTimeOf,
  };
}

type Getsockopt = (
  fd: number,
  level: number,
  name: number,
  value: Buffer,
  size: number[],
) => number;

interface Bound {
  readonly errno: () => number;
  readonly getsockopt: Getsockopt;
  readonly poll: (asked: Buffer, count: number, timeout_ms: number) => number;
  /** Not in every C library. */
  readonly pidfdOpen: ((pid: number, flags: number) => number) | undefined;
}

let bound: Bound | undefined;

function bind(): Bound {
  if (bound) return bound;
  try {
    // not imported: where its binary does not load, a node goes on without identities
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const libc = koffi.load(null);
    bound = {
      errno: () => koffi.errno(),
      getsockopt: libc.func(
        'int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *size)',
      ) as Getsockopt,
      poll: libc.func('int poll(_Inout_ void *asked, unsigned long count, int timeout_ms)'),
      pidfdOpen: optional(() => libc.func('int pidfd_open(int pid, unsigned int flags)')),
    };
    return bound;
  } catch (error) {
    return fail('attestation_unavailable', 'the C library cannot be called', {
      reason: String(error),
    });
  }
}

function optional<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat; the command in field 2 may hold anything but ends with `) `. */
function startTimeOf(pid: number): string | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    // state first: a zombie and a dead process are gone
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/**
 * The process that connected to a socket. Made at once when a connection comes. Every fact that is
 * read from `/proc/PID` counts only if `isAlive` holds before and after.
 */
export class PeerProcess {
  readonly credentials: PeerCredentials;
  /**
   * `pidfd`: no reuse of the pid goes unseen; `start-time`: none after the connection was taken.
   */
  readonly guard: 'pidfd' | 'start-time';
  readonly #kernel: PeerKernel;
  readonly #start: string;
  #pidfd: number | undefined;
  #isClosed = false;

  /** Fails with `caller_unknown`, or `caller_gone` when it has ended already. */
  constructor(socketFd: number, kernel: PeerKernel) {
    this.#kernel = kernel;
    this.credentials = kernel.credentials(socketFd);
    const ofPeer = kernel.pidfdOfPeer(socketFd);
    this.guard = ofPeer === undefined ? 'start-time' : 'pidfd';
    const start = kernel.startOf(this.credentials.pid);
    this.#pidfd = ofPeer ?? kernel.pidfdOfPid(this.credentials.pid);
    this.#start = start ?? '';
    if (start === undefined || !this.isAlive) {
      this.close();
      fail('caller_gone', 'the process that connected has ended', { pid: this.credentials.pid });
    }
  }

  /** Whether it runs still, and its pid is its own. */
  get isAlive(): boolean {
    if (this.#isClosed) return false;
    if (this.#pidfd !== undefined && this.#kernel.hasEnded(this.#pidfd)) return false;
    return this.#kernel.startOf(this.credentials.pid) === this.#start;
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    const pidfd = this.#pidfd;
    this.#pidfd = undefined;
    if (pidfd !== undefined) this.#kernel.close(pidfd);
  }
}
