/**
 * What the simulator relies on beyond the port's contract: faults on demand, and one seed, one
 * run.
 */
import test from 'ava';
import { X0tError } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import { FakeHub } from '#test/support/fake-network.ts';
import type { FakeNetwork, HubOptions } from '#test/support/fake-network.ts';

/** Virtual time: `run` fires what is due, in order, letting promises settle in between. */
class TestClock implements Clock {
  #now_ms = 0;
  #next = 0;
  readonly #timers = new Map<number, { readonly at_ms: number; readonly fire: () => void }>();

  wall_ms(): number {
    return this.#now_ms;
  }

  monotonic_ms(): number {
    return this.#now_ms;
  }

  after(delay_ms: number, fire: () => void): () => void {
    const id = (this.#next += 1);
    this.#timers.set(id, { at_ms: this.#now_ms + delay_ms, fire });
    return () => this.#timers.delete(id);
  }

  async run(duration_ms: number): Promise<void> {
    const end_ms = this.#now_ms + duration_ms;
    for (;;) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      const due = [...this.#timers]
        .filter(([, timer]) => timer.at_ms <= end_ms)
        .toSorted(([a, one], [b, two]) => one.at_ms - two.at_ms || a - b)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now_ms = due[1].at_ms;
      due[1].fire();
    }
    this.#now_ms = end_ms;
  }
}

interface World {
  readonly clock: TestClock;
  readonly hub: FakeHub;
  readonly nodes: readonly FakeNetwork[];
  readonly transcript: string[];
}

const NAMES = ['a', 'b', 'c'] as const;

async function world(options: Omit<HubOptions, 'clock' | 'seed'> = {}, seed = 1): Promise<World> {
  const clock = new TestClock();
  const hub = new FakeHub({ clock, seed, ...options });
  const transcript: string[] = [];
  const say = (text: string): void => void transcript.push(`${clock.monotonic_ms()} ${text}`);
  const nodes = NAMES.map((name, index) => {
    const node = hub.join(name, String(index).repeat(64));
    node.onPeer((peer, change) => say(`${name} ${peer.peer} ${change}`));
    node.subscribe('block', (message, from) => {
      say(`${name} got ${message[0]} from ${from}`);
      return Promise.resolve('accept');
    });
    node.serve('range', async function* answer(message) {
      for (let each = 0; each < 3; each += 1) yield message;
    });
    return node;
  });
  for (const node of nodes) await node.start();
  await clock.run(10);
  return { clock, hub, nodes, transcript };
}

async function ask(node: FakeNetwork, peer: string, timeout_ms = 1_000): Promise<string> {
  let frames = 0;
  try {
    const limits = { timeout_ms, responseBytes_max: 100 };
    for await (const _ of node.request(peer, 'range', Uint8Array.of(1), limits)) frames += 1;
    return `${frames} frames`;
  } catch (error) {
    return error instanceof X0tError ? error.code : String(error);
  }
}

test('a cut link loses gossip at once, is noticed late, and heals', async (t) => {
  const { clock, hub, nodes, transcript } = await world({ detect_ms: 500, reconnect_ms: 50 });
  await clock.run(100);
  transcript.length = 0;
  hub.partition(['a'], ['b', 'c']);
  await nodes[0]?.publish('block', Uint8Array.of(1));
  await clock.run(400);
  t.deepEqual(transcript, []);
  t.is(nodes[0]?.peers().length, 2);
  await clock.run(200);
  t.is(nodes[0]?.peers().length, 0);
  t.is(transcript.filter((line) => line.endsWith('down')).length, 4);
  hub.healAll();
  await clock.run(100);
  t.is(nodes[0]?.peers().length, 2);
  await nodes[0]?.publish('block', Uint8Array.of(2));
  await clock.run(10);
  t.is(transcript.filter((line) => line.includes('got 2')).length, 2);
});

test('where one link is cut, accepted messages go round', async (t) => {
  const { clock, hub, nodes, transcript } = await world();
  hub.cut('a', 'c');
  await nodes[0]?.publish('block', Uint8Array.of(5));
  await clock.run(10);
  t.true(transcript.some((line) => line.endsWith('c got 5 from b')));
});

test('requests over a cut link go on if it heals unnoticed, else their peer is gone', async (t) => {
  const { clock, hub, nodes } = await world({ detect_ms: 500 });
  const [first] = nodes;
  if (first === undefined) throw new Error('no node');
  hub.cut('a', 'b');
  const patient = ask(first, 'b');
  const hasty = ask(first, 'b', 100);
  await clock.run(300);
  hub.heal('a', 'b');
  await clock.run(20);
  t.is(await patient, '3 frames');
  t.is(await hasty, 'request_timeout');
  hub.cut('a', 'b');
  const lost = ask(first, 'b');
  await clock.run(600);
  t.is(await lost, 'peer_gone');
});

test('loss and duplicates happen as often as asked, and duplicates are handled once', async (t) => {
  const run = async (loss: number, duplicate: number): Promise<number> => {
    const { clock, hub, nodes, transcript } = await world();
    hub.cut('a', 'c');
    hub.cut('b', 'c');
    hub.shape('a', 'b', { loss, duplicate });
    for (let each = 0; each < 200; each += 1) await nodes[0]?.publish('block', Uint8Array.of(each));
    await clock.run(100);
    return transcript.filter((line) => line.includes('b got')).length;
  };
  t.is(await run(0, 1), 200);
  t.is(await run(1, 0), 0);
  const half = await run(0.5, 0);
  t.true(half > 70 && half < 130, `${half} of 200 passed at a loss of one half`);
});

test('one seed gives one run, another seed another', async (t) => {
  const run = async (seed: number): Promise<readonly string[]> => {
    const link = { delay_ms: [1, 50], loss: 0.2, duplicate: 0.2 } as const;
    const { clock, nodes, transcript } = await world({ link }, seed);
    for (let each = 0; each < 30; each += 1) {
      await nodes[each % 3]?.publish('block', Uint8Array.of(each));
      await clock.run(5);
    }
    await clock.run(1_000);
    return transcript;
  };
  t.deepEqual(await run(7), await run(7));
  t.notDeepEqual(await run(7), await run(8));
});

test('a crashed node is seen down at once, and its successor of that name up', async (t) => {
  const { clock, hub, nodes, transcript } = await world();
  await nodes[2]?.stop();
  t.is(transcript.filter((line) => line.endsWith('c down')).length, 2);
  t.is(await ask(nodes[0] as FakeNetwork, 'c'), 'peer_gone');
  const again = hub.join('c', '2'.repeat(64));
  await again.start();
  await clock.run(10);
  t.is(again.peers().length, 2);
  t.is(nodes[0]?.peers().length, 2);
});
