import { readFile, stat } from 'node:fs/promises';
import { X0tError, fail } from '#ledger/errors.ts';
import type { ClientAuth } from '#node/client-auth.ts';

/**
 * Whose program listens at a port of this machine, by the kernel's tables (proc(5), Linux only):
 * after a crash of a node another user may have taken its port.
 */

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;
/** TCP_LISTEN in the kernel's `tcp_states.h`. */
const LISTENING = '0A';
const ROOT = 0;

/** The users whose sockets listen at a port, of the text of such a table. */
export function listenersOf(table: string, port: number): readonly number[] {
  const users: number[] = [];
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', , state, , , , user = ''] = line.trim().split(/\s+/);
    if (state !== LISTENING || !/^\d+$/.test(user)) continue;
    if (Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16) === port) {
      users.push(Number(user));
    }
  }
  return users;
}

/** As `auth`; but nothing is shown to a program that is neither of the file's owner nor of root. */
export function onlyToOwner(auth: ClientAuth, file: string): ClientAuth {
  return async (request) => {
    await assertOwnListener(request.url, file);
    return auth(request);
  };
}

/**
 * Throws `node_unreachable` where nothing listens at a loopback URL, and `listener_foreign` where
 * somebody does who is not the owner of the token's file. Without such tables it does nothing.
 */
export async function assertOwnListener(url: URL, file: string): Promise<void> {
  const tables = await Promise.all(TABLES.map((path) => readFile(path, 'utf8').catch(() => '')));
  if (tables.every((text) => text === '')) return;
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const users = tables.flatMap((text) => listenersOf(text, port));
  if (users.length === 0) {
    const message = 'No node answers there: start it with `npx x0t start`, or name it with --url.';
    fail('node_unreachable', message, { url: url.origin, reason: 'ECONNREFUSED' });
  }
  const { uid: owner } = await stat(file).catch((cause: unknown) => {
    const message = 'The token cannot be read: check its path and mode.';
    throw new X0tError('token_unreadable', message, { file }, { cause });
  });
  const stranger = users.find((user) => user !== owner && user !== ROOT);
  if (stranger === undefined) return;
  const message =
    'Another user of this machine listens there, who is not shown the token: start the node, or' +
    ' name it with --url.';
  fail('listener_foreign', message, { url: url.origin, user: stranger, owner });
}
