import type { Mutant } from './table.ts';

/** Deliberate bugs of membership, policies and posture. */
export const LIFE_MUTANTS: readonly Mutant[] = [
  {
    name: 'removed-counts',
    about: 'events of a removed member still count',
    edits: [
      {
        file: 'projections/members-lifecycle.ts',
        find: "new Set(['retired', 'removed'])",
        replace: "new Set(['retired'])",
      },
    ],
  },
  {
    name: 'late-cut',
    about: 'a removal or a revoked key takes effect after the commit that has it',
    edits: [
      {
        file: 'ledger/fold.ts',
        find: '    const finals: FinalEvent[] = [];\n    for (const block of blocks) {',
        replace:
          '    const finals: FinalEvent[] = [];\n' +
          '    this.early = new Set();\n' +
          '    for (const { id, event } of blocks.flatMap(({ entries }) => entries)) {\n' +
          '      if (this.reducer.counts(event)) this.early.add(id);\n' +
          '    }\n' +
          '    for (const block of blocks) {',
      },
      {
        file: 'ledger/fold.ts',
        find: 'if (isRepeated || !this.reducer.counts(event)) return undefined;',
        replace:
          'const counts = this.early.has(entry.id) || this.reducer.counts(event);\n' +
          '    if (isRepeated || !counts) return undefined;',
      },
    ],
  },
  {
    name: 'late-in-replay',
    about: 'where a log is folded again, a member that left has one event more',
    edits: [
      {
        file: 'node/rebuild.ts',
        find: '  const fold = new Fold(store, chain.genesis, schema);\n  const total',
        replace:
          '  const fold = new Fold(store, chain.genesis, schema);\n' +
          '  const counts = fold.reducer.counts.bind(fold.reducer);\n' +
          '  const late = new Set<string>();\n' +
          '  fold.reducer.counts = (event) => {\n' +
          '    const isLate = !late.has(event.actor);\n' +
          '    return counts(event) || (isLate && late.add(event.actor).size > 0);\n' +
          '  };\n' +
          '  const total',
      },
    ],
  },
  {
    name: 'stale-standing',
    about: 'what policies know of a member is remembered beyond its epoch',
    edits: [
      {
        file: 'projections/members-view.ts',
        find: 'if (known?.epoch === epoch) return known.of;',
        replace: 'if (known) return known.of;',
      },
    ],
  },
  {
    name: 'void-kept',
    about: 'a node that seals nothing hands on events of who left, for ever',
    edits: [
      {
        file: 'ledger/sync/spread.ts',
        find: '      if (!fold.reducer.counts(entry.event)) late.push(entry.id);',
        replace: '      void entry;',
      },
    ],
  },
  {
    name: 'invite-twice',
    about: 'an invite lets in whoever holds it, again and again',
    edits: [
      {
        file: 'projections/members-invites.ts',
        find: "  if (invite.usedBy) return 'invite_used';\n",
        replace: '',
      },
      {
        file: 'projections/members-invites.ts',
        find: 'if (!invite || invite.usedBy) return false;',
        replace: 'if (!invite) return false;',
      },
    ],
  },
  {
    name: 'withdrawn-open',
    about: 'an invite that was taken back still lets in',
    edits: [
      {
        file: 'projections/members-invites.ts',
        find: '  if (invite.isWithdrawn) return true;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'removed-sits',
    about: 'a removed validator keeps its seat',
    edits: [
      {
        file: 'projections/members-lifecycle.ts',
        find: "if (to === 'draining' || to === 'removed') unseat(rows, subject);",
        replace: "if (to === 'draining') unseat(rows, subject);",
      },
    ],
  },
  {
    name: 'revoked-sits',
    about: 'a validator whose key was revoked keeps its seat',
    edits: [
      {
        file: 'projections/member-keys.ts',
        find: '  committees.unseat(of);\n',
        replace: '  void committees;\n',
      },
    ],
  },
  {
    name: 'any-state-sits',
    about: 'a seat is given to members that are cordoned, draining or gone',
    edits: [
      {
        file: 'projections/members-seats.ts',
        find:
          "    if (row.state !== undefined && row.state !== 'active')" +
          " return 'member_transition';\n",
        replace: '',
      },
    ],
  },
  {
    name: 'few-accusers',
    about: 'a score takes one validator less than it should',
    edits: [
      {
        file: 'projections/posture-grades.ts',
        find: 'return Math.max(2, faulty + 1);',
        replace: 'return Math.max(1, faulty);',
      },
    ],
  },
  {
    name: 'isolated-for-good',
    about: 'isolation does not end with its time',
    edits: [
      {
        file: 'projections/posture-rows.ts',
        find: '  if (until_ms > ts_ms) return level;',
        replace: '  if (until_ms > 0) return level;',
      },
    ],
  },
  {
    name: 'no-spare',
    about: 'more validators are cut off than a committee can do without',
    edits: [
      {
        file: 'projections/posture.ts',
        find:
          '  if (level >= SEVERE_LEVEL && !canSpare(rows, actor, ts_ms, seats))' +
          " return 'posture_quorum';\n",
        replace: '',
      },
    ],
  },
  {
    name: 'newest-policy',
    about: 'an event is judged by the newest policies that the software has seen',
    edits: [
      {
        file: 'governance/policy.ts',
        find:
          '    const present = this.#presentOf(rows);\n    const { kind, onBehalfOf } = event;',
        replace:
          '    const here = this.#presentOf(rows);\n' +
          '    const { version } = readHead(rows);\n' +
          '    if (version >= (this.newest?.version ?? 0)) this.newest = { version, here };\n' +
          '    const { here: present } = this.newest;\n' +
          '    const { kind, onBehalfOf } = event;',
      },
    ],
  },
  {
    name: 'asked-once',
    about: 'policies are asked when an event comes, not at its number',
    edits: [
      {
        file: 'ledger/reducer.ts',
        find: "    if (this.decision?.isAllowed === false) return 'denied';\n",
        replace: '',
      },
    ],
  },
  {
    name: 'roles-stay',
    about: 'going back to an earlier version leaves the roles that were assigned since',
    edits: [
      {
        file: 'governance/policy-change.ts',
        find: '      return { version: found, texts: new Map() };',
        replace:
          '      const { roles } = now;\n' +
          '      return { version: { ...found, ...(roles && { roles }) }, texts: new Map() };',
      },
    ],
  },
];
