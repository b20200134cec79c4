import type { LoadName, LoadOp } from '#test/sim/load.ts';
import { fault, quiet } from '#test/sim/quiet.ts';
import type { Regression } from '#test/sim/quiet.ts';
import type { Life } from './people.ts';

/** Runs about members and rules that show one thing each. Four validators are 0 to 3. */

/** With one that comes by an invite, and two guests. */
const [COMER, GUEST, OTHER] = [4, 5, 6];
const cast = { observers: 1, lives: { comers: 1, guests: 2 } };

const act = (at_ms: number, kind: LoadName, life: Life, more: Partial<LoadOp> = {}): LoadOp => ({
  at_ms,
  kind,
  node: 0,
  key: `k${at_ms}`,
  value: `${at_ms}`,
  life,
  ...more,
});
const seat = (at_ms: number, add: readonly number[], remove: readonly number[]): LoadOp => ({
  ...act(at_ms, 'committee', { subject: 0 }),
  change: { add, remove },
});
/** Somebody writes again and again, at one node after the other. */
const speaking = (subject: number, from_ms: number, to_ms: number): LoadOp[] =>
  Array.from({ length: Math.floor((to_ms - from_ms) / 90) }, (_, i) =>
    act(from_ms + 90 * i, 'speak', { subject }, { node: i % 4 }));
const writing = (node: number, at_ms: number): LoadOp => ({
  ...act(at_ms, 'put', { subject: node }),
  node,
});
const sorted = (...ops: readonly LoadOp[]): LoadOp[] =>
  ops.toSorted((a, b) => a.at_ms - b.at_ms);

/** A minute and more apart: so often a validator reports the same member. */
const REPORT_MS = 61_000;

export const LIFE_REGRESSIONS: readonly Regression[] = [
  {
    story: 'a guest is removed as it writes at all nodes, one of them cut off: the rest is void',
    scenario: quiet({
      ...cast,
      duration_ms: 4000,
      load: sorted(
        act(100, 'join', { subject: GUEST }),
        ...speaking(GUEST, 900, 3000),
        act(2000, 'remove', { subject: GUEST }),
        act(2600, 'ghost', { subject: GUEST }, { node: 1 }),
        act(2700, 'ghost', { subject: GUEST }, { node: 3 }),
      ),
      faults: [fault('partition', 1800, 900, [3]), fault('power', 2050, 300, [1])],
    }),
    lives: { 'member.join/1': 1, 'member.remove/1': 1, void: 2 },
  },
  {
    story: 'a validator loses its key and its seat, gets another key, and sits again',
    scenario: quiet({
      ...cast,
      duration_ms: 5000,
      load: sorted(
        writing(3, 400),
        act(600, 'revoke', { subject: 3 }),
        act(900, 'ghost', { subject: 3 }, { node: 1 }),
        act(1800, 'rekey', { subject: 3 }),
        writing(3, 2600),
        seat(3000, [3], []),
        writing(3, 4200),
      ),
      faults: [fault('power', 620, 200, [2])],
    }),
    epochs: 2,
    lives: { 'member.revoke/1': 1, 'member.rekey/1': 1, void: 1 },
  },
  {
    story: 'one comes by an invite, sits as it is ready, and is drained and retired',
    scenario: quiet({
      ...cast,
      duration_ms: 6000,
      load: sorted(
        act(100, 'join', { subject: COMER }, { key: 'validator' }),
        writing(COMER, 2500),
        act(3000, 'drain', { subject: COMER }),
        writing(COMER, 4000),
        act(4500, 'retire', { subject: COMER }),
        writing(COMER, 5500),
        ...[300, 1500, 2900, 4400].map((at_ms) => writing(0, at_ms)),
      ),
    }),
    epochs: 2,
    lives: { 'member.ready/1': 1, 'member.drain/1': 1, 'member.retire/1': 1 },
  },
  {
    story: 'a rule denies a guest and is rolled back while one that is cut off takes what it says',
    scenario: quiet({
      ...cast,
      duration_ms: 5000,
      load: sorted(
        act(100, 'join', { subject: GUEST }),
        act(1200, 'deny', { subject: GUEST, amount: 0 }),
        ...[1300, 1600, 1900].map((at) => act(at, 'speak', { subject: GUEST }, { node: 3 })),
        act(3000, 'rollback', { subject: GUEST, amount: 1 }),
        act(4000, 'speak', { subject: GUEST }),
      ),
      faults: [fault('partition', 1100, 1500, [3])],
    }),
    lives: { 'policy.put/1': 1, 'policy.rollback/1': 1, denied: 1 },
  },
  {
    story: 'one validator alone accuses a member, and nobody is isolated on its word',
    scenario: quiet({
      ...cast,
      duration_ms: 4000,
      load: sorted(
        act(100, 'join', { subject: OTHER }),
        act(1000, 'report', { subject: OTHER, by: 0 }),
        act(2000, 'judge', { subject: OTHER, by: 1, amount: 1 }, { value: '5000' }),
        act(2500, 'judge', { subject: OTHER, by: 2, amount: 0 }, { value: '5000' }),
      ),
    }),
    lives: { 'posture.report/1': 1, refused: 2 },
  },
  {
    story: 'two accuse a member for minutes: it is isolated by degrees, and recovers',
    scenario: quiet({
      ...cast,
      duration_ms: 16 * REPORT_MS,
      load: sorted(
        act(100, 'join', { subject: GUEST }),
        ...[1, 2, 3, 4].flatMap((minute) => [
          ...[0, 1, 2].map((by) => act(minute * REPORT_MS, 'report', { subject: GUEST, by })),
          act(minute * REPORT_MS + 3000, 'judge', { subject: GUEST, by: 3 }, { value: '3600000' }),
          act(minute * REPORT_MS + 9000, 'speak', { subject: GUEST }, { node: minute % 4 }),
        ]),
        ...[8, 9, 10, 11, 12, 13, 14].map((minute) =>
          act(minute * REPORT_MS, 'judge', { subject: GUEST, by: 1 }, { value: '0' })),
      ),
    }),
    lives: { 'posture.report/1': 9, 'posture.isolate/1': 2, 'posture.recover/1': 1 },
  },
];
