import type { Mutant } from './table.ts';

/** Bugs of taking snapshots and of pruning. */
export const SNAPSHOT_MUTANTS: readonly Mutant[] = [
  {
    name: 'snapshot-root',
    about: "a snapshot is taken whatever its rows' digest is",
    edits: [
      {
        file: 'ledger/snapshot/contents.ts',
        find: 'if (state !== this.#head.certificate.checkpoint.state) {',
        replace: "if (state === '') {",
      },
    ],
  },
  {
    name: 'snapshot-leaves',
    about: 'a snapshot is taken whatever log its leaves give',
    edits: [
      {
        file: 'ledger/snapshot/contents.ts',
        find: 'if (!this.isWhole || !equalBytes(this.log.root(), bytesOf(root))) {',
        replace: 'if (!this.isWhole || root.length === 0) {',
      },
    ],
  },
  {
    name: 'mark-first',
    about: 'the mark of a snapshot goes before its rows are in place',
    edits: [
      {
        file: 'ledger/snapshot/install.ts',
        find: 'let ops: StoreOp[] = peakOps(check.log.peaks, head.base);',
        replace:
          'let ops: StoreOp[] = peakOps(check.log.peaks, head.base);\n' +
          "  await store.write([{ type: 'del', key: storeKeys.installing }], { sync: false });",
      },
    ],
  },
  {
    name: 'sealed-early',
    about: 'a snapshot counts before its single records are staged',
    edits: [
      {
        file: 'ledger/snapshot/install.ts',
        find: '  for (const [index, record] of records.entries()) {',
        replace:
          '  const early = encodeHead(offer.head);\n' +
          "  await store.write([{ type: 'put', key: storeKeys.installing, value: early }]);\n" +
          '  for (const [index, record] of records.entries()) {',
      },
    ],
  },
  {
    name: 'stale-rows',
    about: 'rows that were deleted meanwhile outlive the snapshot that takes their place',
    edits: [
      {
        file: 'ledger/snapshot/install.ts',
        find: "const REPLACED = ['s/', 'w/',",
        replace: "const REPLACED = ['w/',",
      },
    ],
  },
  {
    name: 'lost-own',
    about: "a snapshot takes the place of a validator's own last block, too",
    edits: [
      {
        file: 'ledger/snapshot/install.ts',
        find: "await deleteRange(store, { gte: 'b/', lt: blocksEnd(store, head) });",
        replace: "await deleteRange(store, prefixRange('b/'));\n  void blocksEnd;",
      },
    ],
  },
  {
    name: 'prune-all',
    about: 'pruning forgets how much is to be kept',
    edits: [
      {
        file: 'ledger/snapshot/pruner.ts',
        find: 'const most = size() - events;',
        replace: 'const most = size();',
      },
    ],
  },
  {
    name: 'prune-dag',
    about: 'pruning drops blocks that later commits order',
    edits: [
      {
        file: 'ledger/snapshot/pruner.ts',
        find: ': storeKeys.blocksOfRound(horizonAfter(last) + 1, epoch);',
        replace: ': storeKeys.blocksOfRound(last.leader.round + 1, epoch);',
      },
    ],
  },
];
