import { readBlock } from '#ledger/archive.ts';
import type { Chain } from '#ledger/chain.ts';
import { readDivergence } from '#ledger/checkpoint-store.ts';
import { decode, encode } from '#ledger/codec.ts';
import { decodeCommit } from '#ledger/commit.ts';
import type { Commit } from '#ledger/commit.ts';
import { compareSummaries } from '#ledger/audit/refold.ts';
import { Epochs } from '#ledger/epochs.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { Fold } from '#ledger/fold.ts';
import type { Summary } from '#ledger/fold.ts';
import { bytesOf } from '#ledger/ids.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import type { OrdererState } from '#ledger/orderer.ts';
import type { BlockStore, StoreOp } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { assertArchive } from '#ledger/snapshot/pruned.ts';

/** Set while the derived rows are dropped and folded again: [phase, fold's record, summary]. */
const MARK = 'a/rebuild';

/** How much goes into one batch: rows deleted, and final events folded (some 2 MB of rows). */
export interface RebuildBatch {
  readonly rows: number;
  readonly events: number;
}

const BATCH: RebuildBatch = { rows: 2000, events: 2000 };

/** All that a fold derives; commits, blocks, keys and the pool stay. */
const DERIVED = ['s/', 'w/', 'f/', 'e/', 't/', 'h/own/', 'a/hash/'];

type Phase = 'drop' | 'fold';

export interface RebuildProgress {
  readonly phase: Phase;
  /** Rows dropped, or commits folded. */
  readonly done: number;
  /** Commits; unknown while rows are dropped. */
  readonly total?: number;
}

export interface RebuildReport {
  readonly summary: Summary;
  readonly commits: number;
  /** Whether an interrupted rebuild was finished. */
  readonly isResumed: boolean;
}

/** What the mark keeps of the fold before it. */
interface Before {
  readonly phase: Phase;
  readonly state: OrdererState | undefined;
  readonly summary: Summary;
}

/** Throws `rebuild_interrupted` where a rebuild has not ended: a node must not start then. */
export function assertNotRebuilding(store: Pick<BlockStore, 'get'>): void {
  if (!store.get(MARK)) return;
  const message = 'A rebuild of this store was interrupted: run `npx x0t rebuild` again.';
  fail('rebuild_interrupted', message);
}

/**
 * Drops everything that was derived from the stored commits and blocks, and derives it again. The
 * node must not run. Killed at any instant it goes on when it is called again, and until it has
 * ended no node starts. Throws `rebuild_differs` when the new state is not the one that the store
 * reported before (the new one stays, since it is what the log gives), `store_corrupt` when
 * commits or blocks are damaged, and `pruned` where the log does not begin at its beginning.
 */
export async function rebuildProjections(
  store: BlockStore,
  chain: Chain,
  schema: Schema,
  progress?: (progress: RebuildProgress) => void,
  batch: RebuildBatch = BATCH,
): Promise<RebuildReport> {
  assertArchive(store);
  const found = readMark(store);
  const before = found ?? stateNow(store, chain, schema);
  if (before.phase === 'drop') {
    if (!found) await store.write([mark(before)], { sync: true });
    await dropRows(store, batch.rows, progress);
    const ops: StoreOp[] = [
      mark({ ...before, phase: 'fold' }),
      { type: 'del', key: storeKeys.fold },
      { type: 'del', key: storeKeys.cuts },
    ];
    await store.write(ops, { sync: true });
  }
  const summary = await refold(store, chain, schema, before, batch.events, progress);
  compare(summary, before.summary);
  return { summary, commits: before.state?.last.index ?? 0, isResumed: found !== undefined };
}

function stateNow(store: BlockStore, chain: Chain, schema: Schema): Before {
  const fold = new Fold(store, chain.genesis, schema);
  return { phase: 'drop', state: fold.ordererState, summary: fold.summary() };
}

async function dropRows(
  store: BlockStore,
  limit: number,
  progress?: (progress: RebuildProgress) => void,
): Promise<void> {
  let done = 0;
  for (const prefix of DERIVED) {
    for (;;) {
      const ops: StoreOp[] = [];
      for await (const [key] of store.range({ ...prefixRange(prefix), limit })) {
        ops.push({ type: 'del', key });
      }
      if (ops.length === 0) break;
      await store.write(ops, { sync: false });
      done += ops.length;
      progress?.({ phase: 'drop', done });
    }
  }
}

/** Folds from where the store's fold stands up to the commit at which it stood before. */
async function refold(
  store: BlockStore,
  chain: Chain,
  schema: Schema,
  { state }: Before,
  batchEvents: number,
  progress?: (progress: RebuildProgress) => void,
): Promise<Summary> {
  const fold = new Fold(store, chain.genesis, schema);
  const total = state?.last.index ?? 0;
  const epochs = new Epochs(chain, store);
  let last = fold.ordererState?.last ?? { index: 0, id: chain.id, ts_ms: 0, leaderRound: 0 };
  let written = fold.size;
  // cuts of a quiet log are not in it: the one that others spoke against is made again, to compare
  const apart = readDivergence(store);
  const cuts: StoreOp[] = [];
  while (last.index < total) {
    const commit = nextCommit(store, last);
    const committee = epochs.need(commit.epoch);
    const blocks = commit.blocks.map((ref) => readBlock(store, ref, chain.id, committee));
    fold.apply(commit, blocks);
    if (apart?.cut === 'idle' && apart.size === fold.size) cuts.push(...fold.cutIdle());
    const { index, id, ts_ms, leader } = commit;
    last = { index, id, ts_ms, leaderRound: leader.round };
    if (index === total || fold.size - written < batchEvents) continue;
    written = fold.size;
    const batch = [...fold.ops({ cursor: undefined, last }), ...cuts.splice(0)];
    await store.write(batch, { sync: false });
    fold.written();
    progress?.({ phase: 'fold', done: index, total });
  }
  if (state && last.id !== state.last.id) corruptCommit(last.index);
  const end: StoreOp = { type: 'del', key: MARK };
  const ops = state ? fold.ops(state) : [];
  const summary = fold.summary();
  await store.write([...ops, ...cuts, end], { sync: true });
  progress?.({ phase: 'fold', done: total, total });
  return summary;
}

function nextCommit(store: BlockStore, last: OrdererState['last']): Commit {
  const row = store.get(storeKeys.commit(last.index + 1));
  const commit = row && decodeCommit(row);
  if (commit?.index !== last.index + 1 || commit.previous !== last.id) {
    return corruptCommit(last.index + 1);
  }
  return commit;
}

function corruptCommit(commit: number): never {
  const message = 'A stored commit is missing or does not follow the one before it.';
  return fail('store_corrupt', message, { commit, row: storeKeys.commit(commit) });
}

function compare(summary: Summary, before: Summary): void {
  try {
    compareSummaries(summary, before);
  } catch (cause) {
    if (!(cause instanceof X0tError)) throw cause;
    const message = 'The state from before was not what the log gives; now it is.';
    throw new X0tError('rebuild_differs', message, cause.data, { cause });
  }
}

type MarkRow = readonly [
  Phase,
  readonly [readonly [number, number] | null, number, Uint8Array, number, number] | null,
  readonly [
    number,
    Uint8Array,
    Uint8Array,
    readonly (readonly [name: string, version: number, root: Uint8Array])[],
  ],
];

function mark({ phase, state, summary }: Before): StoreOp {
  const { size, logRoot, stateRoot, projections } = summary;
  const { cursor, last } = state ?? {};
  const row: MarkRow = [
    phase,
    last
      ? [
          cursor ? [cursor.round, cursor.author] : null,
          last.index,
          bytesOf(last.id),
          last.ts_ms,
          last.leaderRound,
        ]
      : null,
    [
      size,
      bytesOf(logRoot),
      bytesOf(stateRoot),
      projections.map(({ name, version, root }) => [name, version, bytesOf(root)]),
    ],
  ];
  return { type: 'put', key: MARK, value: encode(row) };
}

function readMark(store: BlockStore): Before | undefined {
  const value = store.get(MARK);
  if (!value) return undefined;
  const [phase, saved, [size, logRoot, stateRoot, projections]] = decode(value) as MarkRow;
  const summary = {
    size,
    logRoot: logRoot.toHex(),
    stateRoot: stateRoot.toHex(),
    projections: projections.map(([name, version, root]) => ({
      name,
      version,
      root: root.toHex(),
    })),
  };
  if (!saved) return { phase, state: undefined, summary };
  const [slot, index, id, ts_ms, leaderRound] = saved;
  const cursor = slot ? { round: slot[0], author: slot[1] } : undefined;
  return { phase, state: { cursor, last: { index, id: id.toHex(), ts_ms, leaderRound } }, summary };
}
