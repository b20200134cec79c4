import { placed } from '#ledger/audit/place.ts';
import type { Place } from '#ledger/audit/place.ts';
import { decodeCertificate, verifyCertificate } from '#ledger/certificate.ts';
import type { Chain } from '#ledger/chain.ts';
import { decode } from '#ledger/codec.ts';
import type { Committee } from '#ledger/committee.ts';
import { keyId } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { decodeEntry, entryJob, signingKeyId } from '#ledger/event.ts';
import { epochRange, prefixRange, refOfBlockKey, storeKeys } from '#ledger/keys.ts';
import { decodeEpochStart } from '#ledger/epochs.ts';
import { decodeOwnLast } from '#ledger/own-last.ts';
import type { BlockStore, SignatureJob } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';

/** Rows of a store that no commit gives: keys, pending events, and the last own block. */

type Store = Pick<BlockStore, 'get' | 'range'>;

/** Every key stands under its own hash. */
export async function checkKeys(store: Store): Promise<void> {
  for await (const [row, key] of store.range(prefixRange('k/'))) {
    if (keyId(key) === row.slice(2)) continue;
    fail('store_corrupt', 'A stored key is not the one that its row names.', { kind: 'key', row });
  }
}

/** Pending events are of this chain, under their ids, and signed; own ones may be bare. */
export async function checkPending(store: Store, chain: Chain): Promise<void> {
  const engine = await loadEngine('liboqs');
  for await (const [row, value] of store.range(prefixRange('p/'))) {
    const isRight = attempt(() => {
      const [bytes, isOwn] = decode(value) as [Uint8Array, unknown];
      const entry = decodeEntry(bytes);
      const { event } = entry;
      const stored = store.get(storeKeys.coseKey(signingKeyId(event)));
      const key = stored ?? committeeKey(chain, event.actor);
      const fits = row === storeKeys.pending(entry.id) && entry.event.chain === chain.id;
      if (!fits || typeof isOwn !== 'boolean') return false;
      return entry.sign1 ? key && engine.verify(entryJob(entry, key)) : isOwn;
    });
    if (isRight === true) continue;
    const place = { kind: 'row', row, event: row.slice(2) };
    fail('store_corrupt', 'A stored pending event is damaged.', place);
  }
}

function committeeKey({ committee }: Chain, actor: string): Uint8Array | undefined {
  const author = committee.indexOf(actor);
  return author === undefined ? undefined : committee.at(author).coseKey;
}

/** The last own block is held, and its author has none in a later round. */
export async function checkOwnLast(store: Store): Promise<void> {
  const value = store.get(storeKeys.ownLast);
  if (!value) return;
  const place = { kind: 'row', row: storeKeys.ownLast };
  const own = attempt(() => decodeOwnLast(value));
  if (!own || !store.get(storeKeys.block(own.ref, own.epoch))) {
    fail('store_corrupt', 'The last own block is not in the store.', place);
  }
  const { epoch, ref } = own;
  for await (const [row] of store.range(epochRange(epoch, ref.round + 1))) {
    if (refOfBlockKey(row).author !== ref.author) continue;
    fail('store_corrupt', 'The last own block has a successor.', { ...place, later: row });
  }
}

/** How every epoch began is what the log gives, and a quorum of the one before it signed that. */
export async function checkEpochs(
  store: Store,
  chain: Chain,
  committees: readonly Committee[],
): Promise<void> {
  const engine = await loadEngine('liboqs');
  const verify = (jobs: readonly SignatureJob[]) =>
    Promise.resolve(jobs.map((job) => engine.verify(job)));
  let found = 0;
  let before = chain.committee;
  for await (const [row, value] of store.range(prefixRange('g/'))) {
    const next = committees[found];
    found += 1;
    const place = { kind: 'state', row };
    const start = attempt(() => decodeEpochStart(found, value));
    if (!next || start?.committee.id !== next.id || start.committee.base !== next.base) {
      fail('audit_row_differs', 'The start of an epoch is not what the log gives.', place);
    }
    try {
      const certificate = decodeCertificate(start.certificate);
      if (certificate.checkpoint.id !== next.base) {
        fail('audit_row_differs', 'The certificate is of another checkpoint.', place);
      }
      await verifyCertificate(certificate, before, { verify });
    } catch (error) {
      throw placed(error, place as Place);
    }
    before = next;
  }
  if (found === committees.length) return;
  const row = storeKeys.epoch(found + 1);
  fail('audit_row_differs', 'The start of an epoch is missing.', { kind: 'state', row });
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof X0tError || error instanceof TypeError) return undefined;
    throw error;
  }
}
