import test from 'ava';
import { Observations, faultOf } from '#node/posture/observations.ts';

test('what honest peers show is no fault; forgeries, malformed messages and floods are', (t) => {
  const calm = ['hello_refused', 'peer_gone', 'too_many_peers', 'frame_truncated', 'foreign_chain'];
  for (const code of [...calm, 'snapshot_stale', 'gossip_rejected']) t.is(faultOf(code), undefined);
  const broken = ['bad_block_signature', 'bad_event_signature', 'frame_invalid', 'not_canonical'];
  for (const code of broken)
    t.is(faultOf(code), 'invalid_message');
  t.is(faultOf('rate_limited'), 'flooding');
  t.is(faultOf('request_timeout'), 'unreachable');
});

test('one report says what weighs most, since when, and whole faults only', (t) => {
  const seen = new Observations();
  for (let each = 0; each < 39; each += 1) seen.penalised('a', 'rate_limited', 5);
  t.is(seen.of('a'), undefined);
  seen.penalised('a', 'rate_limited', 6);
  t.deepEqual(seen.of('a'), { what: 'flooding', count: 1, from_ms: 5 });
  seen.penalised('a', 'bad_block_signature', 7);
  t.deepEqual(seen.of('a'), { what: 'invalid_message', count: 1, from_ms: 5 });
  seen.forget('a');
  t.is(seen.of('a'), undefined);
  seen.penalised('a', 'hello_refused', 8);
  t.deepEqual(seen.actors(), []);
});

test('it is bounded: of further members nothing is noted', (t) => {
  const seen = new Observations();
  for (let each = 0; each < 1000; each += 1) seen.note(`m${each}`, 'invalid_message', 1, 0);
  t.is(seen.actors().length, 256);
  seen.note('m0', 'invalid_message', 1e12, 0);
  t.is(seen.of('m0')?.count, 1_000_000);
});
