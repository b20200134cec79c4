import type { Refold, RefoldWatcher } from '#ledger/audit/refold.ts';
import { manifestOf } from '#ledger/audit/manifest.ts';
import type { Manifest } from '#ledger/audit/manifest.ts';
import { placed } from '#ledger/audit/place.ts';
import { openChain } from '#ledger/chain.ts';
import type { Chain } from '#ledger/chain.ts';
import { decode, encode } from '#ledger/codec.ts';
import { encodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import { Fold } from '#ledger/fold.ts';
import { equalBytes } from '#ledger/ids.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import type { BlockStore, StoreOp } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { assertNotRebuilding } from '#node/rebuild.ts';
import { schemaIn } from './audit.ts';
import type { AuditOptions, Subject } from './audit.ts';
import { StoreSource } from './store-source.ts';
import { checkCertificates } from './stored-certificates.ts';
import { checkEpochs, checkKeys, checkOwnLast, checkPending } from './stored-rows.ts';

type Store = Pick<BlockStore, 'get' | 'range'>;

/** The one format of a store that this software knows (`node/data-dir.ts`). */
const FORMAT = 1;

/** Reads what a store says of itself. Throws findings. */
export async function openStoreSubject(
  store: Store,
  given: AuditOptions['schema'],
): Promise<Subject> {
  const chain = chainOf(store);
  const schema = schemaIn(given, chain.genesis);
  try {
    assertNotRebuilding(store);
  } catch (error) {
    throw placed(error, { kind: 'state' });
  }
  const { size, ...reported } = reportedBy(store, chain, schema);
  const source = await StoreSource.open(store);
  const rows = new StoredRows(store);
  return {
    chain,
    reported: { ...reported, size, blocks: source.total },
    source,
    watcher: rows,
    epoch: epochOf(store),
    finish: async (refold) => {
      rows.checkFold(refold);
      await rows.checkNothingElse(size, reported.commit.index);
      await rows.checkProjections(refold.state.rows);
      await checkEpochs(store, chain, refold.committees);
      await checkKeys(store);
      await checkPending(store, chain);
      await checkOwnLast(store);
      await checkCertificates(store, chain, size);
    },
    close: () => Promise.resolve(),
  };
}

function chainOf(store: Store): Chain {
  const format = store.get(storeKeys.format);
  if (format?.length !== 1 || format[0] !== FORMAT) {
    const place = { kind: 'row', row: storeKeys.format };
    fail('store_corrupt', 'The store has no mark of its format, or a newer one.', place);
  }
  const place = { kind: 'genesis', row: storeKeys.genesis } as const;
  const bytes = store.get(storeKeys.genesis);
  if (!bytes) fail('store_corrupt', 'The store has lost its genesis.', place);
  try {
    return openChain(bytes);
  } catch (error) {
    throw placed(error, place);
  }
}

/** The network runs what this software does not. */
const OTHER_SOFTWARE = new Set(['schema_mismatch', 'policy_engine_differs']);

/** The fold as the node would start from it. */
function reportedBy(store: Store, chain: Chain, schema: Schema): Manifest {
  try {
    const fold = new Fold(store, chain.genesis, schema);
    const last = fold.ordererState?.last ?? { index: 0, id: chain.id };
    return manifestOf(chain.id, fold.summary(), { ts_ms: 0, leaderRound: 0, ...last }, {
      blocks: 0,
      keys: 0,
    });
  } catch (cause) {
    if (OTHER_SOFTWARE.has(codeOf(cause))) throw placed(cause, { kind: 'genesis' });
    const message = 'The record of the fold cannot be read.';
    const place = { kind: 'state', row: storeKeys.fold };
    throw new X0tError('store_corrupt', message, place, { cause });
  }
}

/** The epoch that the node entered last: one for each row, without a gap. */
function epochOf(store: Store): number {
  let epoch = 0;
  while (store.get(storeKeys.epoch(epoch + 1))) epoch += 1;
  return epoch;
}

/** What the fold writes about checkpoints. */
const CUT_ROWS = ['t/', 'h/own/', 'h/committee/'];

/** Compares every row that a fold derives with the one in the store. */
class StoredRows implements RefoldWatcher {
  readonly #store: Store;
  /** The fold's own rows, as they were handed over last. */
  readonly #foldRows = new Map<string, Uint8Array>();

  constructor(store: Store) {
    this.#store = store;
  }

  commit(commit: Commit): void {
    const row = storeKeys.commit(commit.index);
    this.#compare(row, encodeCommit(commit), { kind: 'commit', row, commit: commit.index });
  }

  rows(ops: readonly StoreOp[]): void {
    for (const op of ops) {
      if (op.type !== 'put') continue;
      const { key: row, value } = op;
      if (row.startsWith('a/')) this.#foldRows.set(row, value);
      if (CUT_ROWS.some((prefix) => row.startsWith(prefix))) this.#compareCut(row, value);
      if (row.startsWith('f/')) {
        const place = { kind: 'final', row, seq: Number.parseInt(row.slice(2), 16) };
        this.#compare(row, value, { ...place, event: value.subarray(0, 32).toHex() });
      }
      if (row.startsWith('e/')) {
        this.#compare(row, value, { kind: 'final', row, event: row.slice(2) });
      }
    }
  }

  /** A store that is older than checkpoints has none of these rows. */
  #compareCut(row: string, value: Uint8Array): void {
    if (this.#store.get(storeKeys.cuts)) this.#compare(row, value, { kind: 'row', row });
  }

  #compare(row: string, computed: Uint8Array, place: Record<string, string | number>): void {
    const stored = this.#store.get(row);
    if (stored && equalBytes(stored, computed)) return;
    const what = stored ? 'not what the log gives' : 'missing';
    fail('audit_row_differs', `A stored row is ${what}.`, { ...place, row });
  }

  /** The digests, and all of the fold's record but its cursor are equal; the cursor is possible. */
  checkFold(refold: Refold): void {
    const stored = this.#store.get(storeKeys.fold);
    if (!stored) return;
    for (const [row, value] of this.#foldRows) {
      if (row === storeKeys.fold) continue;
      if (row === storeKeys.cuts) this.#compareCut(row, value);
      else this.#compare(row, value, { kind: 'state', row });
    }
    const ours = decode(this.#foldRows.get(storeKeys.fold) as Uint8Array) as SavedFold;
    const theirs = decode(stored) as SavedFold;
    const peaksAreEqual =
      ours.peaks.length === theirs.peaks.length &&
      ours.peaks.every((peak, i) => equalBytes(peak, theirs.peaks[i] as Uint8Array));
    const lastIsEqual = equalBytes(encode(ours.last), encode(theirs.last));
    const place = { kind: 'state', row: storeKeys.fold };
    if (!peaksAreEqual || !lastIsEqual || !isCursorPossible(theirs, refold)) {
      fail('audit_row_differs', 'The record of the fold is not what the log gives.', place);
    }
  }

  /** No final event, commit or index row beyond those that were compared. */
  async checkNothingElse(size: number, commits: number): Promise<void> {
    const beyond = [
      { gte: storeKeys.final(size + 1), lt: prefixRange('f/').lt, limit: 1 },
      { gte: storeKeys.commit(commits + 1), lt: prefixRange('c/').lt, limit: 1 },
    ];
    for (const range of beyond) {
      for await (const [row] of this.#store.range(range)) surplus(row);
    }
    let found = 0;
    for await (const [row, value] of this.#store.range(prefixRange('e/'))) {
      found += 1;
      const seq = Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0));
      const final = this.#store.get(storeKeys.final(seq));
      if (final?.subarray(0, 32).toHex() !== row.slice(2)) surplus(row);
    }
    if (found !== size) surplus('e/');
  }

  /** The rows of projections and replay windows are those that the log gives. */
  async checkProjections(computed: ReadonlyMap<string, Uint8Array>): Promise<void> {
    let found = 0;
    for (const prefix of ['s/', 'w/']) {
      for await (const [row, value] of this.#store.range(prefixRange(prefix))) {
        found += 1;
        const ours = computed.get(row);
        if (!ours) surplus(row);
        else this.#compare(row, ours, { kind: 'state', row, bytes: value.length });
      }
    }
    if (found === computed.size || !this.#store.get(storeKeys.fold)) return;
    for (const [row, value] of computed) this.#compare(row, value, { kind: 'state', row });
  }
}

interface SavedFold {
  readonly peaks: readonly Uint8Array[];
  readonly cursor: readonly [number, number] | null;
  readonly last: readonly [number, Uint8Array, number, number];
}

/** The cursor is the last decided slot: at the last commit's leader or a skipped one after it. */
function isCursorPossible({ cursor, last }: SavedFold, refold: Refold): boolean {
  const leaderRound = last[3];
  if (!cursor) return leaderRound === 0;
  const [round, author] = cursor;
  const next = refold.slotAfter?.round ?? Number.POSITIVE_INFINITY;
  const isInside = round >= leaderRound && round < next && round <= refold.decidedRound;
  return isInside && author === refold.leaderOf(round);
}

function surplus(row: string): never {
  fail('audit_row_differs', 'A stored row is none that the log gives.', { kind: 'row', row });
}
