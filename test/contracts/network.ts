/** The contract of `Network` (`ledger/ports.ts`): one suite for the fake and the libp2p adapter. */
import type { ExecutionContext, TestFn } from 'ava';
import { X0tError } from '#ledger/errors.ts';
import { FRAME_BYTES_MAX, GOSSIP_BYTES_MAX, REQUEST_BYTES_MAX } from '#ledger/limits.ts';
import type { Network, PeerInfo } from '#ledger/ports.ts';
import { collect, sleep, until } from '#test/p2p/support.ts';

/** Started nodes that all see each other and whose gossip flows. */
export interface Group {
  readonly nodes: readonly Network[];
  /** Stops one node as a crash would. */
  crash(index: number): Promise<void>;
  stop(): Promise<void>;
}

export type MakeGroup = (
  count: number,
  prepare: (node: Network, index: number) => void,
) => Promise<Group>;

const LIMITS = { timeout_ms: 30_000, responseBytes_max: 4 * 1024 * 1024 };
const bytes = (length: number, fill = 0): Uint8Array => new Uint8Array(length).fill(fill);

async function codeOfAsync(step: Promise<unknown>): Promise<string> {
  try {
    await step;
    return 'none';
  } catch (error) {
    return error instanceof X0tError ? error.code : `not coded: ${String(error)}`;
  }
}

export function networkContract(test: TestFn, name: string, makeGroup: MakeGroup): void {
  gossipContract(test, name, makeGroup);
  requestContract(test, name, makeGroup);
  failureContract(test, name, makeGroup);
  peerContract(test, name, makeGroup);
}

/** A group that stops when the test ends, however it ends. */
async function open(
  t: ExecutionContext,
  makeGroup: MakeGroup,
  count: number,
  prepare: Parameters<MakeGroup>[1],
): Promise<Group> {
  const group = await makeGroup(count, prepare);
  t.teardown(() => group.stop());
  return group;
}

function at(nodes: readonly Network[], index: number): Network {
  const node = nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

function gossipContract(test: TestFn, name: string, makeGroup: MakeGroup): void {
  test(`${name}: a published message reaches every other peer once, unchanged`, async (t) => {
    const got: Uint8Array[][] = [[], [], []];
    const group = await open(t, makeGroup, 3, (node, index) => {
      node.subscribe('block', (message) => {
        got[index]?.push(message.slice());
        return Promise.resolve('accept');
      });
    });
    const largest = bytes(GOSSIP_BYTES_MAX, 9);
    await at(group.nodes, 0).publish('block', bytes(3, 1));
    await at(group.nodes, 0).publish('block', largest);
    await until(() => got[1]?.length === 2 && got[2]?.length === 2, 'both messages at both peers');
    await sleep(50);
    t.is(got[0]?.length, 0);
    for (const index of [1, 2]) {
      const sorted = (got[index] ?? []).toSorted((a, b) => a.length - b.length);
      t.deepEqual(sorted[0], bytes(3, 1));
      t.true(Buffer.from(largest).equals(sorted[1] ?? bytes(0)));
    }
  });

  test(`${name}: topics are apart, and from names the sending peer`, async (t) => {
    const got: string[] = [];
    const group = await open(t, makeGroup, 2, (node, index) => {
      for (const topic of ['block', 'events'] as const) {
        node.subscribe(topic, (message, from) => {
          got.push(`${index} ${topic} ${message[0]} ${from}`);
          return Promise.resolve('accept');
        });
      }
    });
    const [one, two] = group.nodes.map((node) => node.self);
    await at(group.nodes, 0).publish('block', bytes(1, 1));
    await at(group.nodes, 1).publish('events', bytes(1, 2));
    await until(() => got.length === 2, 'both messages');
    t.deepEqual(got.toSorted(), [`0 events 2 ${two}`, `1 block 1 ${one}`]);
  });

  test(`${name}: a message above the limit is refused and nobody gets it`, async (t) => {
    let got = 0;
    const group = await open(t, makeGroup, 2, (node) =>
      node.subscribe('block', () => {
        got += 1;
        return Promise.resolve('accept');
      }),
    );
    const refused = at(group.nodes, 0).publish('block', bytes(GOSSIP_BYTES_MAX + 1));
    t.is(await codeOfAsync(refused), 'message_too_large');
    await sleep(100);
    t.is(got, 0);
  });

  test(`${name}: publish does not wait for a slow handler`, async (t) => {
    const gate = Promise.withResolvers<'accept'>();
    let got = 0;
    const group = await open(t, makeGroup, 2, (node) =>
      node.subscribe('block', () => {
        got += 1;
        return gate.promise;
      }),
    );
    for (let each = 0; each < 20; each += 1)
      await at(group.nodes, 0).publish('block', bytes(1, each));
    await until(() => got === 20, 'all messages at the busy handler');
    gate.resolve('accept');
    t.is(got, 20);
  });
}

function requestContract(test: TestFn, name: string, makeGroup: MakeGroup): void {
  const serving = (t: ExecutionContext, handler: Parameters<Network['serve']>[1]) => {
    return open(t, makeGroup, 2, (node, index) => {
      if (index === 1) node.serve('range', handler);
    });
  };
  const ask = (group: Group, limits = LIMITS, message = bytes(1, 7)) => {
    const [client, server] = [at(group.nodes, 0), at(group.nodes, 1)];
    return client.request(server.self, 'range', message, limits);
  };

  test(`${name}: an answer streams in order, with empty and largest frames`, async (t) => {
    const group = await serving(t, async function* answer(message, from) {
      yield message;
      yield new TextEncoder().encode(from);
      yield bytes(0);
      yield bytes(FRAME_BYTES_MAX, 5);
      yield bytes(1, 6);
    });
    const request = bytes(REQUEST_BYTES_MAX, 3);
    const answer = await collect(ask(group, LIMITS, request));
    t.deepEqual(
      answer.map((chunk) => chunk.length),
      [REQUEST_BYTES_MAX, at(group.nodes, 0).self.length, 0, FRAME_BYTES_MAX, 1],
    );
    t.true(Buffer.from(request).equals(answer[0] ?? bytes(0)));
    t.is(new TextDecoder().decode(answer[1]), at(group.nodes, 0).self);
    t.is(
      answer[3]?.every((byte) => byte === 5),
      true,
    );
  });

  test(`${name}: an answer without frames just ends`, async (t) => {
    const group = await serving(t, async function* answer() {
      /* nothing to say */
    });
    t.deepEqual(await collect(ask(group)), []);
  });

  test(`${name}: many requests at the same time keep apart`, async (t) => {
    const group = await serving(t, async function* answer(message) {
      for (let each = 0; each < 5; each += 1) {
        await sleep(1);
        yield message;
      }
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const patient = { ...LIMITS, timeout_ms: 30_000 };
        return collect(ask(group, patient, bytes(1, index)));
      }),
    );
    answers.forEach((answer, index) => {
      t.deepEqual(
        answer.map((chunk) => chunk[0]),
        Array.from({ length: 5 }, () => index),
      );
    });
  });

  test(`${name}: breaking out of the loop ends the handler`, async (t) => {
    let ended = false;
    let sent = 0;
    const group = await serving(t, async function* answer() {
      try {
        for (;;) {
          sent += 1;
          yield bytes(FRAME_BYTES_MAX, 1);
          await sleep(1);
        }
      } finally {
        ended = true;
      }
    });
    for await (const chunk of ask(group, { timeout_ms: 30_000, responseBytes_max: 2 ** 30 })) {
      t.is(chunk.length, FRAME_BYTES_MAX);
      break;
    }
    await until(() => ended, 'the handler was told to return');
    const after = sent;
    await sleep(50);
    t.is(sent, after);
  });

  test(`${name}: a reader that pauses holds the handler back`, async (t) => {
    let sent = 0;
    const group = await serving(t, async function* answer() {
      for (; sent < 200; sent += 1) yield bytes(FRAME_BYTES_MAX, 1);
    });
    let read = 0;
    for await (const chunk of ask(group, { timeout_ms: 30_000, responseBytes_max: 2 ** 30 })) {
      read += 1;
      t.is(chunk.length, FRAME_BYTES_MAX);
      if (read > 1) break;
      await sleep(500);
    }
    t.true(sent < 150, `${sent} of 200 frames were taken from the handler while nobody read`);
  });
}

function failureContract(test: TestFn, name: string, makeGroup: MakeGroup): void {
  const failing = async (
    t: ExecutionContext,
    handler: Parameters<Network['serve']>[1] | undefined,
    step: (client: Network, server: string) => AsyncIterable<Uint8Array>,
  ): Promise<string> => {
    const group = await open(t, makeGroup, 2, (node, index) => {
      if (index === 1 && handler !== undefined) node.serve('range', handler);
    });
    try {
      const server = at(group.nodes, 1).self;
      return await codeOfAsync(collect(step(at(group.nodes, 0), server)));
    } finally {
    }
  };
  const plain = (client: Network, server: string) =>
    client.request(server, 'range', bytes(1), LIMITS);

  test(`${name}: a handler that throws refuses the request`, async (t) => {
    const code = await failing(
      t,
      async function* answer() {
        yield bytes(1);
        throw new X0tError('test_refusal', 'no');
      },
      plain,
    );
    t.is(code, 'request_refused');
  });

  test(`${name}: a handler's frame above the limit refuses the request`, async (t) => {
    const code = await failing(
      t,
      async function* answer() {
        yield bytes(FRAME_BYTES_MAX + 1);
      },
      plain,
    );
    t.is(code, 'request_refused');
  });

  test(`${name}: a request above the limit is not sent`, async (t) => {
    let served = 0;
    const code = await failing(
      t,
      async function* answer(message) {
        served += 1;
        yield message;
      },
      (client, server) => client.request(server, 'range', bytes(REQUEST_BYTES_MAX + 1), LIMITS),
    );
    t.is(code, 'message_too_large');
    t.is(served, 0);
  });

  test(`${name}: more bytes than asked for end the exchange`, async (t) => {
    const code = await failing(
      t,
      async function* answer() {
        for (let each = 0; each < 10; each += 1) yield bytes(100);
      },
      (client, server) => {
        return client.request(server, 'range', bytes(1), { ...LIMITS, responseBytes_max: 999 });
      },
    );
    t.is(code, 'response_too_large');
  });

  test(`${name}: an answer that does not come times out`, async (t) => {
    const code = await failing(
      t,
      async function* answer(message) {
        await sleep(2_000);
        yield message;
      },
      (client, server) => client.request(server, 'range', bytes(1), { ...LIMITS, timeout_ms: 150 }),
    );
    t.is(code, 'request_timeout');
  });

  test(`${name}: an answer that stops half way times out`, async (t) => {
    const code = await failing(
      t,
      async function* answer() {
        yield bytes(10);
        await sleep(2_000);
      },
      (client, server) => client.request(server, 'range', bytes(1), { ...LIMITS, timeout_ms: 300 }),
    );
    t.is(code, 'request_timeout');
  });

  test(`${name}: an unknown peer is gone`, async (t) => {
    const code = await failing(t, undefined, (client) =>
      client.request('nobody', 'range', bytes(1), LIMITS),
    );
    t.is(code, 'peer_gone');
  });

  test(`${name}: a protocol that the peer does not serve is unsupported`, async (t) => {
    t.is(await failing(t, undefined, plain), 'protocol_unsupported');
  });
}

function peerContract(test: TestFn, name: string, makeGroup: MakeGroup): void {
  test(`${name}: peers are told up with their actor, and down when they crash`, async (t) => {
    const notices: [number, string, PeerInfo][] = [];
    const gate = Promise.withResolvers<void>();
    const group = await open(t, makeGroup, 3, (node, index) => {
      node.onPeer((peer, change) => notices.push([index, change, peer]));
      node.serve('range', async function* answer() {
        yield bytes(1);
        await gate.promise;
      });
    });
    t.teardown(() => gate.resolve());
    const [first, second, third] = [at(group.nodes, 0), at(group.nodes, 1), at(group.nodes, 2)];
    t.deepEqual(
      first
        .peers()
        .map((each) => each.peer)
        .toSorted(),
      [second.self, third.self].toSorted(),
    );
    t.is(notices.filter(([index, change]) => index === 0 && change === 'up').length, 2);
    t.true(first.peers().every((each) => /^[0-9a-f]{64}$/.test(each.actor)));
    const busy = codeOfAsync(collect(first.request(third.self, 'range', bytes(1), LIMITS)));
    await sleep(100);
    await group.crash(2);
    t.is(await busy, 'peer_gone');
    await until(
      () => first.peers().length === 1 && second.peers().length === 1,
      'the crash is seen',
    );
    const downs = notices.filter(([index, change]) => index < 2 && change === 'down');
    t.deepEqual(
      downs.map(([, , each]) => each.peer),
      [third.self, third.self],
    );
    t.is(
      await codeOfAsync(collect(first.request(third.self, 'range', bytes(1), LIMITS))),
      'peer_gone',
    );
  });

  test(`${name}: rejected messages get their sender cut off, ignored ones do not`, async (t) => {
    let seen = 0;
    const group = await open(t, makeGroup, 2, (node, index) => {
      node.subscribe('events', () => Promise.resolve('ignore'));
      node.subscribe('block', () => {
        seen += 1;
        return Promise.resolve(index === 0 ? 'reject' : 'accept');
      });
    });
    const [strict, bad] = [at(group.nodes, 0), at(group.nodes, 1)];
    for (let each = 0; each < 20; each += 1) await bad.publish('events', bytes(2, each));
    await sleep(100);
    t.is(strict.peers().length, 1);
    for (let each = 0; each < 20 && strict.peers().length > 0; each += 1) {
      await bad.publish('block', bytes(1, each));
      await sleep(20);
    }
    await until(() => strict.peers().length === 0, 'the sender is cut off');
    t.true(seen >= 3, `${seen} messages were seen before the ban`);
    await sleep(500);
    t.is(strict.peers().length, 0, 'and stays away for a while');
  });
}
