import test from 'ava';
import type { NodeStatus } from '#node/api/status.ts';
import { jsonOf, lineOf, tableOf } from '#node/cli/testnet-table.ts';
import { areEqual } from '#node/cli/testnet-watch.ts';

function status(finalSeq: number): NodeStatus {
  const summaryHash = `${finalSeq}`.padStart(64, 'a');
  const numbers = { round: 12, commits: 9, finalSeq, pending: 0, peers: 3 };
  return { ...numbers, summaryHash } as NodeStatus;
}

const up = { name: 'node-1', url: 'http://127.0.0.1:8430', status: status(7), probe_ms: 41.26 };
const slow = { name: 'node-2', url: 'http://127.0.0.1:8431', status: status(7) };
const mute = { name: 'node-3', url: 'http://127.0.0.1:8432' };
const dead = { name: 'node-4', url: 'http://127.0.0.1:8433', exit: 'SIGKILL' };

test('the table aligns its columns and says what is silent', (t) => {
  t.deepEqual(tableOf([up, slow, mute, dead]).split('\n'), [
    'node    api                    round  commits  final  pending  peers  latency  state',
    'node-1  http://127.0.0.1:8430     12        9      7        0      3  41.3 ms  aaaaaaaaaaaa',
    'node-2  http://127.0.0.1:8431     12        9      7        0      3        -  aaaaaaaaaaaa',
    'node-3  http://127.0.0.1:8432  no answer',
    'node-4  http://127.0.0.1:8433  ended (SIGKILL): see its node.log',
    '',
  ]);
});

test('a line of the log shows ranges over the nodes that answer', (t) => {
  const line = lineOf(5, [up, { ...slow, status: status(8) }, mute]);
  t.regex(
    line,
    /^5 s {2}2\/3 nodes {2}round 12\.\.12 .* final 7\.\.8 {2}peers 3\.\.3 {2}latency 41/,
  );
  t.is(lineOf(5, [mute]), '5 s  0/1 nodes');
});

test('programs get numbers, and null where nothing was measured', (t) => {
  t.deepEqual(jsonOf(5, [dead]), {
    type: 'nodes',
    seconds: 5,
    nodes: [
      {
        name: 'node-4',
        url: 'http://127.0.0.1:8433',
        isUp: false,
        exit: 'SIGKILL',
        latency_ms: null,
      },
    ],
  });
});

test('nodes are equal only when all answer with one state', (t) => {
  t.true(areEqual([up, slow]));
  t.false(areEqual([up, { ...slow, status: status(8) }]));
  t.false(areEqual([up, mute]));
  t.false(areEqual([mute]));
});
