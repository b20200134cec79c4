import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { X0tError } from '#ledger/errors.ts';
import { keyId } from '#ledger/cose.ts';
import { inviteId } from '#ledger/invite.ts';
import type { Invite } from '#ledger/invite.ts';
import { createNodeKeys, dataPaths, finishDataDir } from '#node/data-dir.ts';
import type { NodeKeys } from '#node/data-dir.ts';
import { inviteAhead } from '#node/membership/invite-ahead.ts';
import { makeToken, oneTimeKey, readToken } from '#node/membership/invite-token.ts';
import type { Token } from '#node/membership/invite-token.ts';
import { pendingOf, prepareToJoin } from '#node/membership/join-dir.ts';
import { writePendingJoin } from '#node/membership/join-file.ts';
import type { PendingJoin } from '#node/membership/join-file.ts';
import { askToJoin } from '#node/membership/joiner.ts';
import { signStatement } from '#governance/participant.ts';
import { startNode } from '#node/node.ts';
import { host, lateToken, nodeKeys, quiet, tokenOf } from '#test/support/join-host.ts';
import type { Host } from '#test/support/join-host.ts';
import { until } from '#test/p2p/support.ts';

/** What a member answers to those who ask to join: each refusal by its code, and counted. */

async function answerOnce(pending: PendingJoin, peerKey: Uint8Array): Promise<string> {
  try {
    return (await askToJoin(pending, peerKey)).state;
  } catch (error) {
    if (!(error instanceof X0tError)) throw error;
    return String(error.data['reason'] ?? error.code);
  }
}

/**
 * What the member says: a state, or why not. It is asked again where the connection did not come
 * about, as a node does: both sides are in this process, which may be held up.
 */
async function answer(pending: PendingJoin, peerKey: Uint8Array): Promise<string> {
  let said = await answerOnce(pending, peerKey);
  for (let i = 0; i < 10 && said === 'peer_gone'; i++) said = await answerOnce(pending, peerKey);
  return said;
}

const joins = ({ node }: Host, code: string): number =>
  node.network.status().counters.joins_total[code] ?? 0;

test('one invite, one member: used, expired, withdrawn and unknown ones are refused', async (t) => {
  const one = await host(t);
  const [good, back, late, secret] = [
    await tokenOf(one),
    await tokenOf(one),
    await lateToken(one),
    await tokenOf(one, {}, false),
  ];
  t.is(await one.say('member.withdraw/1', { invite: Uint8Array.fromHex(back.id) }), 0);
  const [ann, ben] = [await nodeKeys(), await nodeKeys()];
  const ask = async (token: Token, who: NodeKeys) =>
    answer(await pendingOf(token, who, who), who.peerKey);

  const before = one.node.core.replica.fold.size;
  const first = await pendingOf(good, ann, ann);
  t.is(await answer(first, ann.peerKey), 'accepted');
  await until(() => one.node.core.replica.fold.size > before, 'the join is final');
  t.is(await answer(first, ann.peerKey), 'member', 'the same again changes nothing');
  const size = one.node.core.replica.fold.size;
  await until(() => Date.now() > late.invite.notAfter_ms, 'it is too late');
  const foreign = await tokenOf({ ...one, chain: 'ab'.repeat(32) }, {}, false);
  const cases = [
    ['invite_used', good],
    ['invite_withdrawn', back],
    ['invite_expired', late],
    ['invite_unknown', secret],
    ['foreign_chain', foreign],
  ] as const;
  for (const [code, token] of cases) {
    t.is(await ask(token, ben), code);
    t.is(joins(one, code), 1, `${code} is counted`);
  }
  t.is(one.node.core.replica.fold.size, size, 'nothing of it is in the log');
  t.is(one.node.core.replica.pool.size, 0);
});

test('a node speaks for itself alone, with proofs that hold', async (t) => {
  const one = await host(t);
  const token = await tokenOf(one);
  const [ann, eve] = [await nodeKeys(), await nodeKeys()];
  const stolen = await pendingOf(token, ann, ann);
  t.is(await answer(stolen, eve.peerKey), 'pair_differs', 'who saw the event cannot use it');
  const mixed = await pendingOf(token, eve, { peer: ann.peer, peerKey: eve.peerKey });
  t.is(await answer(mixed, ann.peerKey), 'member_proof_invalid');
  const other = await tokenOf(one);
  const forged = await pendingOf({ ...token, key: other.key }, eve, eve);
  t.is(await answer(forged, eve.peerKey), 'invite_unknown');
  const spoiled = structuredClone(stolen) as { message: PendingJoin['message'] };
  const { entry } = spoiled.message.join;
  entry[entry.length - 1] = (entry.at(-1) ?? 0) ^ 1;
  t.is(await answer({ ...stolen, message: spoiled.message }, ann.peerKey), 'bad_event_signature');
  const kv = await signStatement(ann, {
    chain: one.chain, lane: 0, seq: 1, kind: 'kv.put/1', wall_ms: Date.now(),
    body: { key: 'k', value: new Uint8Array(1) },
  });
  const message = { chain: one.chain, join: { entry: kv.bytes, coseKey: ann.coseKey } };
  t.is(await answer({ message, addrs: stolen.addrs }, ann.peerKey), 'unknown_kind');
  t.is(one.node.core.replica.pool.size, 0);
  t.is(await answer(stolen, ann.peerKey), 'accepted', 'the invite is still good');
});

test('a token that was changed anywhere is none', async (t) => {
  const one = await host(t);
  const seed = crypto.getRandomValues(new Uint8Array(32));
  const key = keyId(oneTimeKey(seed).coseKey);
  const invite: Invite = {
    chain: one.chain, issuer: one.operator.actor, key, roles: ['observer'], labels: ['a=b'],
    capabilities: [], addrs: one.addrs.slice(0, 8), notAfter_ms: Date.now() + 60_000,
  };
  const text = await makeToken(invite, seed, one.operator);
  t.is((await readToken(`${text}\n`)).id, inviteId(invite));
  for (let at = 14; at < text.length; at += Math.floor(text.length / 40)) {
    const letter = text[at] === 'A' ? 'B' : 'A';
    const changed = text.slice(0, at) + letter + text.slice(at + 1);
    await t.throwsAsync(readToken(changed), { code: 'invite_malformed' }, `at ${at}`);
  }
  for (const wrong of ['', text.slice(0, -5), text.slice(5), `${text}AAAA`, 'x0t-invite-1.']) {
    await t.throwsAsync(readToken(wrong), { code: 'invite_malformed' });
  }
});

test('a directory left half made goes on; a node with a key of another is refused', async (t) => {
  t.timeout(300_000);
  const one = await host(t);
  const token = await tokenOf(one, { labels: ['site=x'] });
  const directory = join(one.base, 'joined');
  // killed after its keys and its event were written
  const keys = await createNodeKeys(directory);
  await writePendingJoin(directory, await pendingOf(token, keys, keys));
  const config = { api: { port: 0 }, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'] } };
  const told: string[] = [];
  const options = {
    directory, token, config: { ...config, crypto: { workers: 0 } }, passphrase: undefined,
    opener: () => Promise.resolve(''), tell: (what: string) => void told.push(what),
    stopped: new AbortController().signal,
  };
  t.is((await prepareToJoin(options)).actor, keys.actor);
  t.deepEqual(told, ['accepted']);
  t.is((await prepareToJoin(options)).actor, keys.actor, 'once more changes nothing');
  const joined = await startNode({ directory, log: quiet });
  t.teardown(() => joined.stop());
  await until(() => joined.status().membership === 'active', 'it is active');
  t.like(joined.joining().member, { labels: ['site=x'], peer: keys.peer });
  await joined.stop();

  const thief = join(one.base, 'thief');
  await createNodeKeys(thief);
  await finishDataDir(thief, one.node.core.chain.genesisBytes, {
    ...config, p2p: { ...config.p2p, bootstrap: one.addrs },
  });
  const stranger = await startNode({ directory: thief, log: quiet });
  t.teardown(() => stranger.stop());
  const hellos = (code: string) => one.node.network.status().counters.hellos_total[code] ?? 0;
  await until(() => hellos('not_on_ledger') > 0, 'it is refused');
  t.deepEqual(stranger.network.peers(), []);
  t.is(stranger.status().membership, 'none');
  await stranger.stop();

  // a member's libp2p key with another's signing key
  await copyFile(dataPaths(directory).peerKey, dataPaths(thief).peerKey);
  const impostor = await startNode({ directory: thief, log: quiet });
  t.teardown(() => impostor.stop());
  await until(() => hellos('pair_differs') > 0, 'it is refused, too');
  t.deepEqual(impostor.network.peers(), []);
  await impostor.stop();
});

test('who was invited ahead hands over the invite too, and only that', async (t) => {
  t.timeout(300_000);
  const one = await host(t);
  const node = await nodeKeys();
  const ahead = {
    chain: one.chain, operator: one.operator, node, roles: ['auditor'] as const,
    addrs: one.addrs.slice(0, 8), seq: 0,
  };
  const pending = await inviteAhead(ahead);
  t.is(await answer(pending, node.peerKey), 'invited');
  await until(() => one.node.core.replica.fold.size === 1, 'the invite is final');
  t.is(await answer(pending, node.peerKey), 'accepted');
  const own = await inviteAhead({ ...ahead, operator: node, node: await nodeKeys() });
  t.is(await answer({ ...own, message: { ...own.message } }, node.peerKey), 'pair_differs');
});
