import test from 'ava';
import { DecisionLog } from '#node/policy/decision-log.ts';

/** Nobody's denials push out those of others, and of what is dropped the number is kept. */

const DENIED = { isAllowed: false, reasons: [], errors: [] };
const FLOOD = 6000;

function bench() {
  let now_ms = 0;
  const clock = { wall_ms: () => (now_ms += 1) } as never;
  const log = new DecisionLog(clock);
  const deny = (id: string, key: string): void =>
    log.call({ type: 'Spiffe', id }, 'api.kv.read', { type: 'Key', id: key }, DENIED);
  const of = (id: string) => log.list({ principal: `Spiffe::${id}`, limit: 10_000 });
  return { log, deny, of };
}

test('whoever is denied on and on pushes out denials of its own only', (t) => {
  const { log, deny, of } = bench();
  for (let i = 0; i < 40; i++) deny('quiet', `secret ${i}`);
  for (let i = 0; i < FLOOD; i++) deny('loud', `${i}`);
  t.is(of('quiet').length, 40);
  t.is(of('loud').length, 4096 - 40);
  t.is(of('loud')[0]?.resource, `Key::${FLOOD - 1}`, 'its latest stay');
  const dropped = FLOOD - of('loud').length;
  const [one, ...rest] = log.forgotten({ limit: 10 });
  t.deepEqual(rest, []);
  t.like(one, { principal: 'Spiffe::loud', isClaimed: false, count: dropped });
  t.is(log.counts.denied, FLOOD + 40);
  for (let i = 0; i < 100; i++) deny('quiet', `more ${i}`);
  t.is(of('quiet').length, 140, 'who has little gets the room of who has most');
  t.is(log.list({ limit: 10_000 }).length, 4096);
});

test('equal ones are one, also when there is no room', (t) => {
  const { log, deny, of } = bench();
  for (let i = 0; i < FLOOD; i++) deny('loud', `${i}`);
  for (let i = 0; i < 10; i++) deny('quiet', 'same');
  t.like(of('quiet')[0], { count: 10, resource: 'Key::same' });
  const counted = log.list({ limit: 10_000 }).reduce((sum, { count }) => sum + count, 0);
  const forgotten = log.forgotten({ limit: 10 }).reduce((sum, { count }) => sum + count, 0);
  t.is(counted + forgotten, log.counts.denied);
});

test('of too many principals the one that was not denied for longest gives its room', (t) => {
  const { log, deny, of } = bench();
  deny('quiet', 'secret');
  for (let i = 0; i < 511; i++) for (const key of ['a', 'b']) deny(`name ${i}`, key);
  deny('quiet', 'secret');
  t.deepEqual(log.forgotten({ limit: 10_000 }), []);
  deny('late', 'secret');
  t.deepEqual([of('name 0').length, of('name 1').length, of('late').length], [0, 2, 1]);
  t.like(of('quiet')[0], { count: 2 }, 'it was denied since');
  const [lost, ...rest] = log.forgotten({ limit: 10_000 });
  t.deepEqual([lost?.principal, lost?.isClaimed, lost?.count, rest], ['', false, 2, []]);
  for (let i = 0; i < FLOOD; i++) deny('loud', `${i}`);
  t.deepEqual([of('late').length, of('name 2').length], [1, 2], 'who comes late has its own');
  const counted = log.list({ limit: 10_000 }).reduce((sum, { count }) => sum + count, 0);
  const forgotten = log.forgotten({ limit: 10_000 }).reduce((sum, { count }) => sum + count, 0);
  t.is(counted + forgotten, log.counts.denied);
});

test('names that events only claim take no room from who is denied', (t) => {
  const { log, deny, of } = bench();
  for (let i = 0; i < 4; i++) deny('quiet', `secret ${i}`);
  for (let i = 0; i < FLOOD; i++) {
    for (const kind of 'abcdefgh') {
      log.admission({ kind, actor: `name ${i}`, body: {} } as never, DENIED);
    }
  }
  t.is(of('quiet').length, 4);
  t.true(log.forgotten({ limit: 10_000 }).every(({ isClaimed }) => isClaimed));
});
