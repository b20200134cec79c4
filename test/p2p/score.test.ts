import test from 'ava';
import type { Clock } from '#ledger/ports.ts';
import { TABLE_MAX } from '#p2p/limits.ts';
import { BAN_POINTS, PeerScores, pointsOf } from '#p2p/score.ts';

/** A clock that only moves when told. */
function handClock(): Clock & { now_ms: number } {
  return {
    now_ms: 0,
    wall_ms() {
      return this.now_ms;
    },
    monotonic_ms() {
      return this.now_ms;
    },
    after() {
      return () => {};
    },
  };
}

/** Penalises until the ban; the number of calls it took. */
function callsToBan(scores: PeerScores, peer: string, code: string): number {
  for (let calls = 1; calls <= 1000; calls += 1) if (scores.penalise(peer, code)) return calls;
  return Infinity;
}

test('forgeries ban fast, malformed objects too, slowness hardly, refusals never', (t) => {
  const calls = (code: string): number => callsToBan(new PeerScores(handClock()), 'p', code);
  t.is(calls('bad_block_signature'), 4);
  t.is(calls('gossip_rejected'), 5);
  t.is(calls('request_timeout'), 8 * BAN_POINTS);
  t.is(calls('peer_gone'), Infinity);
  t.is(calls('hello_refused'), Infinity);
  t.is(calls('engine_failed'), Infinity, 'a verifier thread of this node died');
  t.true(calls('key_retired') > 64, 'as many keys as a node may hold, at once');
  t.is(calls('a_code_that_nobody_listed'), 5);
  t.is(pointsOf('toString'), pointsOf('a_code_that_nobody_listed'));
});

test('points halve every minute, so rare slips never ban', (t) => {
  const clock = handClock();
  const scores = new PeerScores(clock);
  scores.penalise('p', 'frame_invalid');
  t.is(scores.score('p'), 20);
  clock.now_ms += 60_000;
  t.is(scores.score('p'), 10);
  for (let minute = 0; minute < 1_000; minute += 1) {
    clock.now_ms += 60_000;
    t.false(scores.penalise('p', 'frame_invalid'));
  }
});

test('each ban lasts twice as long, up to an hour, and a day without one forgets them', (t) => {
  const clock = handClock();
  const scores = new PeerScores(clock);
  const spans: number[] = [];
  for (let each = 0; each < 10; each += 1) {
    callsToBan(scores, 'p', 'bad_block_signature');
    spans.push(scores.bannedFor_ms('p'));
    t.deepEqual(scores.banned(), ['p']);
    clock.now_ms += scores.bannedFor_ms('p');
    t.deepEqual(scores.banned(), []);
  }
  t.deepEqual(spans.slice(0, 4), [30_000, 60_000, 120_000, 240_000]);
  t.is(spans.at(-1), 3_600_000);
  clock.now_ms += 25 * 3_600_000;
  callsToBan(scores, 'p', 'bad_block_signature');
  t.is(scores.bannedFor_ms('p'), 30_000);
});

test('the table is bounded and a flood of names does not free a banned peer', (t) => {
  const clock = handClock();
  const scores = new PeerScores(clock);
  callsToBan(scores, 'bad', 'bad_block_signature');
  for (let each = 0; each < 3 * TABLE_MAX; each += 1)
    scores.penalise(`name ${each}`, 'foreign_chain');
  t.deepEqual(scores.banned(), ['bad']);
  t.is(scores.score('name 0'), 0);
  t.is(scores.score(`name ${3 * TABLE_MAX - 1}`), 5);
});
