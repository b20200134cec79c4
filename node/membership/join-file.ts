import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { decode, encode } from '#ledger/codec.ts';
import { X0tError } from '#ledger/errors.ts';
import { decodeEntry } from '#ledger/event.ts';
import * as field from '#ledger/fields.ts';
import { ADDRS_MAX, ADDR_CHARS_MAX } from '#ledger/invite.ts';
import { dataPaths } from '#node/data-paths.ts';
import { decodeJoin, encodeJoin } from './join-exchange.ts';
import type { JoinMessage } from './join-exchange.ts';
import { replaceFile } from '#node/private-file.ts';

/**
 * What a node that is not a member yet hands to members, and where they are: kept in its data
 * directory until it is on the ledger, so that a node that was killed goes on with the same event.
 */
export interface PendingJoin {
  readonly message: JoinMessage;
  /** Multiaddrs that name their peers. */
  readonly addrs: readonly string[];
}

const KNOWN = new Set(['t', 'v', 'message', 'addrs']);

export async function writePendingJoin(
  directory: string,
  { message, addrs }: PendingJoin,
): Promise<void> {
  const bytes = encode({ t: 'pending-join', v: 1, message: encodeJoin(message), addrs });
  await replaceFile(dataPaths(directory).join, bytes);
}

/** None where nothing is pending. Throws `join_file_malformed`. */
export async function readPendingJoin(directory: string): Promise<PendingJoin | undefined> {
  const file = dataPaths(directory).join;
  if (!existsSync(file)) return undefined;
  try {
    const fields = field.fieldsOf(decode(await readFile(file)), KNOWN, 'pending join');
    field.assertTag(fields, 'pending-join');
    const message = decodeJoin(field.bytesOfField(fields, 'message', 256 * 1024));
    decodeEntry(message.join.entry);
    const addrs = field
      .listOf(fields['addrs'], 'addrs', ADDRS_MAX)
      .map((addr) => field.textOfField({ addr }, 'addr', ADDR_CHARS_MAX));
    return { message, addrs };
  } catch (cause) {
    const text = 'The pending join cannot be read: remove the file and join with a new invite.';
    throw new X0tError('join_file_malformed', text, { file }, { cause });
  }
}

export async function dropPendingJoin(directory: string): Promise<void> {
  await rm(dataPaths(directory).join, { force: true });
}
