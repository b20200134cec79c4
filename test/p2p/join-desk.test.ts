import type { Connection, Stream } from '@libp2p/interface';
import test from 'ava';
import { Counters } from '#p2p/counters.ts';
import { DATA } from '#p2p/frames.ts';
import { hostOf } from '#p2p/host-of.ts';
import { JoinDesk } from '#p2p/join.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { silentLog } from './support.ts';

/** What strangers can do to the join desk; streams are stand-ins that only this test moves. */

class HandStream extends EventTarget {
  status = 'open';
  readStatus = 'readable';
  remoteWriteStatus = 'writable';
  readBufferLength = 0;
  writableNeedsDrain = false;
  readonly sent: Uint8Array[] = [];

  send(bytes: Uint8Array): boolean {
    this.sent.push(bytes);
    return true;
  }

  abort(error: Error): void {
    this.status = 'aborted';
    this.dispatchEvent(Object.assign(new Event('close'), { error }));
  }

  close(): Promise<void> {
    this.status = 'closing';
    return Promise.resolve();
  }

  ask(): void {
    const data = Uint8Array.of(0, 0, 0, 2, DATA, 7);
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }
}

function rig() {
  const clock = new VirtualClock(Date.UTC(2030, 0, 1));
  const counters = new Counters();
  const desk = new JoinDesk({
    clock,
    log: silentLog,
    counters,
    penalise: () => undefined,
    handler: (message) => Promise.resolve(message),
  });
  const visit = (host: string): HandStream => {
    const stream = new HandStream();
    const connection = { remotePeer: 'someone', remoteAddr: `${host}/tcp/4001` };
    void desk.serve(stream as unknown as Stream, connection as unknown as Connection);
    return stream;
  };
  const joins = () => counters.snapshot().joins_total;
  return { clock, visit, joins };
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('one host that opens streams and says nothing does not shut out another', async (t) => {
  const { visit } = rig();
  const idle = Array.from({ length: 40 }, () => visit('/ip4/192.0.2.1'));
  await turn();
  t.true(idle.some(({ status }) => status === 'aborted'), 'busy ones are reset at once');
  const honest = visit('/ip4/192.0.2.2');
  honest.ask();
  await turn();
  t.deepEqual(honest.sent, [Uint8Array.of(0, 0, 0, 2, DATA, 7)]);
});

test('who says nothing loses its place after two seconds, who lingers at once', async (t) => {
  const { clock, visit, joins } = rig();
  const idle = Array.from({ length: 20 }, () => visit('/ip4/192.0.2.1'));
  await turn();
  t.is(visit('/ip4/192.0.2.1').status, 'aborted');
  t.true(idle.every(({ status }) => status === 'open'));
  await clock.run(2_100);
  await turn();
  t.is(joins()['join_timeout'], 20);
  const again = Array.from({ length: 8 }, () => visit('/ip4/192.0.2.1'));
  for (const one of again) one.ask();
  await turn();
  // answered, and none of them has closed its side
  t.is(joins()['ok'], 8);
  t.is(visit('/ip4/192.0.2.1').status, 'open');
});

test('many hosts that ask as fast as they may keep out nobody', async (t) => {
  const { visit, joins } = rig();
  for (let i = 0; i < 40; i++) {
    for (let j = 0; j < 4; j++) visit(`/ip4/198.51.100.${i}`).ask();
    await turn();
  }
  const honest = visit('/ip4/192.0.2.2');
  honest.ask();
  await turn();
  t.is(honest.sent.length, 1);
  t.is(joins()['join_busy'], undefined);
});

test('who goes on to send after its answer is cut off', async (t) => {
  const { visit } = rig();
  const stream = visit('/ip4/192.0.2.1');
  stream.ask();
  await turn();
  t.is(stream.sent.length, 1);
  const frame = new Uint8Array(5 + 16 * 1024);
  new DataView(frame.buffer).setUint32(0, 1 + 16 * 1024);
  let sent = 0;
  for (; sent < 20 && stream.status === 'closing'; sent++) {
    stream.dispatchEvent(Object.assign(new Event('message'), { data: frame }));
    await turn();
  }
  t.is(stream.status, 'aborted');
  t.true(sent <= 7, `${sent}`);
});

test('hosts are told apart by address, of IPv6 by network', (t) => {
  t.is(hostOf('/ip4/192.0.2.7/tcp/1'), '/ip4/192.0.2.7');
  t.is(hostOf('/ip6/2001:db8::1/tcp/1'), hostOf('/ip6/2001:db8:0:0:1::2/tcp/1'));
  t.not(hostOf('/ip6/2001:db8::1/tcp/1'), hostOf('/ip6/2001:db8:0:1::1/tcp/1'));
  t.is(hostOf('/ip6zone/eth0/ip6/fe80::1/tcp/1'), '/ip6/fe80:0:0:0');
});
