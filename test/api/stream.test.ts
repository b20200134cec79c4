import { EventEmitter } from 'node:events';
import test from 'ava';
import { Registry, Counter, Gauge } from 'prom-client';
import type { FinalEvent } from '#ledger/fold.ts';
import { FinalStream, STREAM_LIMITS } from '#node/api/stream.ts';
import type { FinalSource, StreamSink } from '#node/api/stream.ts';
import { systemClock } from '#node/system.ts';
import { signedEvent, startSingleNode, untilFinal } from '#test/support/single-node.ts';
import type { SingleNode } from '#test/support/single-node.ts';

const signing = await startSingleNode();
const entries = await Promise.all([1, 2, 3].map((seq) => signedEvent(signing, seq)));
const finals = entries.map((entry, index): FinalEvent => ({
  seq: index + 1, verdict: 0, entry, commit: 1, ts_ms: 0,
  block: { round: 1, author: 0, id: '00'.repeat(32) },
}));
await signing.close();

const PERMIT = { requestId: 'r', party: 'a', assertHolds: () => undefined };

interface Message {
  readonly id: number;
  readonly data: { readonly seq: number };
}

/**
 * Reads server-sent events until `count` have come, then leaves; the answer is their ids and data.
 */
async function read(url: string, count: number, headers = {}): Promise<Message[]> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(60_000) });
  if (response.status !== 200 || !response.body) throw new Error(await response.text());
  const found: Message[] = [];
  let text = '';
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    const messages = text.split('\n\n');
    text = messages.pop() ?? '';
    for (const message of messages) {
      const [, id, data] = /^id: (\d+)\ndata: (.*)$/.exec(message) ?? [];
      if (id && data) found.push({ id: Number(id), data: JSON.parse(data) });
    }
    if (found.length >= count) break;
  }
  return found;
}

const listen = (node: SingleNode): Promise<string> =>
  node.api.listen({ host: '127.0.0.1', port: 0 });
const write = (node: SingleNode, key: string) =>
  node.core.author('kv.put/1', { key, value: new Uint8Array() }, false);

test('a stream sends what was and what becomes final, and resumes anywhere', async (t) => {
  const node = await startSingleNode();
  t.teardown(() => node.close());
  const url = `${await listen(node)}/v1/log/stream`;
  for (const key of ['a', 'b', 'c']) await write(node, key);
  await untilFinal(node, 3);

  const { headers } = node;
  const reading = read(`${url}?from=1`, 5, headers);
  const fresh = read(url, 2, headers);
  const deadline = Date.now() + 60_000;
  while (!(await openStreams(node, 2)) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await write(node, 'd');
  await write(node, 'e');
  const all = await reading;
  t.deepEqual(all.map(({ id }) => id), [1, 2, 3, 4, 5]);
  t.deepEqual(all.map(({ data }) => data.seq), [1, 2, 3, 4, 5]);
  t.deepEqual((await fresh).map(({ id }) => id), [4, 5]);

  const resumed = await read(`${url}?from=1`, 3, { ...headers, 'last-event-id': '2' });
  t.deepEqual(resumed.map(({ id }) => id), [3, 4, 5]);
});

async function openStreams({ api }: SingleNode, count: number): Promise<boolean> {
  return (await api.inject('/metrics')).body.includes(`\nx0t_stream_clients ${count}\n`);
}

test('streams are bounded, and a bad Last-Event-ID is refused', async (t) => {
  const node = await startSingleNode({ streams: { streams_max: 1 } });
  t.teardown(() => node.close());
  const url = `${await listen(node)}/v1/log/stream`;
  const { headers } = node;
  const wrong = await fetch(url, { headers: { ...headers, 'last-event-id': '-1' } });
  t.is(wrong.status, 400);
  t.is(((await wrong.json()) as { code: string }).code, 'bad_request');

  const first = await fetch(url, { headers });
  t.is(first.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  const second = await fetch(url, { headers });
  t.is(second.status, 503);
  t.is(((await second.json()) as { code: string }).code, 'too_many_streams');
  t.is(second.headers.get('retry-after'), '1');

  await first.body?.cancel();
  const deadline = Date.now() + 60_000;
  while (!(await openStreams(node, 0)) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const third = await fetch(url, { headers });
  t.is(third.status, 200);
  await third.body?.cancel();
});

test('a stopping node ends its streams', async (t) => {
  const node = await startSingleNode();
  const url = `${await listen(node)}/v1/log/stream`;
  const response = await fetch(url, { headers: node.headers });
  const closing = node.close();
  t.regex(await response.text(), /: stopping\n\n$/);
  await closing;
});

test('an idle stream gets heartbeats', async (t) => {
  const node = await startSingleNode({ streams: { heartbeat_ms: 20 } });
  t.teardown(() => node.close());
  const url = `${await listen(node)}/v1/log/stream`;
  const response = await fetch(url, { headers: node.headers });
  let text = '';
  for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    if (text.includes(':\n\n:\n\n')) break;
  }
  // a reader that is late gets more of them at once
  t.regex(text, /^retry: 1000\nid: 0\n\n(:\n\n){2,}:?\n?$/);
});

/** A client that takes `room` writes and then nothing until `drain`. */
class FakeSink extends EventEmitter implements StreamSink {
  readonly written: string[] = [];
  isDestroyed = false;
  room: number;
  constructor(room: number) {
    super();
    this.room = room;
  }

  writeHead(): void {}
  write(text: string): boolean {
    this.written.push(text);
    this.room -= 1;
    return this.room > 0;
  }

  end(text: string): void {
    this.written.push(text);
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

async function streamOver(events: readonly FinalEvent[], slow_ms: number) {
  const registers = [new Registry()];
  const meters = {
    streamClients: new Gauge({ name: 'clients', help: 'clients', registers }),
    slowClients: new Counter({ name: 'slow', help: 'slow', registers }),
  };
  let end = 0;
  let tell: Parameters<FinalSource['onFinal']>[0] = () => undefined;
  const reads: number[] = [];
  const source: FinalSource = {
    finalSeq: () => end,
    at: (seq) => {
      reads.push(seq);
      return events[seq - 1];
    },
    onFinal: (listener) => {
      tell = listener;
      return () => undefined;
    },
  };
  const stream = new FinalStream(source, systemClock, meters, { ...STREAM_LIMITS, slow_ms });
  const grow = (to: number): void => {
    const news = events.slice(end, to);
    end = to;
    tell(news);
  };
  const slow = async () => (await meters.slowClients.get()).values[0]?.value;
  return { stream, grow, reads, slow };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 6000 && !holds(); i++) await pause(10);
}

test('a client that does not read is disconnected and counted; others go on', async (t) => {
  const { stream, grow, slow } = await streamOver(finals, 30);
  const [stuck, well] = [new FakeSink(2), new FakeSink(100)];
  stream.open(stuck, 1, PERMIT);
  stream.open(well, 1, PERMIT);
  grow(3);
  await until(() => stuck.isDestroyed);
  t.true(stuck.isDestroyed);
  t.is(stuck.written.at(-1), ': slow_client\n\n');
  t.is(await slow(), 1);
  t.false(well.isDestroyed);
  t.regex(well.written.join(''), /id: 3\n/);
  stream.stop();
  t.throws(() => stream.assertRoom(PERMIT), { message: /stopping/ });
});

test('one principal does not take all the streams', async (t) => {
  const { stream } = await streamOver(finals, 30);
  const hasRoom = (party: string): boolean => {
    try {
      stream.assertRoom({ party });
      return true;
    } catch {
      return false;
    }
  };
  const sinks: FakeSink[] = [];
  while (hasRoom('a') && sinks.length < 100) {
    const sink = new FakeSink(100);
    sinks.push(sink);
    stream.open(sink, 1, PERMIT);
  }
  t.true(sinks.length > 32 && sinks.length < 64, `${sinks.length}`);
  t.true(hasRoom('b'));
  stream.stop();
});

test('a client that reads in time stays', async (t) => {
  const { stream, grow, slow } = await streamOver(finals, 60_000);
  const sink = new FakeSink(2);
  stream.open(sink, 1, PERMIT);
  grow(1);
  await pause(20);
  sink.room = 100;
  sink.emit('drain');
  grow(3);
  await pause(20);
  t.false(sink.isDestroyed);
  t.is(await slow(), 0);
  t.deepEqual(sink.written.join('').match(/id: \d(?=\ndata)/g), ['id: 1', 'id: 2', 'id: 3']);
  stream.stop();
});

test('news is rendered from memory; only what is older is read from the store', async (t) => {
  const { stream, grow, reads } = await streamOver(finals, 200);
  grow(1);
  const sink = new FakeSink(100);
  stream.open(sink, 1, PERMIT);
  await pause(20);
  grow(3);
  await pause(20);
  t.deepEqual(reads, [1]);
  t.deepEqual(sink.written.join('').match(/id: \d(?=\ndata)/g), ['id: 1', 'id: 2', 'id: 3']);
  stream.stop();
});
