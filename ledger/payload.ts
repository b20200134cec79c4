import { KEY_TABLE_ROW_BYTES } from './block.ts';
import type { Committee } from './committee.ts';
import { SIGN1_BYTES } from './cose.ts';
import { signingKeyId } from './event.ts';
import type { Entry } from './event.ts';
import { BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX } from './limits.ts';
import type { Id } from './ports.ts';
import type { Pending } from './pool.ts';

/** Header with all parents of a committee, signature, and the key table's own head, rounded up. */
function overheadOf(committee: Committee): number {
  return 512 + committee.size * 48 + SIGN1_BYTES;
}

export interface Payload {
  readonly entries: readonly Entry[];
  /** COSE_Keys of the entries' signers, by their SHA-256. */
  readonly keys: ReadonlyMap<Id, Uint8Array>;
}

/**
 * Fills a block from what is ready, in that order, within the limits on entries and bytes. An entry
 * that does not fit any more ends the block, so that no entry is overtaken for ever.
 */
export function pickPayload(
  ready: Iterable<Pending>,
  author: number,
  committee: Committee,
): Payload {
  const entries: Entry[] = [];
  const keys = new Map<Id, Uint8Array>();
  const ownKey = committee.keyIdAt(author);
  let room = BLOCK_BYTES_MAX - overheadOf(committee);
  for (const { entry, coseKey } of ready) {
    if (entries.length >= BLOCK_ENTRIES_MAX) break;
    // a bare event rides only in blocks that its own key signs
    if (!entry.sign1 && signingKeyId(entry.event) !== ownKey) continue;
    const keyId = coseKey && signingKeyId(entry.event);
    const isNewKey = keyId !== undefined && keyId !== ownKey && !keys.has(keyId);
    room -= entry.bytes.length + (isNewKey ? KEY_TABLE_ROW_BYTES : 0);
    if (room < 0) break;
    if (isNewKey && coseKey) keys.set(keyId, coseKey);
    entries.push(entry);
  }
  return { entries, keys };
}
