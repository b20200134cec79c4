import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, openSync, readFileSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { fail } from '#ledger/errors.ts';
import { PeerProcess, peerKernel } from '#native/peer-process.ts';
import type { PeerKernel } from '#native/peer-process.ts';
import { Attestor } from '#node/identity/attest.ts';
import { fits, needsDigest } from '#node/identity/entries.ts';
import { systemClock } from '#node/system.ts';
import { parseEntry } from '#projections/identity-entries.ts';
import { codeIn } from '#test/support/codes.ts';
import { refusalIn, refusalOf } from './rules.ts';
import { ownEntry } from './support.ts';

/** Callers of the socket: who they are, and those that are not who they seem. */

const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;
const real = peerKernel();

const fdOf = (socket: Socket): number =>
  (socket as Socket & { readonly _handle: { readonly fd: number } })._handle.fd;

/** A kernel that says that `pid` is connected, and may know less than the real one. */
function kernelFor(pid: number, changes: Partial<PeerKernel> = {}): PeerKernel {
  const credentials = (): { pid: number; uid: number; gid: number } => ({ pid, uid, gid });
  return { ...real, credentials, pidfdOfPeer: () => undefined, ...changes };
}

/** A running program of its own, that a test may replace or end. */
async function run(t: ExecutionContext): Promise<{ child: ChildProcess; path: string }> {
  const path = join(mkdtempSync(join(tmpdir(), 'x0t-')), 'program');
  copyFileSync('/bin/sleep', path);
  const child = spawn(path, ['60']);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  // until the kernel has exec'ed it, it is a copy of this process
  while (!readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').startsWith(path)) await sleep(5);
  return { child, path };
}

/** A process that connects to a socket, as the server sees it. */
async function connected(t: ExecutionContext): Promise<{ child: ChildProcess; socket: Socket }> {
  const path = join(mkdtempSync(join(tmpdir(), 'x0t-')), 's');
  // not read from, so that it stays open when the other end has gone
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(path);
  const script = `require('net').connect(${JSON.stringify(path)}); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['-e', script]);
  t.teardown(() => {
    child.kill('SIGKILL');
    server.close();
  });
  const [socket] = (await once(server, 'connection')) as [Socket];
  return { child, socket };
}

test('the kernel says who has connected', async (t) => {
  const { child, socket } = await connected(t);
  const caller = new PeerProcess(fdOf(socket), real);
  t.deepEqual(caller.credentials, { pid: child.pid ?? 0, uid, gid });
  t.true(caller.isAlive);
  caller.close();
  caller.close();
  t.false(caller.isAlive);
});

test('a caller that has exited is gone, though its socket may live on', async (t) => {
  const { child, socket } = await connected(t);
  const caller = new PeerProcess(fdOf(socket), real);
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.false(caller.isAlive);
  t.is(await refusalOf(new Attestor(systemClock).facts(caller, false)), 'caller_gone');
  t.is(codeIn(() => new PeerProcess(fdOf(socket), real)), 'caller_gone');
});

test('a kernel without SO_PEERPIDFD: a caller that has exited is gone', async (t) => {
  const { child } = await run(t);
  const caller = new PeerProcess(0, kernelFor(child.pid ?? 0));
  t.is(caller.guard, 'start-time');
  t.true(caller.isAlive);
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.false(caller.isAlive);
});

test('a pid that another process has meanwhile is not the caller', async (t) => {
  let start = '1000';
  const kernel = kernelFor(process.pid, {
    pidfdOfPid: () => undefined,
    startOf: () => start,
  });
  const caller = new PeerProcess(0, kernel);
  const attestor = new Attestor(systemClock);
  t.is((await attestor.facts(caller, false)).pid, process.pid);
  start = '2000';
  t.is(await refusalOf(attestor.facts(caller, false)), 'caller_gone');
});

test('a pid that is reused while its facts are read gives none of them', async (t) => {
  const answers = ['1000', '1000', '1000', '2000'];
  const kernel = kernelFor(process.pid, {
    pidfdOfPid: () => undefined,
    startOf: () => (answers.length > 1 ? answers.shift() : answers[0]),
  });
  const caller = new PeerProcess(0, kernel);
  t.is(await refusalOf(new Attestor(systemClock).facts(caller, false)), 'caller_gone');
});

test('only a kernel that has no descriptors of peers is asked in another way', async (t) => {
  // ENOTSOCK here; of a peer that has ended ESRCH or EINVAL
  t.is(codeIn(() => real.pidfdOfPeer(openSync('/dev/null', 'r'))), 'caller_gone');
  const kernel = kernelFor(process.pid, {
    pidfdOfPeer: () => fail('caller_gone', 'the process that connected has ended'),
  });
  t.is(codeIn(() => new PeerProcess(0, kernel)), 'caller_gone');
  const { socket } = await connected(t);
  const fd = real.pidfdOfPeer(fdOf(socket));
  t.true(fd === undefined || fd > 2);
  if (fd !== undefined) real.close(fd);
});

test('a caller of whom the kernel knows nothing is refused', (t) => {
  t.is(codeIn(() => new PeerProcess(openSync('/dev/null', 'r'), real)), 'caller_unknown');
});

test('a caller that runs under other ids than it connected with is refused', async (t) => {
  const other = kernelFor(process.pid, {
    credentials: () => ({ pid: process.pid, uid: uid + 1, gid }),
  });
  const facts = new Attestor(systemClock).facts(new PeerProcess(0, other), false);
  t.is(await refusalOf(facts), 'caller_changed');
});

test('path and digest are those of the program that runs', async (t) => {
  const { child, path } = await run(t);
  const caller = new PeerProcess(0, kernelFor(child.pid ?? 0));
  const attestor = new Attestor(systemClock);
  const sha256 = createHash('sha256').update(readFileSync('/bin/sleep')).digest('hex');
  t.deepEqual(await attestor.facts(caller, true), { pid: child.pid ?? 0, uid, gid, path, sha256 });
  t.false('sha256' in (await attestor.facts(caller, false)));
});

test('a program that was replaced gives no path, and its own digest', async (t) => {
  const { child, path } = await run(t);
  const caller = new PeerProcess(0, kernelFor(child.pid ?? 0));
  copyFileSync('/bin/ls', `${path}.new`);
  renameSync(`${path}.new`, path);
  const facts = await new Attestor(systemClock).facts(caller, true);
  t.false('path' in facts);
  t.is(facts.sha256, createHash('sha256').update(readFileSync('/bin/sleep')).digest('hex'));
});

test('all selectors of an entry must fit, and what is not known fits none', (t) => {
  const sha256 = 'a'.repeat(64);
  const entry = parseEntry(
    ownEntry({
      selectors: ['unix:uid:7', 'unix:gid:8', 'unix:path:/usr/bin/db', `unix:sha256:${sha256}`],
    }),
  );
  const facts = { pid: 1, uid: 7, gid: 8, path: '/usr/bin/db', sha256 };
  t.true(fits(entry, facts));
  t.false(fits(entry, { ...facts, uid: 0 }));
  t.false(fits(entry, { ...facts, gid: 7 }));
  t.false(fits(entry, { ...facts, path: '/usr/bin/db2' }));
  t.false(fits(entry, { ...facts, sha256: 'b'.repeat(64) }));
  t.false(fits(entry, { pid: 1, uid: 7, gid: 8, path: '/usr/bin/db' }));
  t.true(needsDigest(entry, { pid: 1, uid: 7, gid: 8, path: '/usr/bin/db' }));
  t.false(needsDigest(entry, { pid: 1, uid: 9, gid: 8, path: '/usr/bin/db' }));
});

test('entries that do not hold are refused', (t) => {
  const refused = (changes: Parameters<typeof ownEntry>[0]): string =>
    refusalIn(() => parseEntry(ownEntry(changes)));
  t.is(refused({}), 'taken');
  t.is(refused({ spiffeId: 'spiffe://example.org' }), 'entry_invalid: path');
  t.is(refused({ spiffeId: 'spiffe://example.org/../x' }), 'spiffe_id_invalid: dot_segment');
  t.is(refused({ selectors: [] }), 'entry_invalid: selectors');
  const wrong = [
    'uid:1', 'unix:uid:', 'unix:uid:-1', 'unix:uid:01', 'unix:uid:4294967295', 'unix:user:root',
    'unix:path:bin/db', 'unix:path:/usr/../db', 'unix:path:/usr//db', 'unix:path:/db/',
    'unix:sha256:AB', `unix:sha256:${'A'.repeat(64)}`,
  ];
  for (const selector of wrong) {
    t.is(refused({ selectors: [selector] }), 'entry_invalid: selector', selector);
  }
  t.is(refused({ x509Ttl_s: 1 }), 'entry_invalid: x509Ttl_s');
  t.is(refused({ jwtTtl_s: 1e9 }), 'entry_invalid: jwtTtl_s');
  t.is(refused({ hint: 'x'.repeat(129) }), 'entry_invalid: hint');
  t.regex(refused({ federatesWith: ['A'] }), /^spiffe_id_invalid/);
});
