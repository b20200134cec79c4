import type { Mutant } from './table.ts';

/** Bugs where one epoch ends and the next begins. */
export const EPOCH_MUTANTS: readonly Mutant[] = [
  {
    name: 'dedup-epochs',
    about: 'an event of an earlier epoch gets another number',
    edits: [
      {
        file: 'ledger/fold.ts',
        find: '    if (members.endCommit(this.reducer.rowsOf(members.name), authors)) {\n',
        replace:
          '    if (members.endCommit(this.reducer.rowsOf(members.name), authors)) {\n' +
          '      this.forgotten = this.size;\n',
      },
      {
        file: 'ledger/fold.ts',
        find: 'this.reducer.remembers(entry.id, seq) !== undefined;',
        replace: '(this.reducer.remembers(entry.id, seq) ?? 0) > (this.forgotten ?? 0);',
      },
    ],
  },
  {
    name: 'in-flight',
    about: 'events of blocks that the end of an epoch left unordered do not wait again',
    edits: [
      {
        file: 'ledger/replica.ts',
        find:
          'const returned = await returnEvents(blocks, before, ownKey, parts, due_ms, hasKey);',
        replace:
          'void [returnEvents, blocks, before, ownKey, parts, due_ms, hasKey];\n' +
          '    const returned: StoreOp[] = [];',
      },
    ],
  },
  {
    name: 'few-signatures',
    about: 'f + 1 signatures certify a checkpoint, and so the end of an epoch',
    edits: [
      {
        file: 'ledger/certificate.ts',
        find: '    if (stake >= committee.quorum) {',
        replace: '    if (stake >= committee.validity) {',
      },
      {
        file: 'ledger/certificate.ts',
        find: 'author >= committee.size || stake >= committee.quorum',
        replace: 'author >= committee.size || stake >= committee.validity',
      },
      {
        file: 'ledger/certificate.ts',
        find: '  if (stake < committee.quorum) {',
        replace: '  if (stake < committee.validity) {',
      },
    ],
  },
  {
    name: 'past-the-end',
    about: 'commits that are decided together with the last one of an epoch are folded too',
    edits: [
      { file: 'ledger/orderer.ts', find: '      if (this.#isEnded) break;\n', replace: '' },
    ],
  },
  {
    name: 'stale-last',
    about: 'a restarted node takes its last block of another epoch for one of this',
    edits: [
      {
        file: 'ledger/epoch-run.ts',
        find: 'ownLast?.epoch === orderer.committee.epoch ? ownLast.ref : undefined;',
        replace: 'ownLast?.ref;',
      },
    ],
  },
  {
    name: 'no-tail',
    about: 'who is late does not get the blocks that decide the last commit of an epoch',
    edits: [
      {
        file: 'ledger/sync/server.ts',
        find: 'of this.#tail(epoch, index - 1, index === from ? skip : 0)) {',
        replace: 'of epoch < 0 ? this.#tail(epoch, index - 1, skip) : []) {',
      },
    ],
  },
  {
    name: 'early-return',
    about: 'a node that lost its store seals in the next epoch without having told it',
    edits: [
      {
        file: 'ledger/replica.ts',
        find: 'if (this.hasForgotten && this.#host.mayReturn()) this.#seat.memory.regain(ops);',
        replace: 'if (this.hasForgotten) this.#seat.memory.regain(ops);',
      },
    ],
  },
  {
    name: 'torn-start',
    about: 'the start of an epoch and the state that goes with it are written one after the other',
    edits: [
      {
        file: 'ledger/replica.ts',
        find: '    ops.push(this.epochs.enter(start), ...this.fold.ops(next.state));\n',
        replace:
          '    await this.#ports.store.write([this.epochs.enter(start)], { sync: true });\n' +
          '    ops.push(...this.fold.ops(next.state));\n',
      },
    ],
  },
];
