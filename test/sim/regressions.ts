import { diverged } from './checkpoint-stories.ts';
import type { LoadName, LoadOp } from './load.ts';
import { LIFE_REGRESSIONS } from '#test/sim/lives/regressions.ts';
import { fault, quiet, steady } from './quiet.ts';
import type { Regression } from './quiet.ts';
import { steadyNet } from './stories.ts';

const at = (at_ms: number, kind: LoadName, node: number): LoadOp => ({
  at_ms,
  kind,
  node,
  key: 'k',
  value: `${at_ms}`,
});

/** An operator's change of the committee, handed to node 0. */
const change = (at_ms: number, add: readonly number[], remove: readonly number[]): LoadOp => ({
  ...at(at_ms, 'committee', 0),
  change: { add, remove },
});

/** 4 to 7 to 4 validators while events come in at all seven nodes. */
const COMING_AND_GOING: readonly LoadOp[] = [
  ...steady(60, ['put', 'client', 'bare'], 7).map((op) => ({ ...op, at_ms: 2 * op.at_ms })),
  change(300, [4], []),
  change(800, [5, 6], []),
  { ...at(1600, 'leave', 5), key: '', value: '' },
  change(2300, [], [4, 1]),
  change(3000, [1], [6]),
].toSorted((a, b) => a.at_ms - b.at_ms);

export const REGRESSIONS: readonly Regression[] = [
  {
    story: 'an observer acknowledged an event that expired before a validator could take it',
    scenario: quiet({
      observers: 1,
      load: [at(500, 'expiring', 4)],
      faults: [fault('partition', 400, 1500, [4])],
    }),
  },
  {
    story: 'a client used one sequence number for two events, the second one at an observer',
    scenario: quiet({
      observers: 1,
      load: [at(500, 'conflict', 3)],
      faults: [fault('partition', 400, 1500, [4])],
    }),
  },
  {
    story: 'references that give blocks other slots were taken for blocks of those slots',
    scenario: quiet({
      seed: 2015,
      link: { delay_ms: [20, 140], loss: 0, duplicate: 0 },
      traitors: [{ author: 0, habits: ['invalidParents'] }],
      load: steady(25, ['put']),
    }),
  },
  {
    story: 'a node restarted with its clock a day ahead, and its blocks kept it back for a day',
    scenario: quiet({
      faults: [fault('clockStep', 500, 1400, [2], 86_400_000), fault('power', 700, 100, [2])],
    }),
  },
  {
    story: 'a node with a failing disk held it against the observer that handed it events',
    scenario: quiet({
      validators: 1,
      observers: 1,
      load: steady(40, ['put']).map((op) => ({ ...op, node: 1 })),
      faults: [300, 800, 1300].map((at_ms) => fault('failedSync', at_ms, 400, [0])),
    }),
  },
  {
    story: 'blocks that the horizon set free woke a turn inside the turn: two wrote at once',
    scenario: {
      ...steadyNet(7, 4),
      duration_ms: 1500,
      load: steadyNet(7, 4).load.slice(0, 23),
      traitors: [{ author: 3, habits: ['replays', 'madeUpPast'] }],
    },
  },
  {
    story: 'a traitor carried a client\'s event in twins only, and nobody else carried it',
    scenario: quiet({
      duration_ms: 900,
      traitors: [{ author: 3, habits: ['hoarding'] }],
      load: steady(60, ['twice'])
        .slice(0, 18)
        .map((op) => ({ ...op, node: 2 })),
      faults: [fault('partition', 300, 500, [2, 3])],
    }),
  },
  {
    story: 'a rebuild did not end the halt of a node that stood apart at an idle cut',
    scenario: {
      ...diverged(3, 4),
      defect: { node: 2, kind: 'fold', at_ms: 0, key: 'k1' },
      duration_ms: 2000,
      load: steady(12, ['put', 'delete', 'client']),
      cut_ms: 150,
    },
  },
  {
    story: 'a disk changed a row that was read later: the node stood apart, and was rebuilt',
    scenario: {
      ...diverged(4, 4),
      defect: { node: 1, kind: 'row', at_ms: 900, key: 'k1' },
      duration_ms: 2000,
      load: steady(30, ['put']),
      cut_ms: 400,
    },
  },
  {
    story: 'forged votes and certificates are refused wherever they come from',
    scenario: quiet({
      traitors: [{ author: 3, habits: ['forgedVotes', 'forgedCertificates'] }],
      cut_ms: 150,
      load: steady(30, ['put', 'client']),
      faults: [
        fault('partition', 300, 500, [1]),
        fault('kill', 1000, 200, [0]),
        fault('partition', 1300, 300, [2, 3]),
      ],
    }),
  },
  {
    story: 'a committee grows from four to seven and shrinks again while events come in',
    scenario: quiet({ observers: 3, newcomers: 3, duration_ms: 4000, load: COMING_AND_GOING }),
    epochs: 5,
  },
  {
    story: 'the power of one goes at the write with which each epoch begins, all in the next',
    scenario: quiet({
      observers: 3,
      newcomers: 3,
      duration_ms: 4000,
      load: COMING_AND_GOING,
      faults: [
        fault('powerAtEpoch', 300, 400, [2], 0),
        fault('powerAtEpoch', 800, 400, [3], 1),
        fault('powerAtEpoch', 1600, 300, [4], 2),
        fault('powerAtEpoch', 2300, 500, [0], 3),
        fault('powerAtEpoch', 3000, 500, [1], 1),
        fault('blackout', 3040, 100),
      ],
    }),
  },
  {
    story: 'a validator whose disk was set back tells it, and seals again in the next epoch',
    scenario: quiet({
      observers: 1,
      newcomers: 1,
      duration_ms: 5000,
      load: [
        ...steady(60, ['put'], 5).map((op) => ({ ...op, at_ms: 2.4 * op.at_ms })),
        change(3000, [4], []),
        change(4000, [], [4]),
      ].toSorted((a, b) => a.at_ms - b.at_ms),
      faults: [fault('rollback', 300, 500, [3])],
    }),
    returned: 1,
  },
  ...LIFE_REGRESSIONS,
];
