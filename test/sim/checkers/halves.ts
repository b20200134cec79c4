import type { Checkpoint } from '#ledger/checkpoint.ts';
import { decode } from '#ledger/codec.ts';
import { decodeCommit } from '#ledger/commit.ts';
import { REPLAY } from '#ledger/fold.ts';
import { decodeFinalRow, storeKeys } from '#ledger/keys.ts';
import { MerkleLog } from '#ledger/merkle.ts';
import { readPruned } from '#ledger/snapshot/pruned.ts';
import { StateHash } from '#ledger/state-hash.ts';
import { MemoryStore } from '#test/support/memory-store.ts';

type Rows = ReadonlyMap<string, Uint8Array>;

interface Fold {
  readonly size: number;
  readonly peaks: readonly Uint8Array[];
}

/**
 * What is wrong with a store as a node opens it: rows of two states mixed, a log with holes, parts
 * of a snapshot that nobody will put in place. `cuts`: what is known of logs of some sizes.
 */
export function* halves(rows: Rows, cuts: ReadonlyMap<number, Checkpoint>): Iterable<string> {
  for (const key of rows.keys()) {
    if (key.startsWith('i/') || key === storeKeys.installing) {
      yield `with ${key}`;
      return;
    }
  }
  const saved = rows.get(storeKeys.fold);
  if (!saved) return;
  const { size, peaks } = decode(saved) as Fold;
  for (const [name, digest] of digestsOf(rows)) {
    const held = rows.get(storeKeys.stateHash(name));
    const root = new StateHash(held).root().toHex();
    if (root !== digest.root().toHex()) yield `with rows of ${name} that another digest has`;
  }
  const known = cuts.get(size);
  if (known && new MerkleLog(size, peaks).root().toHex() !== known.root) {
    yield `with another log of ${size} events than others`;
  }
  yield* holes(rows, size);
}

/** The digests of projections and replay windows, computed anew. */
function digestsOf(rows: Rows): Map<string, StateHash> {
  const found = new Map<string, StateHash>();
  const of = (name: string): StateHash => {
    const digest = found.get(name) ?? new StateHash();
    found.set(name, digest);
    return digest;
  };
  const prefix = storeKeys.stateHash('');
  for (const [key, row] of rows) {
    if (key.startsWith(prefix)) of(key.slice(prefix.length));
    if (key.startsWith('w/')) of(REPLAY).replace(key, undefined, row);
    if (!key.startsWith('s/')) continue;
    const end = key.indexOf('/', 2);
    of(key.slice(2, end)).replace(key.slice(end + 1), undefined, row);
  }
  return found;
}

/** From the first remembered event on there are rows, from the first held one on blocks. */
function* holes(rows: Rows, size: number): Iterable<string> {
  const pruned = readPruned(new MemoryStore(rows)) ?? { events: 0, commit: 0, rows: 0 };
  const epochs = new Map<number, number>();
  for (let seq = pruned.rows + 1; seq <= size; seq++) {
    const row = rows.get(storeKeys.final(seq));
    if (!row) {
      yield `a log of ${size} events without number ${seq}`;
      return;
    }
    if (seq <= pruned.events) continue;
    const { commit, block } = decodeFinalRow(row);
    const held = rows.get(storeKeys.commit(commit));
    const epoch = epochs.get(commit) ?? (held && decodeCommit(held).epoch);
    if (epoch === undefined || !rows.has(storeKeys.block(block, epoch))) {
      yield `a log without the commit or the block of number ${seq}`;
      return;
    }
    epochs.set(commit, epoch);
  }
  if (rows.has(storeKeys.final(size + 1))) yield `a log that goes on after its ${size} events`;
}
