import type { Certifier } from '#ledger/certifier.ts';
import { decodeCommit, encodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { encode } from '#ledger/codec.ts';
import { encodeValidators } from '#ledger/committee.ts';
import { fail } from '#ledger/errors.ts';
import { storeKeys } from '#ledger/keys.ts';
import { FRAME_BYTES_MAX } from '#ledger/limits.ts';
import { LogTree } from '#ledger/log-tree.ts';
import type { Hash } from '#ledger/merkle.ts';
import type { BlockStore, Network } from '#ledger/ports.ts';
import { isBelow } from '#ledger/snapshot/check.ts';
import {
  LEAF_BYTES,
  LEAVES_PER_FRAME,
  baseOf,
  decodeRequest,
  encodeHead,
  linksOf,
} from '#ledger/snapshot/format.ts';
import type { Held, Shelf } from '#ledger/snapshot/shelf.ts';
import { ANSWER_BYTES_MAX } from './server.ts';

/**
 * Gives snapshots to peers: an offer, then leaves and rows in answers of bounded size, each read
 * from the store when the one before was taken.
 */
export class SnapshotServer {
  readonly #store: Pick<BlockStore, 'get' | 'range'>;
  readonly #certifier: Certifier;
  readonly #shelf: Shelf;
  readonly #remembered: number;

  constructor(
    store: Pick<BlockStore, 'get' | 'range'>,
    certifier: Certifier,
    shelf: Shelf,
    remembered: number,
  ) {
    this.#store = store;
    this.#certifier = certifier;
    this.#shelf = shelf;
    this.#remembered = remembered;
  }

  /** Registers the handler; call it before the network starts. */
  serve(network: Network): void {
    network.serve('snapshot', (message) => this.#answer(message));
  }

  async *#answer(message: Uint8Array): AsyncIterable<Uint8Array> {
    const request = decodeRequest(message);
    if (request.part === 'offer') {
      yield* this.#offer(
        this.#shelf.fresh() ??
          fail('snapshot_pending', 'A snapshot is being made: ask again in a second.'),
      );
      return;
    }
    const { part, size, from } = request;
    const held = this.#shelf.at(size);
    if (!held) fail('snapshot_gone', 'This snapshot is not held any more: ask for an offer.');
    if (part === 'leaves') yield* this.#leaves(size, from);
    else yield* this.#rows(held, from);
  }

  *#offer({ certificate, before, chunks, rows, bytes, size }: Held): Iterable<Uint8Array> {
    const base = baseOf(size, this.#remembered);
    const peaks = this.#peaks(base);
    yield encodeHead({ certificate, before, base, peaks, chunks, rows, bytes });
    for (let epoch = 0; epoch < linksOf(certificate); epoch++) {
      const end = this.#certifier.endOf(epoch);
      const next = this.#certifier.committeeOf(epoch + 1);
      if (!end || !next) fail('snapshot_gone', 'The committee chain is not whole here.');
      yield end.bytes;
      yield encode(encodeValidators(next.validators));
    }
    const { checkpoint } = certificate;
    const last = this.#commit(checkpoint.commit.index);
    for (let commit = last; ; commit = this.#commit(commit.index - 1)) {
      const frame = encodeCommit(commit);
      if (frame.length > FRAME_BYTES_MAX) fail('snapshot_gone', 'A commit is too large to give.');
      yield frame;
      if (checkpoint.cut === 'epoch' || isBelow(commit, last)) return;
    }
  }

  #peaks(base: number): Hash[] {
    const tree = new LogTree(this.#store);
    const peaks: Hash[] = [];
    for (let start = 0, rest = base; rest > 0; ) {
      const count = 2 ** Math.floor(Math.log2(rest));
      peaks.push(tree.subtree(start, start + count));
      start += count;
      rest -= count;
    }
    return peaks;
  }

  #commit(index: number): Commit {
    const row = this.#store.get(storeKeys.commit(index));
    return row ? decodeCommit(row) : fail('snapshot_gone', 'A commit is not held any more.');
  }

  /** Leaves after number `from`, up to `size`. */
  async *#leaves(size: number, from: number): AsyncIterable<Uint8Array> {
    let bytes = 0;
    for (let at = from; at < size && bytes < ANSWER_BYTES_MAX; at += LEAVES_PER_FRAME) {
      const count = Math.min(LEAVES_PER_FRAME, size - at);
      const frame = new Uint8Array(count * LEAF_BYTES);
      const range = { gte: storeKeys.final(at + 1), lt: storeKeys.final(at + count + 1) };
      let found = 0;
      // id and verdict stand first in a row, as in a leaf
      for await (const [, row] of this.#store.range(range)) {
        frame.set(row.subarray(0, LEAF_BYTES), found * LEAF_BYTES);
        found += 1;
      }
      if (found !== count) fail('snapshot_gone', 'The log is not held here that far back.');
      bytes += frame.length;
      yield frame;
    }
  }

  *#rows({ size, chunks }: Held, from: number): Iterable<Uint8Array> {
    let bytes = 0;
    for (let index = from; index < chunks && bytes < ANSWER_BYTES_MAX; index++) {
      const chunk = this.#store.get(storeKeys.snapshotChunk(size, index));
      if (!chunk) fail('snapshot_gone', 'This snapshot is not held any more: ask for an offer.');
      bytes += chunk.length;
      yield chunk;
    }
  }
}
