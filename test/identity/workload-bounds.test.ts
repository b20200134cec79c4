import { copyFileSync, mkdtempSync, readFileSync, utimesSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PeerProcess, peerKernel } from '#native/peer-process.ts';
import { Attestor } from '#node/identity/attest.ts';
import { CONNECTIONS_MAX, CallerRoom, partyOf } from '#node/identity/caller-room.ts';
import { HashBudget } from '#node/identity/hash-budget.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { RawClient } from './raw-client.ts';
import { makeRig } from './support.ts';

/** What one user of the machine can take from the others at the socket of the Workload API. */

const OWN_UID = 990;
const MIB = 1024 * 1024;

const nothing = (): void => undefined;

function taken(room: CallerRoom, uid: number, wanted: number, end = nothing): number {
  let count = 0;
  while (count < wanted && room.take(uid, end)) count += 1;
  return count;
}

test('many uids do not fill the socket: who comes next finds a place', (t) => {
  const room = new CallerRoom(OWN_UID);
  let ended = 0;
  t.is(taken(room, 1000, 600, () => (ended += 1)), 64);
  for (let uid = 1001; uid < 1100; uid += 1) {
    t.true(taken(room, uid, 600) > 0, String(uid));
  }
  t.true(ended > 0, 'those who have most make room');
  t.is(taken(room, 2000, 600), 1, 'and who has one gets no other so');
});

test('root and the node have places whatever others hold, and those come back', (t) => {
  const room = new CallerRoom(OWN_UID);
  let others = 0;
  for (let uid = 1000; uid < 1000 + 2 * CONNECTIONS_MAX; uid += 1) others += taken(room, uid, 1);
  t.is(room.take(5000, nothing), undefined, 'everybody has one');
  t.true(others < CONNECTIONS_MAX);
  for (const uid of [0, OWN_UID]) {
    const places = Array.from({ length: 8 }, () => room.take(uid, nothing));
    t.true(places.every((give) => give !== undefined), String(uid));
    t.is(room.take(uid, nothing), undefined);
    places[0]?.();
    places[0]?.();
    t.not(room.take(uid, nothing), undefined);
    t.is(room.take(uid, nothing), undefined, 'given back once');
  }
});

test('the uids that one user has in namespaces are one party', (t) => {
  const room = new CallerRoom(OWN_UID);
  let held = 0;
  for (let uid = 100_000; uid < 165_536; uid += 50) held += taken(room, uid, 1);
  t.is(held, 64);
  t.is(taken(room, 1000, 64), 64);
  t.is(taken(room, 165_536, 1), 1, 'the next user');
  t.is(partyOf(99_999), '99999');
  t.is(partyOf(100_000), partyOf(165_535));
  t.not(partyOf(165_536), partyOf(165_535));
});

/** Codes of calls one after the other; no time passes, so that nothing is given back. */
async function codesOf(
  t: ExecutionContext,
  count: number,
  call: (raw: RawClient) => Promise<number | undefined>,
) {
  const rig = await makeRig({ clock: new VirtualClock(Date.now()) });
  t.teardown(() => rig.stop());
  const raw = new RawClient(rig.socket);
  t.teardown(() => raw.close());
  const codes: (number | undefined)[] = [];
  for (let i = 0; i < count; i++) codes.push(await call(raw));
  return { codes, rig };
}

test('calls without the header cost their uid as much as others', async (t) => {
  const call = async (raw: RawClient) => (await raw.first('ValidateJWTSVID', {}, '')).code;
  const { codes } = await codesOf(t, 201, call);
  t.is(codes[0], status.INVALID_ARGUMENT);
  // one of the 200 was the connection
  t.is(codes.indexOf(status.UNAVAILABLE), 199);
});

test('calls of unknown methods cost as much, and then the connection', async (t) => {
  const { codes, rig } = await codesOf(t, 199, (raw) => raw.unknown('/Other/Call'));
  t.true(codes.every((code) => code === status.UNIMPLEMENTED));
  const raw = new RawClient(rig.socket);
  t.teardown(() => raw.close());
  t.is(await raw.unknown('/Other/Call'), status.UNAVAILABLE);
  t.true(rig.refused.includes('workload_busy'));
});

test('what is no gRPC costs as much', async (t) => {
  const rig = await makeRig({ clock: new VirtualClock(Date.now()) });
  t.teardown(() => rig.stop());
  const session = connectHttp2('http://localhost', {
    createConnection: () => connect(rig.socket),
  });
  session.on('error', () => undefined);
  let answers = 0;
  const closed = once(session, 'close');
  for (let i = 0; i < 300 && !session.destroyed; i++) {
    const sent = session.request({ ':method': 'POST', ':path': '/SpiffeWorkloadAPI/FetchJWTSVID' });
    sent.on('error', () => undefined).on('response', () => (answers += 1));
    sent.resume().end();
    await once(sent, 'close').catch(() => undefined);
  }
  await closed;
  t.is(answers, 199);
});

test('who calls on although told to wait loses the connection', async (t) => {
  const call = async (raw: RawClient) => (await raw.first('ValidateJWTSVID')).code;
  const { codes, rig } = await codesOf(t, 199 + 64, call);
  t.is(codes.filter((code) => code === status.UNAVAILABLE).length, 64);
  t.is(rig.server.connections, 1);
  const raw = new RawClient(rig.socket);
  t.teardown(() => raw.close());
  t.is(await call(raw), status.UNAVAILABLE);
  t.is(rig.server.connections, 1, 'a new one is not taken either');
});

test('a party hashes a gibibyte at once, then 16 MiB a second', (t) => {
  const now = { ms: 0 };
  const budget = new HashBudget({ monotonic_ms: () => now.ms }, 2);
  const large = 512 * MIB;
  t.deepEqual([1, 2, 3].map(() => budget.take('1000', large)), [true, true, false]);
  t.true(budget.take('1001', large), 'others have their own');
  now.ms += 1000;
  t.true(budget.take('1000', large), 'all of it, on credit');
  now.ms += 30_000;
  t.false(budget.take('1000', 1));
  now.ms += 2000;
  t.true(budget.take('1000', 1));
  const small = Array.from({ length: 1100 }, () => budget.take('1002', 1));
  t.is(small.filter(Boolean).length, 1024, 'each file costs something');
});

test('a program that is touched again and again is not hashed again and again', async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'x0t-')), 'program');
  copyFileSync('/bin/sleep', path);
  const child = spawn(path, ['600']);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  while (!readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').startsWith(path)) await sleep(5);
  const real = peerKernel();
  const pid = child.pid ?? 0;
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const credentials = () => ({ pid, uid, gid });
  const kernel = { ...real, credentials, pidfdOfPeer: () => undefined };
  const caller = new PeerProcess(0, kernel);
  t.teardown(() => caller.close());
  const attestor = new Attestor(new VirtualClock(0));
  const codes: string[] = [];
  while (codes.length < 1030 && codes.at(-1) !== 'workload_busy') {
    utimesSync(path, codes.length + 1, 1);
    codes.push(await codeOfPromise(attestor.facts(caller, true)));
  }
  t.is(codes.length, 1025);
  t.is((await attestor.facts(caller, false)).pid, pid, 'other facts are told');
});

test('processes of one program that come together have it hashed once', async (t) => {
  const real = peerKernel();
  const credentials = () => ({ pid: process.pid, uid: process.getuid?.() ?? 0, gid: 0 });
  const changes = { credentials: () => ({ ...credentials(), gid: process.getgid?.() ?? 0 }) };
  const caller = new PeerProcess(0, { ...real, ...changes, pidfdOfPeer: () => undefined });
  t.teardown(() => caller.close());
  const attestor = new Attestor(new VirtualClock(0));
  // Node's own program has more than 80 MiB: forty times that is beyond what one may have hashed
  const all = await Promise.all(Array.from({ length: 40 }, () => attestor.facts(caller, true)));
  t.is(new Set(all.map(({ sha256 }) => sha256)).size, 1);
  t.is(typeof all[0]?.sha256, 'string');
});
