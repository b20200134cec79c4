import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { openChain } from '#ledger/chain.ts';
import { keyId } from '#ledger/cose.ts';
import type { Invite } from '#ledger/invite.ts';
import { signStatement } from '#governance/participant.ts';
import { generatePeerKey, peerNameOf } from '#p2p/index.ts';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import type { NodeKeys } from '#node/data-dir.ts';
import { makeToken, oneTimeKey, readToken } from '#node/membership/invite-token.ts';
import type { Token } from '#node/membership/invite-token.ts';
import { startNode } from '#node/node.ts';
import type { Node } from '#node/node.ts';
import { makeActor } from './cluster.ts';
import type { TestActor } from './cluster.ts';

export const quiet = pino({ level: 'silent' });

/** A member that lets others in, and the operator of its network. */
export interface Host {
  readonly base: string;
  readonly node: Node;
  readonly operator: TestActor;
  readonly addrs: readonly string[];
  readonly chain: string;
  /** Signs and submits as the operator; resolves when it is final. */
  readonly say: (kind: string, body: object) => Promise<number | undefined>;
}

/** A network of one node on loopback; it ends with the test. */
export async function host(t: ExecutionContext): Promise<Host> {
  const base = await mkdtemp(join(tmpdir(), 'x0t-join-'));
  const directory = join(base, 'host');
  const keys = await createNodeKeys(directory);
  const operator = await makeActor();
  const genesis = makeGenesis('join', [keys], [operator.actor], Date.now());
  const config = { api: { port: 0 }, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'] } };
  await finishDataDir(directory, genesis, { ...config, crypto: { workers: 0 } });
  const node = await startNode({ directory, log: quiet });
  t.teardown(async () => {
    await node.stop();
    await rm(base, { recursive: true, force: true });
  });
  const chain = openChain(genesis).id;
  let seq = 1000;
  const say = async (kind: string, body: object): Promise<number | undefined> => {
    const wall_ms = Date.now();
    const entry = await signStatement(operator, {
      chain, lane: 0, seq: (seq += 1), kind, body: { ...body }, wall_ms,
    });
    await node.core.submit(entry.bytes, operator.coseKey);
    return (await node.core.waitFinal(entry.id, 60_000))?.verdict;
  };
  return { base, node, operator, addrs: node.network.status().addrs, chain, say };
}

/** A token whose invite is final, unless `isTold` is false. */
export async function tokenOf(
  { chain, operator, addrs, say }: Host,
  change: Partial<Invite> = {},
  isTold = true,
): Promise<Token> {
  const seed = crypto.getRandomValues(new Uint8Array(32));
  const key = keyId(oneTimeKey(seed).coseKey);
  const terms = {
    roles: ['observer'],
    labels: [],
    capabilities: [],
    addrs: addrs.slice(0, 8),
    notAfter_ms: Date.now() + 600_000,
  };
  const invite: Invite = { chain, issuer: operator.actor, key, ...terms, ...change };
  const { chain: _c, issuer: _i, key: _k, ...body } = invite;
  if (isTold) {
    const verdict = await say('member.invite/1', { ...body, keyHash: Uint8Array.fromHex(key) });
    if (verdict !== 0) throw new Error(`the invite has the verdict ${verdict}`);
  }
  return readToken(await makeToken(invite, seed, operator));
}

/** One whose invite is final and ends soon: the sooner, the faster this machine is. */
export async function lateToken(one: Host): Promise<Token> {
  for (let life_ms = 1000; life_ms < 20_000; life_ms *= 2) {
    try {
      return await tokenOf(one, { notAfter_ms: Date.now() + life_ms });
    } catch {
      // it had ended before it was final
    }
  }
  throw new Error('no invite is final in time');
}

/** Keys of a node that is in no directory. */
export async function nodeKeys(): Promise<NodeKeys> {
  const peerKey = await generatePeerKey();
  return { ...(await makeActor()), peerKey, peer: peerNameOf(peerKey) };
}
