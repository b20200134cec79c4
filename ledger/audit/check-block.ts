import { assembleBlock, blockJob } from '#ledger/block.ts';
import type { Block } from '#ledger/block.ts';
import type { Committee, Committees } from '#ledger/committee.ts';
import { jobOf } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { decodeEntry, entryJob, signingKeyId } from '#ledger/event.ts';
import { innerJobs } from '#ledger/inner-jobs.ts';
import { decodeHeader } from '#ledger/header.ts';
import { idOf } from '#ledger/ids.ts';
import type { Id, SignatureJob } from '#ledger/ports.ts';
import { readBody } from './body.ts';
import { placed } from './place.ts';

/** What checking a block needs beside its bytes. */
export interface CheckTools {
  readonly chain: Id;
  /** Those of the epochs that were reached. */
  readonly committees: Committees;
  /** The COSE_Key whose SHA-256 is `id`; that it is, is checked elsewhere. */
  keyOf(id: Id): Uint8Array | undefined;
  verify(job: SignatureJob): boolean;
}

/** A block whose form, root, key table and all signatures are right. */
export interface CheckedBlock {
  readonly block: Block;
  /** Signatures that were verified, the block's own included. */
  readonly signatures: number;
}

/** Bytes of a block's two sections, and the ids under which they stand; a store names no body. */
export interface BlockBytes {
  readonly header: Uint8Array;
  readonly headerId: Id;
  readonly body: Uint8Array;
  readonly bodyId: Id | undefined;
}

/**
 * Checks all of a block that needs no other block. What it throws names its place: the section's
 * kind, and where it can be told the part of the block, the entry and the event.
 */
export function checkBlock(bytes: BlockBytes, tools: CheckTools): CheckedBlock {
  checkHeaderId(bytes, tools);
  const { header, body, bodyId } = bytes;
  if (bodyId !== undefined && idOf(body) !== bodyId) {
    const message = "A body's content does not hash to its CID.";
    const found = new X0tError('car_cid_mismatch', message, { kind: 'body' });
    throw placed(found, { kind: 'body', ...whatDiffers(header, body, tools) });
  }
  try {
    return checkParts(header, body, tools);
  } catch (error) {
    const differs = whatDiffers(header, body, tools);
    throw placed(error, { kind: differs.part === 'header' ? 'header' : 'body', ...differs });
  }
}

function checkHeaderId({ header, headerId, body }: BlockBytes, tools: CheckTools): void {
  if (idOf(header) === headerId) return;
  const isSigned = attempt(() => tools.verify(headerJob(header, readBody(body).sign1, tools)));
  fail('car_cid_mismatch', "A header's content does not hash to its id.", {
    kind: 'header',
    part: isSigned === true ? 'cid' : 'header',
  });
}

function headerJob(header: Uint8Array, sign1: Uint8Array, tools: CheckTools): SignatureJob {
  const { author, epoch } = decodeHeader(header, tools.chain, tools.committees);
  return jobOf('block', header, sign1, committeeAt(tools, epoch).at(author).coseKey);
}

/** A header that was read has a committee. */
function committeeAt({ committees }: CheckTools, epoch: number): Committee {
  return committees.ofEpoch(epoch) as Committee;
}

function checkParts(header: Uint8Array, body: Uint8Array, tools: CheckTools): CheckedBlock {
  const { sign1, keyIds, entries } = readBody(body);
  const { chain, committees } = tools;
  const keys = keyIds.map((key) => tools.keyOf(key) ?? unknownKey(key));
  const block = assembleBlock(header, sign1, keys, entries, chain, committees, { keyIds });
  const committee = committeeAt(tools, block.header.epoch);
  if (!tools.verify(blockJob(block, committee))) {
    fail('bad_block_signature', "The author's signature does not fit the block.");
  }
  const keyOf = new Map(keyIds.map((key, i) => [key, keys[i] as Uint8Array]));
  const { author } = block.header;
  keyOf.set(committee.keyIdAt(author), committee.at(author).coseKey);
  let signatures = 1;
  for (const [entry, signed] of block.entries.entries()) {
    const jobs = [...innerJobs(signed.event)];
    if (signed.sign1) {
      const id = signingKeyId(signed.event);
      jobs.unshift(entryJob(signed, keyOf.get(id) ?? unknownKey(id)));
    }
    signatures += jobs.length;
    if (jobs.every((job) => tools.verify(job))) continue;
    const message = 'A signature does not fit its event.';
    fail('bad_event_signature', message, { part: 'entry', entry, event: signed.id });
  }
  return { block, signatures };
}

function unknownKey(key: Id): never {
  return fail('unknown_key', 'A block names a key that does not stand before it.', { key });
}

/** The part of a broken block that is wrong by itself; only run once something is. */
function whatDiffers(
  header: Uint8Array,
  body: Uint8Array,
  tools: CheckTools,
): { part: string; entry?: number; event?: Id } {
  const known = attempt(() => decodeHeader(header, tools.chain, tools.committees));
  if (!known) return { part: 'header' };
  const parts = attempt(() => readBody(body));
  if (!parts) return { part: 'body' };
  const isSigned = attempt(() => tools.verify(headerJob(header, parts.sign1, tools)));
  if (isSigned !== true) return { part: 'blockSignature' };
  const committee = committeeAt(tools, known.epoch);
  const author = committee.at(known.author);
  const keys = new Map<Id, Uint8Array>([[committee.keyIdAt(known.author), author.coseKey]]);
  for (const id of parts.keyIds) {
    const key = tools.keyOf(id);
    if (!key) return { part: 'keyTable' };
    keys.set(id, key);
  }
  for (const [index, bytes] of parts.entries.entries()) {
    const entry = attempt(() => decodeEntry(bytes));
    if (!entry) return { part: 'entry', entry: index };
    const key = keys.get(signingKeyId(entry.event));
    const isRight =
      !entry.sign1 || (key && attempt(() => tools.verify(entryJob(entry, key)))) === true;
    const isInside = innerJobs(entry.event).every((job) => tools.verify(job));
    if (!isRight || !isInside) return { part: 'entry', entry: index, event: entry.id };
  }
  const isWhole = attempt(() => checkParts(header, body, tools)) !== undefined;
  return { part: isWhole ? 'cid' : 'entries' };
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof X0tError) return undefined;
    throw error;
  }
}
