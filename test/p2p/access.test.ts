/** What `NetworkOptions.access` and `review` promise, between real libp2p nodes. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { codeOf } from '#ledger/errors.ts';
import type { Clock, GossipVerdict } from '#ledger/ports.ts';
import { generatePeerKey, peerNameOf } from '#p2p/index.ts';
import type { Access, ManagedNetwork } from '#p2p/index.ts';
import { addrOf, collect, linked, PATIENT, realClock, sleep } from './support.ts';
import { startNode, testAuth, until, untilMeshed } from './support.ts';

const ALL: Access = { isAdmitted: true, share: 1, gossips: true };
const OUT: Access = { isAdmitted: false, code: 'member_removed' };

interface Pair {
  readonly judge: ManagedNetwork;
  readonly other: ManagedNetwork;
  readonly asked: { readonly peer: string; readonly actor: string }[];
  readonly actor: string;
  /** Sizes of what came by gossip. */
  readonly atJudge: number[];
  readonly atOther: number[];
  readonly say: (access: Access) => void;
}

async function pair(t: ExecutionContext, first: Access): Promise<Pair> {
  let now = first;
  const asked: Pair['asked'] = [];
  const atJudge: number[] = [];
  const atOther: number[] = [];
  const taking = (into: number[]) => (node: ManagedNetwork) => {
    node.subscribe('block', (message): Promise<GossipVerdict> => {
      into.push(message.length);
      return Promise.resolve('accept');
    });
    node.serve('blocks', async function* answer(message) {
      yield message;
    });
  };
  const access = (peer: string, actor: string): Access => {
    asked.push({ peer, actor });
    return now;
  };
  const judge = await startNode({ access }, taking(atJudge));
  t.teardown(() => judge.stop());
  const hello = testAuth();
  const other = await startNode({ hello, bootstrap: [addrOf(judge)] }, taking(atOther));
  t.teardown(() => other.stop());
  const say = (next: Access): void => {
    now = next;
    judge.review();
  };
  return { judge, other, asked, actor: hello.actor, atJudge, atOther, say };
}

const subscribed = (node: ManagedNetwork): boolean => node.status().peers[0]?.topics.length === 1;

test('a refused peer hears the code, costs no points, then comes in', async (t) => {
  const { judge, other, asked, actor, say } = await pair(t, OUT);
  await until(() => other.status().missing[0]?.lastFailure === 'hello_refused', 'the refusal');
  t.deepEqual(asked[0], { peer: other.self, actor }, 'asked with the proven actor');
  t.deepEqual([...judge.peers(), ...other.peers()], []);
  const hellos = (node: ManagedNetwork, code: string): number =>
    node.status().counters.hellos_total[code] ?? 0;
  await until(() => hellos(judge, 'member_removed') > 0, 'the judge counts');
  t.true(hellos(other, 'hello_refused') > 0);
  t.deepEqual(judge.status().counters.penalties_total, {});
  t.true((other.status().missing[0]?.nextDial_ms ?? Infinity) <= 500, 'the usual back-off');
  say(ALL);
  await untilMeshed([judge, other]);
  t.true(linked(judge, other.self) && linked(other, judge.self));
});

test('a review closes the link at once with the reason `access`, and opens it again', async (t) => {
  const { judge, other, say } = await pair(t, ALL);
  await untilMeshed([judge, other]);
  const pending = other.request(judge.self, 'blocks', new Uint8Array(1), PATIENT);
  t.is((await collect(pending)).length, 1);
  say(OUT);
  await until(() => judge.peers().length === 0 && other.peers().length === 0, 'the cut');
  t.is(judge.status().counters.disconnects_total['access'], 1);
  const refused = (): number => judge.status().counters.hellos_total['member_removed'] ?? 0;
  await until(() => refused() > 0, 'it is refused when it dials again');
  t.false(linked(judge, other.self));
  say(ALL);
  await untilMeshed([judge, other]);
  t.pass();
});

test('the judge dials the refused peer as soon as a review admits it', async (t) => {
  const key = await generatePeerKey();
  let now: Access = OUT;
  const other = await startNode({ key });
  t.teardown(() => other.stop());
  const judge = await startNode({ access: () => now, bootstrap: [addrOf(other)] });
  t.teardown(() => judge.stop());
  const refused = (): number => judge.status().counters.hellos_total['member_removed'] ?? 0;
  await until(() => refused() === 1, 'the refusal');
  await sleep(1_500);
  t.is(refused(), 1, 'a peer that was refused is not dialled');
  now = ALL;
  judge.review();
  await until(() => linked(judge, peerNameOf(key)) && linked(other, judge.self), 'the link');
  t.is(refused(), 1);
});

test('without gossip nothing is taken or sent, but requests; a review turns it on', async (t) => {
  const { judge, other, atJudge, atOther, say } = await pair(t, ALL);
  const ask = (): Promise<unknown> =>
    collect(other.request(judge.self, 'blocks', new Uint8Array(3), PATIENT));
  await untilMeshed([judge, other]);
  await until(() => subscribed(judge) && subscribed(other), 'subscriptions');
  await other.publish('block', new Uint8Array(1));
  await judge.publish('block', new Uint8Array(2));
  await until(() => atJudge.length === 1 && atOther.length === 1, 'gossip both ways');
  say({ isAdmitted: true, share: 0.5, gossips: false });
  await untilMeshed([judge, other]);
  for (const bytes of [11, 12, 13]) {
    await other.publish('block', new Uint8Array(bytes));
    await judge.publish('block', new Uint8Array(bytes + 10));
  }
  await sleep(1_500);
  t.deepEqual([atJudge, atOther], [[1], [2]]);
  t.deepEqual(await ask(), [new Uint8Array(3)]);
  t.is(judge.status().counters.disconnects_total['access'], undefined, 'the link itself stays');
  const row = judge.status().peers[0];
  t.deepEqual([row?.share, row?.gossips, row?.gossip], [0.5, false, 'both']);
  say(ALL);
  await until(() => subscribed(judge), 'it is told again what the peer takes');
  await untilMeshed([judge, other]);
  await other.publish('block', new Uint8Array(31));
  await judge.publish('block', new Uint8Array(32));
  await until(() => atJudge.includes(31) && atOther.includes(32), 'gossip again');
  t.deepEqual([atJudge, atOther], [[1, 31], [2, 32]], 'and nothing of before');
});

test('the share scales what a peer may ask and what gossip is taken of it', async (t) => {
  const { judge, other, atJudge, say } = await pair(t, ALL);
  await untilMeshed([judge, other]);
  await until(() => subscribed(judge) && subscribed(other), 'subscriptions');
  const burst = async (requests: number): Promise<number> => {
    let served = 0;
    for (let each = 0; each < requests; each += 1) {
      try {
        await collect(other.request(judge.self, 'blocks', new Uint8Array(1), PATIENT));
        served += 1;
      } catch (error) {
        t.is(codeOf(error), 'request_refused');
      }
    }
    return served;
  };
  t.is(await burst(40), 40);
  say({ isAdmitted: true, share: 0.01, gossips: true });
  // 4 at once and 2 a second
  const most = (from_ms: number): number => 5 + (2 * (performance.now() - from_ms)) / 1000;
  let from_ms = performance.now();
  const served = await burst(40);
  t.true(served >= 4 && served <= most(from_ms), `${served} of ${most(from_ms)}`);
  from_ms = performance.now();
  for (let each = 0; each < 40; each += 1) await other.publish('block', new Uint8Array(each + 1));
  await until(() => atJudge.length >= 4, 'what its share allows');
  await sleep(500);
  t.true(atJudge.length <= most(from_ms), `${atJudge.length} of ${most(from_ms)}`);
  say({ isAdmitted: true, share: 0, gossips: true });
  t.is(await burst(5), 0);
  say(ALL);
  t.is(await burst(40), 40);
});

test('a refused peer that dials on and on is not heard for a while', async (t) => {
  let now: Access = OUT;
  // the while is a minute: of the machine's, ten
  const clock: Clock = { ...realClock, monotonic_ms: () => performance.now() / 10 };
  const judge = await startNode({ access: () => now, clock });
  t.teardown(() => judge.stop());
  const backoff = { first_ms: 10, max_ms: 20 };
  const other = await startNode({ bootstrap: [addrOf(judge)], backoff });
  t.teardown(() => other.stop());
  const refused = (): number => judge.status().counters.hellos_total['member_removed'] ?? 0;
  await until(() => refused() >= 30, 'so many hellos');
  const failures = (): number => other.status().missing[0]?.failures ?? 0;
  const before = failures();
  await until(() => failures() > before + 3, 'it dials on');
  t.is(refused(), 30);
  now = ALL;
  judge.review();
  await until(() => linked(judge, other.self), 'the link');
  t.pass();
});
