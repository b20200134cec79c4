import test from 'ava';
import { Dag } from '#ledger/dag.ts';
import type { Ref } from '#ledger/header.ts';

/** The accepted blocks that a node holds, and what it takes for held. */

const ref = (round: number, author: number): Ref => {
  return { round, author, id: `${round}`.padStart(32, '0') + `${author}`.padStart(32, '0') };
};

function dagOf(refs: readonly Ref[], horizon = -1): Dag {
  const dag = new Dag(horizon);
  for (const one of refs) dag.add({ ...one, parents: [], ts_ms: 0, hasPayload: false });
  return dag;
}

test('a reference that gives a held block another slot is to a block that nobody has', (t) => {
  const held = ref(5, 1);
  const dag = dagOf([held]);
  t.deepEqual(dag.missing([held]), []);
  const { round, author } = held;
  const lies: readonly Ref[] = [
    { ...held, round: round + 1 },
    { ...held, round: round - 1 },
    { ...held, author: author + 1 },
  ];
  for (const lie of lies) t.deepEqual(dag.missing([lie]), [lie]);
});

test('what lies below the horizon is not asked for', (t) => {
  t.deepEqual(dagOf([], 5).missing([ref(5, 0), ref(6, 0)]), [ref(6, 0)]);
});
