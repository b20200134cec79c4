import { EventEmitter } from 'node:events';
import type { Server } from 'node:net';
import test from 'ava';
import { shareConnections } from '#node/api/connections.ts';
import { ConnectionPlaces, networksOf } from '#node/connection-places.ts';
import type { Place } from '#node/connection-places.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';

/** Strangers, however many networks they have, take no place from who comes to prove itself. */

const MAX = 1024;

class FakeSocket extends EventEmitter {
  static #port = 0;
  readonly remotePort = (FakeSocket.#port += 1);
  readonly localAddress = '192.0.2.1';
  readonly localPort = 8420;
  readonly remoteAddress: string;
  destroyed = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
}

type FakeServer = EventEmitter & Pick<Server, 'maxConnections'>;

interface Bench {
  readonly server: FakeServer;
  /** A connection from an address, after a tenth of a second. */
  readonly connect: (address: string) => Promise<FakeSocket>;
  /** A connection on which a request has shown who calls. */
  readonly prove: (address: string) => Promise<FakeSocket>;
  readonly placeOf: (socket: FakeSocket | undefined) => { underWay: number };
}

function bench(): Bench {
  const server = new EventEmitter() as FakeServer;
  const clock = new VirtualClock(0);
  const places = new Map<unknown, Place>();
  const options = { max: MAX, rate: { perSecond: 100, burst: 500 }, clock };
  ConnectionPlaces.guard(server as never, options, (place) => places.set(place.socket, place));
  const connect = async (address: string) => {
    await clock.run(100);
    const socket = new FakeSocket(address);
    server.emit('connection', socket);
    return socket;
  };
  const prove = async (address: string) => {
    const socket = await connect(address);
    const place = places.get(socket);
    if (place) place.isProved = true;
    return socket;
  };
  const placeOf = (socket: FakeSocket | undefined) => places.get(socket) as Place;
  return { server, connect, prove, placeOf };
}

const hex = (n: number) => n.toString(16);
const site = (i: number, link = 0) => `2001:db8:${hex(i)}:${hex(link)}::1`;
const openOf = (all: readonly FakeSocket[]) => all.filter(({ destroyed }) => !destroyed);

async function fill(connect: Bench['connect'], addressOf: (i: number) => string) {
  const all = [];
  for (let i = 0; i < MAX; i++) all.push(await connect(addressOf(i)));
  return all;
}

test('where all places are taken a newcomer gets that of the oldest stranger', async (t) => {
  const { server, connect, prove } = bench();
  t.true(server.maxConnections > MAX, 'newcomers are seen');
  const kept = [await prove('198.51.100.1'), await prove('198.51.100.2')];
  const strangers = await fill(connect, (i) => site(i));
  t.is(openOf(strangers).length, MAX - 2);
  const newcomer = await prove('203.0.113.1');
  t.false(newcomer.destroyed);
  const next = await connect('198.51.100.1');
  t.deepEqual([next, ...kept].map((one) => one.destroyed), [false, false, false]);
  t.true(strangers.slice(0, 4).every((one) => one.destroyed));
  t.is(openOf(strangers).length, MAX - 4);
});

test('an idle stranger goes first, then an asking one, nobody who proved itself', async (t) => {
  const { connect, prove, placeOf } = bench();
  const kept = await prove('198.51.100.1');
  const strangers = await fill(connect, (i) => site(i));
  const held = openOf(strangers);
  for (const one of held) placeOf(one).underWay += 1;
  const late = await connect('203.0.113.1');
  t.false(late.destroyed, 'who asks without proof and reads no answer holds no place');
  t.true(held[0]?.destroyed);
  placeOf(held[9]).underWay -= 1;
  const next = await connect('203.0.113.2');
  t.deepEqual([next, late, kept].map((one) => one.destroyed), [false, false, false]);
  t.true(held[9]?.destroyed, 'rather the oldest that is idle');
  t.false(held[1]?.destroyed);
});

test('one site with all its networks has one share, which it takes from itself', async (t) => {
  const { connect, prove } = bench();
  const kept = await prove('198.51.100.1');
  const before = await connect('203.0.113.1');
  const flood = await fill(connect, (i) => site(7, i * 64));
  t.true(openOf(flood).length < 0.7 * MAX, `${openOf(flood).length}`);
  t.false(before.destroyed || kept.destroyed);
  t.false(flood.at(-1)?.destroyed, 'its own newcomers are let in for its oldest');
  t.true(flood[0]?.destroyed);
});

test('who has proved itself everywhere is ended for nobody', async (t) => {
  const { connect, prove } = bench();
  const all = [];
  for (let i = 0; i < MAX; i++) all.push(await prove(site(i)));
  t.is(openOf(all).length, MAX);
  t.true((await connect('203.0.113.1')).destroyed);
  t.is(openOf(all).length, MAX);
});

test('new connections of a network have a rate, at each size of it', async (t) => {
  const server = new EventEmitter();
  const clock = new VirtualClock(0);
  shareConnections(server as never, clock);
  const flood = (count: number, addressOf: (i: number) => string): number => {
    let taken = 0;
    for (let i = 0; i < count; i++) {
      const socket = new FakeSocket(addressOf(i));
      server.emit('connection', socket);
      if (!socket.destroyed) taken += 1;
      socket.destroy();
    }
    return taken;
  };
  t.is(flood(600, () => '203.0.113.1'), 500);
  t.is(flood(600, () => '203.0.113.2'), 500, 'another address');
  await clock.run(1000);
  t.is(flood(600, () => '203.0.113.1'), 100);
  t.is(flood(3000, (i) => site(7, i)), 2000, 'a site');
  t.is(flood(3000, (i) => site(8, i % 256)), 1000, 'a customer');
  t.is(flood(3000, (i) => `2001:9::${i + 1}`), 500, 'a link');
  t.is(flood(3000, () => site(9)), 500, 'one link');
  t.is(flood(3000, (i) => site(9, 1 + (i % 255))), 500, 'its customer has what it has left');
  t.is(flood(600, () => site(9, 256)), 500, 'and so has its site');
  t.is(flood(3000, (i) => `::ffff:127.0.0.${(i % 250) + 1}`), 3000, 'this machine');
});

test('an address counts for networks of three sizes', (t) => {
  const link = '2001:db8:1:1203';
  t.deepEqual(networksOf(`${link}::9`), ['2001:db8:1/48', '2001:db8:1:12/56', link]);
  t.deepEqual(networksOf('fe80::1%eth0'), ['fe80:0:0/48', 'fe80:0:0:0/56', 'fe80:0:0:0']);
  t.deepEqual(networksOf('192.0.2.1'), ['192.0.2.1']);
  t.deepEqual(networksOf('::1'), ['loopback']);
  t.deepEqual(networksOf(undefined), ['']);
});
