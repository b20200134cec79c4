import { existsSync } from 'node:fs';
import {
  mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile,
} from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { X0tError } from '#ledger/errors.ts';
import { dataPaths } from '#node/data-paths.ts';
import { createKeyFile } from '#node/keys.ts';
import type { Token } from '#node/membership/invite-token.ts';
import { JoinAttempt } from '#node/membership/join-attempt.ts';
import { isStopped, joinAsSigner, prepareToJoin } from '#node/membership/join-dir.ts';
import { until } from '#test/p2p/support.ts';
import { host, lateToken, nodeKeys, tokenOf } from '#test/support/join-host.ts';
import { freePorts } from '#test/support/ports.ts';

/** What is left of a join that came to nothing, and what the next one may do with it. */

const optionsFor = (directory: string, token: Token, stopped = new AbortController()) => ({
  directory,
  token,
  config: { api: { port: 0 }, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'] } },
  passphrase: undefined,
  opener: () => Promise.resolve(''),
  tell: () => undefined,
  stopped: stopped.signal,
});

async function refusal(t: ExecutionContext, tried: Promise<unknown>): Promise<X0tError> {
  const error = await t.throwsAsync(tried);
  t.true(error instanceof X0tError, String(error));
  return error as X0tError;
}

test('who was refused for good keeps its keys, and another token goes on with them', async (t) => {
  const one = await host(t);
  const [unknown, withdrawn] = [await tokenOf(one, {}, false), await tokenOf(one)];
  t.is(await one.say('member.withdraw/1', { invite: Uint8Array.fromHex(withdrawn.id) }), 0);
  const late = await lateToken(one);
  await until(() => Date.now() > late.invite.notAfter_ms, 'it is too late');
  const foreign = await tokenOf({ ...one, chain: 'ab'.repeat(32) }, {}, false);
  const cases = [
    ['invite_unknown', unknown],
    ['invite_withdrawn', withdrawn],
    ['invite_expired', late],
    ['foreign_chain', foreign],
  ] as const;
  const directory = join(one.base, 'deep', 'joined');
  const paths = dataPaths(directory);
  const seen = new Set<string>();
  for (const [reason, token] of cases) {
    const error = await refusal(t, prepareToJoin(optionsFor(directory, token)));
    t.like(error, { code: 'join_refused', data: { reason, isFinal: true } });
    t.false('isSent' in error.data);
    t.regex(error.message, /final for this token\. A member may know the keys/);
    seen.add(`${await readFile(paths.key, 'hex')} ${await readFile(paths.peerKey, 'hex')}`);
    t.true(existsSync(paths.join), `${reason}: with the event that the member knows`);
    const file = join(one.base, 'keys', reason, 'me.key');
    const signer = joinAsSigner((attempt) => attempt.file(file, () => createKeyFile(file)), {
      ...optionsFor(directory, token),
    });
    t.like(await refusal(t, signer), { code: 'join_refused', data: { reason } });
    t.true(existsSync(file), `${reason}: the key file`);
  }
  await prepareToJoin(optionsFor(directory, await tokenOf(one)));
  t.true(existsSync(paths.genesis), 'another token does');
  seen.add(`${await readFile(paths.key, 'hex')} ${await readFile(paths.peerKey, 'hex')}`);
  t.is(seen.size, 1, 'with the same keys all the way');
});

test('where nobody was asked nothing is left of the run, but what was there before', async (t) => {
  const base = await mkdtemp(join(tmpdir(), 'x0t-join-'));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  const end = async (attempt: JoinAttempt): Promise<X0tError> => {
    const ended = await attempt.ended(new X0tError('join_no_address', 'No address.'));
    t.true(ended instanceof X0tError);
    return ended as X0tError;
  };
  const file = join(base, 'deep', 'joined', 'me.key');
  const put = (text: string, at = file) => writeFile(at, text);
  const whole = new JoinAttempt();
  await whole.file(file, () => put('a'));
  const error = await end(whole);
  t.is(error.data['isFinal'], true);
  t.regex(error.message, /final for this token, and nothing .* is left/);
  t.deepEqual(await readdir(base), [], 'neither keys nor directories');

  const changed = new JoinAttempt();
  await changed.file(file, () => put('a'));
  await put('b', `${file}.new`);
  await rename(`${file}.new`, file);
  await end(changed);
  t.is(await readFile(file, 'utf8'), 'b', 'the file of somebody else');

  const replacing = new JoinAttempt();
  await rm(file);
  await replacing.file(file, () => put('c'), () => put('before'));
  await end(replacing);
  t.is(await readFile(file, 'utf8'), 'before');

  const sent = new JoinAttempt();
  await rm(file);
  await sent.file(file, () => put('d'));
  sent.missed(new X0tError('join_refused', '', { reason: 'invite_used', isSent: true }));
  const kept = await end(sent);
  t.regex(kept.message, /A member may know the keys/);
  t.is(await readFile(file, 'utf8'), 'd');
});

test('keys that were there before a refused run stay, and another token does', async (t) => {
  const one = await host(t);
  const directory = join(one.base, 'joined');
  await mkdir(directory);
  const used = await tokenOf(one);
  await prepareToJoin(optionsFor(join(one.base, 'faster'), used));
  await until(() => one.node.core.replica.fold.size >= 2, 'the join is final');
  const { key, peerKey } = dataPaths(directory);
  await createKeyFile(key);
  const before = await readFile(key, 'utf8');
  const error = await refusal(t, prepareToJoin(optionsFor(directory, used)));
  t.like(error.data, { reason: 'invite_used', isFinal: true });
  t.is(await readFile(key, 'utf8'), before);
  await prepareToJoin(optionsFor(directory, await tokenOf(one)));
  t.is(await readFile(key, 'utf8'), before, 'the same key, with another token');
  t.true(existsSync(peerKey));
});

test('where nobody can be reached the keys are kept, and the same token goes on', async (t) => {
  t.timeout(300_000);
  const one = await host(t);
  const port = await freePorts(1);
  const addr = one.addrs.find((each) => each.startsWith('/ip4/127.0.0.1/')) ?? '';
  const inner = Number(/\/tcp\/(\d+)\//.exec(addr)?.[1]);
  const token = await tokenOf(one, { addrs: [addr.replace(`/tcp/${inner}/`, `/tcp/${port}/`)] });
  const directory = join(one.base, 'joined');
  const stopped = new AbortController();
  const told: string[] = [];
  const tell = (what: string): void => {
    told.push(what);
    stopped.abort();
  };
  const tried = prepareToJoin({ ...optionsFor(directory, token, stopped), tell });
  t.true(isStopped(await t.throwsAsync(tried)));
  t.deepEqual(told, ['peer_gone']);
  const { key, join: pending } = dataPaths(directory);
  const before = [await readFile(key), await readFile(pending)];

  // now a way to the member is open
  const relay = createServer((socket) => {
    const there = connect(inner, '127.0.0.1');
    socket.on('error', () => there.destroy());
    there.on('error', () => socket.destroy());
    socket.pipe(there).pipe(socket);
  }).listen(port, '127.0.0.1');
  t.teardown(() => relay.close());
  await prepareToJoin(optionsFor(directory, token));
  t.deepEqual([await readFile(key), await readFile(pending)], before, 'the same keys and event');
  t.true(existsSync(dataPaths(directory).genesis));
});

test('keys that a member may have taken are kept, and what may pass is said', async (t) => {
  const one = await host(t);
  const { peer } = await nodeKeys();
  // somebody who takes the connection and says nothing that is understood
  const mute = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.teardown(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  const addrs = [`/ip4/127.0.0.1/tcp/${port}/p2p/${peer}`];
  const late = await tokenOf(one, { addrs, notAfter_ms: Date.now() - 1 }, false);
  const directory = join(one.base, 'joined');
  const error = await refusal(t, prepareToJoin(optionsFor(directory, late)));
  t.is(error.data['isFinal'], false);
  t.regex(error.message, /may pass: the keys are kept/);
  t.true(existsSync(dataPaths(directory).key));

  const unknown = await tokenOf(one, {}, false);
  const file = join(one.base, 'me.key');
  const unsure = joinAsSigner(
    (attempt) => {
      attempt.taken();
      return attempt.file(file, () => createKeyFile(file));
    },
    optionsFor(directory, unknown),
  );
  const kept = await refusal(t, unsure);
  t.like(kept.data, { reason: 'invite_unknown', isFinal: true });
  t.regex(kept.message, /they are kept/);
  t.true(existsSync(file));
});
