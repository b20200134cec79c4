import { CHECKPOINT_MUTANTS } from './checkpoints.ts';
import { EPOCH_MUTANTS } from './epochs.ts';
import { KEY_MUTANTS } from './keys.ts';
import { LIFE_MUTANTS } from './lives.ts';
import { SNAPSHOT_MUTANTS } from './snapshots.ts';

/** A deliberate bug: texts that are replaced in a copy of the sources. */
export interface Mutant {
  readonly name: string;
  readonly about: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** Bugs that others made, or that are near (consensus.md, section 4). None is in the product. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'quorum',
    about: 'a quorum is one too small',
    edits: [
      {
        file: 'ledger/committee.ts',
        find: 'quorum: total - faulty,',
        replace: 'quorum: Math.max(1, total - faulty - 1),',
      },
    ],
  },
  {
    name: 'cursor',
    about: 'the cursor does not pass skipped slots',
    edits: [
      {
        file: 'ledger/rule.ts',
        find: "const gap = all.findIndex(({ status }) => status === 'undecided');",
        replace: "const gap = all.findIndex(({ status }) => status !== 'commit');",
      },
    ],
  },
  {
    name: 'digest',
    about: "an event's id covers its signature",
    edits: [
      {
        file: 'ledger/event.ts',
        find: 'return { id: idOf(eventBytes), event, eventBytes, sign1, bytes };',
        replace: 'return { id: idOf(bytes), event, eventBytes, sign1, bytes };',
      },
      {
        file: 'ledger/event.ts',
        find: 'return { id: idOf(eventBytes), event: decodeEvent(eventBytes)',
        replace: 'return { id: idOf(bytes), event: decodeEvent(eventBytes)',
      },
    ],
  },
  {
    name: 'twins',
    about: 'twins count twice for and against a leader',
    edits: [
      {
        file: 'ledger/rule.ts',
        find: 'const blamers = new Set<number>();',
        replace: 'const blamers = Object.assign([], { add(one) { this.push(one); } });',
      },
      {
        file: 'ledger/rule.ts',
        find: 'const authors = certifiers.get(id) ?? new Set();',
        replace:
          'const authors = certifiers.get(id) ??' +
          ' Object.assign([], { add(one) { this.push(one); return this; } });',
      },
    ],
  },
  {
    name: 'dedup',
    about: 'an event that is final already gets another number',
    edits: [
      {
        file: 'ledger/fold.ts',
        find: 'if (isRepeated || !this.reducer.counts(event)) return undefined;',
        replace: 'if (!this.reducer.counts(event)) return undefined;',
      },
    ],
  },
  {
    name: 'send-first',
    about: 'a block is sent before it is kept',
    edits: [
      {
        file: 'ledger/replica.ts',
        find: '    if (ops.length > 0) {\n      const sync',
        replace:
          '    if (sealed) this.#host.publish(sealed);\n' +
          '    if (ops.length > 0) {\n      const sync',
      },
    ],
  },
  {
    name: 'gc-by-time',
    about: 'blocks are forgotten by the clock instead of by rounds',
    edits: [
      {
        file: 'ledger/replica.ts',
        find: '      const { commits, lost } = this.orderer.advance((commit) => {',
        replace:
          '      const { decidedRound, dag } = this.orderer;\n' +
          '      const old_ms = this.#ports.clock.wall_ms() - 800;\n' +
          '      const blocks = [...dag.round(decidedRound)];\n' +
          '      const isOld = blocks.some(({ ts_ms }) => ts_ms < old_ms);\n' +
          '      if (isOld && decidedRound > 4) dag.prune(decidedRound - 4);\n' +
          '      const { commits, lost } = this.orderer.advance((commit) => {',
      },
    ],
  },
  {
    name: 'own-last',
    about: 'the own last block is forgotten at a restart',
    edits: [
      {
        file: 'ledger/restore.ts',
        find: 'const own = store.get(storeKeys.ownLast);',
        replace: 'const own = undefined as Uint8Array | undefined;',
      },
      {
        file: 'ledger/restore.ts',
        find: 'blocks.some(({ ref }) => ref.author === author && ref.round',
        replace: 'blocks.some(({ ref }) => ref.author === -1 && ref.round',
      },
    ],
  },
  {
    name: 'parents',
    about: 'blocks are accepted without their parents',
    edits: [
      {
        file: 'ledger/dag.ts',
        find: '      if (round <= this.#horizon) return false;',
        replace: '      if (round > 0) return false;',
      },
    ],
  },
  {
    name: 'arrival',
    about: 'blocks are ordered as they arrived',
    edits: [
      {
        file: 'ledger/dag.ts',
        find: '    this.#blocks.set(block.id, block);\n',
        replace:
          '    globalThis.arrivals = (globalThis.arrivals ?? 0) + 1;\n' +
          '    block.arrived = globalThis.arrivals;\n' +
          '    this.#blocks.set(block.id, block);\n',
      },
      {
        file: 'ledger/linearise.ts',
        find: 'return found.toSorted(compareRefs);',
        replace: 'return found.toSorted((a, b) => a.arrived - b.arrived);',
      },
    ],
  },
  {
    name: 'ack-first',
    about: 'an event is acknowledged before it is kept',
    edits: [
      {
        file: 'ledger/replica.ts',
        find: '    if (ops.length > 0) {\n      const sync',
        replace:
          '    this.#inbox.written();\n    if (ops.length > 0) {\n      const sync',
      },
    ],
  },
  {
    name: 'restless',
    about: 'blocks are sealed although nothing waits to be ordered',
    edits: [
      {
        file: 'ledger/propose.ts',
        find: '  if (!at.hasPayload && orderer.openCount === 0) return NONE;\n',
        replace: '',
      },
      {
        file: 'ledger/propose.ts',
        find: 'if (!parents || (!at.hasPayload && !reachesOpen(orderer, tipsOf(at)))) return NONE;',
        replace: 'if (!parents) return NONE;',
      },
    ],
  },
  {
    name: 'no-anti-entropy',
    about: 'nodes never compare what they hold, but when they connect',
    edits: [
      {
        file: 'ledger/core.ts',
        find: '    this.antiEntropy.start();\n',
        replace: '',
      },
    ],
  },
  {
    name: 'seq-reuse',
    about: 'a restarted node forgets the numbers of its events that wait',
    edits: [
      {
        file: 'ledger/submissions.ts',
        find: 'for (const { entry } of pool.values()) note(entry);',
        replace: 'void pool;',
      },
      {
        file: 'ledger/submissions.ts',
        find: 'for (const { entries } of unordered) entries.forEach(note);',
        replace: 'void unordered;\n  void note;',
      },
    ],
  },
  {
    name: 'third-twin',
    about: 'a third block of a slot is refused also when others build on it',
    edits: [
      {
        file: 'ledger/intake.ts',
        find: 'return twins.length >= TWINS_MAX && !this.#replica.waiting.isWanted(ref.id);',
        replace: 'return twins.length >= TWINS_MAX;',
      },
    ],
  },
  {
    name: 'late-refused',
    about: 'validators refuse what an observer acknowledged and handed over too late',
    edits: [
      {
        file: 'ledger/event-intake.ts',
        find: 'this.#submissions.submit(entry, coseKey, isOrigin, isOrigin, from),',
        replace: 'this.#submissions.submit(entry, coseKey, isOrigin, false, from),',
      },
    ],
  },
  {
    name: 'nested-turn',
    about: 'a turn that wakes itself starts another one inside it',
    edits: [
      {
        file: 'ledger/turns.ts',
        find: 'if (this.#isInTurn || this.#isStopped) return;',
        replace: 'if (this.#current || this.#isStopped) return;',
      },
    ],
  },
  {
    name: 'carried-for-good',
    about: 'an event that an unordered block carries is never carried again',
    edits: [
      {
        file: 'ledger/open-payloads.ts',
        find: 'if (now_ms - since_ms < OVERDUE_MS) return;',
        replace: 'if (now_ms >= since_ms) return;',
      },
    ],
  },
  ...CHECKPOINT_MUTANTS,
  ...EPOCH_MUTANTS,
  ...KEY_MUTANTS,
  ...LIFE_MUTANTS,
  ...SNAPSHOT_MUTANTS,
];
