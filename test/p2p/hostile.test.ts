/** Peers whose hello is accepted and who then misbehave on the request protocols. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { HELLO_PROTOCOL } from '#p2p/hello.ts';
import { protocolName } from '#p2p/requests.ts';
import type { Clock } from '#ledger/ports.ts';
import type { ManagedNetwork, NetworkOptions } from '#p2p/index.ts';
import type { Connection, Stream } from '@libp2p/interface';
import { rawPeer } from './raw-peer.ts';
import {
  addrOf, CHAIN, collect, PATIENT, realClock, sleep, startNode, until,
} from './support.ts';

const BLOCKS = protocolName(CHAIN, 'blocks');
/** Attackers open no gossip stream; that is not what they are closed for here. */
const liveness = { mute_ms_max: 600_000 };

interface Attack {
  readonly node: ManagedNetwork;
  readonly connection: Connection;
  /** Opens a stream and sends raw bytes on it. */
  readonly send: (...chunks: Uint8Array[]) => Promise<Stream>;
}

/** A node and an admitted peer that speaks raw libp2p. */
async function attack(t: ExecutionContext, over: Partial<NetworkOptions> = {}): Promise<Attack> {
  const node = await startNode({ liveness, ...over }, (each) =>
    each.serve('blocks', async function* answer(message) {
      yield message;
    }),
  );
  t.teardown(() => node.stop());
  const { host, connection } = await rawPeer(addrOf(node));
  t.teardown(() => host.stop());
  await until(() => node.peers().length === 1, 'the attacker is admitted');
  const send = async (...chunks: Uint8Array[]): Promise<Stream> => {
    const opened = await connection.newStream(BLOCKS, { maxOutboundStreams: 1000 });
    for (const chunk of chunks) opened.send(chunk);
    return opened;
  };
  return { node, connection, send };
}

/** Length, kind and payload as they go over the wire. */
function frame(length: number, kind: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(5 + payload.length);
  new DataView(bytes.buffer).setUint32(0, length);
  bytes[4] = kind;
  bytes.set(payload, 5);
  return bytes;
}

const served = (node: ManagedNetwork, outcome: string): number => {
  return node.status().counters.requests_served_total[`blocks ${outcome}`] ?? 0;
};
const penalised = (node: ManagedNetwork, code: string): number => {
  return node.status().counters.penalties_total[code] ?? 0;
};

test('garbage on a request protocol is refused, penalised, and bans when it goes on', async (t) => {
  const { node, send } = await attack(t);
  for (let each = 0; each < 8 && node.peers().length > 0; each += 1) {
    await send(new Uint8Array(64).fill(0xff)).catch(() => undefined);
    await sleep(50);
  }
  await until(() => node.status().banned.length === 1, 'the ban');
  t.true(served(node, 'frame_too_large') >= 1);
  t.is(node.peers().length, 0);
});

test('a length prefix above the limit is refused before the bytes are taken', async (t) => {
  const { node, send } = await attack(t);
  const stream = await send(frame(256 * 1024 + 2, 0));
  await until(() => penalised(node, 'frame_too_large') === 1, 'the penalty');
  await until(() => stream.status !== 'open', 'the stream is reset', 5_000);
  t.is(node.peers().length, 1, 'one is no ban');
});

test('a frame that ends early is refused', async (t) => {
  const { node, send } = await attack(t);
  const stream = await send(frame(1000, 0, new Uint8Array(10)));
  await stream.close();
  await until(() => penalised(node, 'frame_truncated') === 1, 'the penalty');
  t.is(served(node, 'frame_truncated'), 1);
});

test('frames of unknown kind, of length zero, and second frames are refused', async (t) => {
  const { node, send } = await attack(t);
  await send(frame(2, 9, new Uint8Array(1)));
  await until(() => penalised(node, 'frame_invalid') === 1, 'an unknown kind');
  await send(new Uint8Array(5));
  await until(() => penalised(node, 'frame_invalid') === 2, 'length zero');
  await send(frame(2, 0, new Uint8Array(1)), frame(2, 0, new Uint8Array(1)));
  await until(() => penalised(node, 'frame_unexpected') === 1, 'a second frame');
  t.is(served(node, 'ok'), 0);
});

test('a frame that never ends times out', async (t) => {
  const { node, send } = await attack(t, { serving: { arrival_ms: 300 } });
  const stream = await send(frame(1000, 0));
  const drip = setInterval(() => {
    if (stream.status === 'open') stream.send(new Uint8Array(1));
  }, 50);
  t.teardown(() => clearInterval(drip));
  await until(() => penalised(node, 'request_stalled') === 1, 'the penalty', 3_000);
  await until(() => stream.status !== 'open', 'the stream is reset', 5_000);
  t.is(served(node, 'request_stalled'), 1);
});

test('a flood of requests is refused beyond its rate and does not stop others', async (t) => {
  const { node, send } = await attack(t, { serving: { requestsPerS: 0.01, requestsBurst: 20 } });
  const good = await startNode({ bootstrap: [addrOf(node)] });
  t.teardown(() => good.stop());
  await until(() => good.peers().length === 1, 'the good peer');
  const flood = Array.from({ length: 60 }, () => send(frame(2, 0, new Uint8Array(1))));
  const answer = await collect(good.request(node.self, 'blocks', Uint8Array.of(7), PATIENT));
  t.deepEqual(answer, [Uint8Array.of(7)]);
  await Promise.allSettled(flood);
  await until(() => served(node, 'rate_limited') >= 35, 'the refusals');
  t.true(served(node, 'ok') <= 25);
  t.true(penalised(node, 'rate_limited') >= 35);
});

/** The machine's clock, but that timers of `held_ms` fire by `release` only. */
class HoldingClock implements Clock {
  readonly held = new Set<() => void>();
  readonly #held_ms: number;

  constructor(held_ms: number) {
    this.#held_ms = held_ms;
  }

  wall_ms(): number {
    return realClock.wall_ms();
  }

  monotonic_ms(): number {
    return realClock.monotonic_ms();
  }

  after(delay_ms: number, fire: () => void): () => void {
    if (delay_ms !== this.#held_ms) return realClock.after(delay_ms, fire);
    this.held.add(fire);
    return () => void this.held.delete(fire);
  }

  release(): void {
    for (const fire of this.held) fire();
  }
}

test('who asks for much and reads nothing is cut off and holds nobody up', async (t) => {
  const stall_ms = 4321;
  const clock = new HoldingClock(stall_ms);
  let frames = 0;
  const node = await startNode({ liveness, clock, serving: { stall_ms } }, (each) =>
    each.serve('blocks', async function* answer(message) {
      if (message.length === 1) yield message;
      else for (let i = 0; i < 100; i++, frames++) yield new Uint8Array(300_000);
    }),
  );
  t.teardown(() => node.stop());
  const { host, connection } = await rawPeer(addrOf(node));
  t.teardown(() => host.stop());
  const good = await startNode({ bootstrap: [addrOf(node)] });
  t.teardown(() => good.stop());
  await until(() => good.peers().length === 1, 'the good peer');
  for (let i = 0; i < 20; i++) {
    const stream = await connection.newStream(BLOCKS, { maxOutboundStreams: 1000 });
    stream.pause();
    stream.send(frame(3, 0, new Uint8Array(2)));
  }
  await until(() => clock.held.size === 20, 'all of them stall');
  await sleep(300);
  t.true(frames <= 20 * 5, `${frames} frames of 2000 were made`);
  await collect(good.request(node.self, 'blocks', Uint8Array.of(7), PATIENT));
  t.deepEqual([served(node, 'read_stalled'), clock.held.size], [0, 20], 'while all of them wait');
  clock.release();
  await until(() => served(node, 'read_stalled') === 20, 'all are cut off');
});

test('streams that are left open do not pile up', async (t) => {
  const { node, connection, send } = await attack(t);
  await Promise.all(Array.from({ length: 30 }, () => send(frame(2, 0, new Uint8Array(1)))));
  await until(() => served(node, 'ok') === 30, 'all are answered');
  await until(
    () => connection.streams.every((each) => each.protocol !== BLOCKS),
    'all are reset',
    5_000,
  );
  t.is(node.peers().length, 1);
});

test('a second hello on a connection is refused', async (t) => {
  const { node, connection } = await attack(t);
  const again = await connection.newStream(HELLO_PROTOCOL, { maxOutboundStreams: 4 });
  await until(() => penalised(node, 'hello_repeated') === 1, 'the penalty');
  await until(() => again.status !== 'open', 'the stream is reset');
  t.is(node.peers().length, 1);
});
