import { readBlock } from './archive.ts';
import type { Block } from './block.ts';
import type { Certificate } from './certificate.ts';
import type { Certifier } from './certifier.ts';
import { encode } from './codec.ts';
import { decodeCommit } from './commit.ts';
import type { Committee } from './committee.ts';
import { encodeConsistency } from './consistency.ts';
import { fail } from './errors.ts';
import { signingKeyId } from './event.ts';
import { bytesOf, textOf } from './ids.ts';
import { decodeFinalRow, decodeNumber, storeKeys } from './keys.ts';
import type { FinalRow } from './keys.ts';
import { LogTree, finalLeaf } from './log-tree.ts';
import { inclusionPath, verifyInclusion } from './merkle-proof.ts';
import { leafHash, rootOf } from './merkle.ts';
import type { BlockStore, Id } from './ports.ts';
import { assertHeld, readPruned } from '#ledger/snapshot/pruned.ts';
import { encodeReceipt } from './receipt.ts';
import type { Authorship, EpochLink } from './receipt.ts';

/** Receipts and proofs out of a node's store. */
export class ReceiptMaker {
  readonly #chain: Id;
  readonly #store: Pick<BlockStore, 'get'>;
  readonly #certifier: Certifier;
  readonly #tree: LogTree;

  constructor(chain: Id, store: Pick<BlockStore, 'get'>, certifier: Certifier) {
    this.#chain = chain;
    this.#store = store;
    this.#certifier = certifier;
    this.#tree = new LogTree(store);
  }

  /**
   * The receipt of a final event, under the smallest certificate that covers it. Throws `not_final`
   * or `not_certified` while there is none, and `pruned` for one that is not held any more.
   */
  async receipt(id: Id): Promise<Uint8Array> {
    const number = this.#store.get(storeKeys.finalOfEvent(id));
    if (!number) fail('not_final', 'The event is not final yet: ask again.', { id: textOf(id) });
    const seq = decodeNumber(number);
    assertHeld(this.#store, seq);
    const certificate = await this.#certifier.covering(seq);
    if (!certificate || !this.#holds(certificate.checkpoint.size)) {
      fail('not_certified', 'No certificate covers the event yet: ask again in some seconds.', {
        id: textOf(id),
        seq,
      });
    }
    const { size, root, epoch } = certificate.checkpoint;
    const row = decodeFinalRow(this.#store.get(storeKeys.final(seq)) as Uint8Array);
    const path = this.#tree.inclusion(seq - 1, size);
    if (!verifyInclusion(finalLeaf(id, row.verdict), seq - 1, size, path, bytesOf(root))) {
      fail('store_corrupt', 'The stored log is not the certified one: run `x0t audit`.', { size });
    }
    const { entry, authorship } = this.#authorship(row);
    return encodeReceipt({
      entry,
      authorship,
      seq,
      verdict: row.verdict,
      path,
      certificate: certificate.bytes,
      epochs: this.#links(epoch),
    });
  }

  /** Whether the log is held here up to this size; certificates may be ahead of it. */
  #holds(size: number): boolean {
    return this.#store.get(storeKeys.final(size)) !== undefined;
  }

  #authorship(row: FinalRow): { readonly entry: Uint8Array; readonly authorship: Authorship } {
    const commit = this.#store.get(storeKeys.commit(row.commit));
    const epoch = commit && decodeCommit(commit).epoch;
    const committee = epoch === undefined ? undefined : this.#certifier.committeeOf(epoch);
    if (!committee) {
      return fail('store_corrupt', 'The commit of a final event is not held.', {
        commit: row.commit,
      });
    }
    const block = readBlock(this.#store, row.block, this.#chain, committee);
    const entry = block.entries[row.entry];
    if (entry?.id !== row.id) {
      return fail('store_corrupt', 'The log names an entry that its block does not hold.');
    }
    if (!entry.sign1) return { entry: entry.bytes, authorship: byBlock(block, row.entry) };
    const key = this.#keyOf(signingKeyId(entry.event), committee);
    return { entry: entry.bytes, authorship: { key } };
  }

  /** The table of a block lacks its author's key, which the committee has. */
  #keyOf(id: Id, committee: Committee): Uint8Array {
    const seat = committee.validators.findIndex((_, author) => committee.keyIdAt(author) === id);
    return (
      this.#store.get(storeKeys.coseKey(id)) ??
      committee.validators[seat]?.coseKey ??
      fail('store_corrupt', 'The key of a final event is not held.', { key: id })
    );
  }

  #links(epoch: number): EpochLink[] {
    return Array.from({ length: epoch }, (_, i) => {
      const end = this.#certifier.endOf(i);
      const next = this.#certifier.committeeOf(i + 1);
      if (end && next) return { certificate: end.bytes, next: next.validators };
      return fail('not_certified', 'The end of an earlier epoch is not held yet: ask again.', {
        epoch: i,
      });
    });
  }

  /** The certificate of exactly this size; throws `not_certified`. */
  async certificate(size: number): Promise<Certificate> {
    const certificate = await this.#certifier.at(size);
    return (
      certificate ?? fail('not_certified', 'No checkpoint of this size is certified.', { size })
    );
  }

  /**
   * The proof that the certified log of `to` events begins with that of `from` events. Throws
   * `not_certified` where `to` has no certificate, `out_of_range`, and `pruned`.
   */
  async consistency(from: number, to: number): Promise<Uint8Array> {
    if (from > to) {
      fail('out_of_range', 'A log does not begin with a longer one: exchange both sizes.', {
        from,
        to,
      });
    }
    await this.certificate(to);
    if (!this.#holds(to)) {
      fail('not_certified', 'The log is not held here up to this size yet.', { size: to });
    }
    if (from > 0 && from < (readPruned(this.#store)?.rows ?? 0)) assertHeld(this.#store, from);
    const path = this.#tree.consistency(from, to);
    return encodeConsistency({ chain: this.#chain, from, to, path });
  }
}

function byBlock({ headerBytes, sign1, keys, leaves }: Block, index: number): Authorship {
  const all = [leafHash(encode(keys)), ...leaves];
  const path = inclusionPath(index + 1, all.length, (start, end) => rootOf(all.slice(start, end)));
  return { header: headerBytes, sign1, index, path };
}
