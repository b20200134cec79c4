import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { withToken } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import { directVerifier } from '#test/support/cluster.ts';
import {
  DrivenNode, makeNet, untilActive, untilFinal, untilMeshed,
} from '#test/support/processes.ts';

/** Four real validators and an observer certify one log; what they hand out verifies anywhere. */

const EVENTS = 1200;

function clientOf({ url, directory }: DrivenNode): Client {
  return new Client(url, { auth: withToken(tokenFile(directory, 'operator')) });
}

/** Waits until every node has the certificate over so many events; returns its id. */
async function untilCertified(nodes: readonly DrivenNode[], size: number): Promise<string> {
  const deadline = Date.now() + 120_000;
  for (;;) {
    const checkpoints = await Promise.all(
      nodes.map(async (node) => (await clientOf(node).status()).checkpoint),
    );
    const ids = new Set(checkpoints.map((one) => (one?.size === size ? one.id : undefined)));
    const [id] = ids;
    if (ids.size === 1 && id !== undefined) return id;
    if (Date.now() > deadline) {
      throw new Error(`certified: ${checkpoints.map((one) => one?.size).join()} of ${size}`);
    }
    await sleep(100);
  }
}

test('all nodes certify one log; receipts verify; a node that was away catches up', async (t) => {
  t.timeout(300_000);
  const base = await mkdtemp(join(tmpdir(), 'x0t-receipts-'));
  const directories = await makeNet(base, 4, []);
  const nodes: DrivenNode[] = [];
  t.teardown(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await rm(base, { recursive: true, force: true });
  });
  for (const directory of directories) nodes.push(await DrivenNode.start(directory));
  await untilMeshed(nodes.slice(0, 4));
  await untilActive(nodes[4] as DrivenNode);
  // invite, join, addresses, ready
  const size = EVENTS + 4;

  const ids: string[] = [];
  const clients = nodes.map(clientOf);
  const value = new TextEncoder().encode('v');
  while (ids.length < EVENTS) {
    const batch = Array.from({ length: 50 }, (_, i) => {
      const client = clients[i % 4] as Client;
      return client.putKv(`key-${ids.length + i}`, value, undefined, { isFinal: i % 2 === 0 });
    });
    ids.push(...(await Promise.all(batch)).map(({ id }) => id));
  }
  await untilFinal(nodes, size, 120);
  const certified = await untilCertified(nodes, size);
  const genesis = new Uint8Array(await readFile(join(directories[0] as string, 'genesis.cbor')));
  const verifier = await directVerifier();
  const signedBy = new Set<string>();
  for (const [i, id] of ids.entries()) {
    if (i % 60 !== 0 && i % 60 !== 31) continue;
    const receipt = await (clients[i % 5] as Client).receipt(id);
    const proven = await verifyReceipt(receipt, genesis, verifier);
    t.is(proven.signers.length, 3);
    signedBy.add(proven.signedBy);
  }
  t.deepEqual([...signedBy].toSorted((a, b) => (a < b ? -1 : 1)), ['actor', 'block']);

  const killed = nodes.pop() as DrivenNode;
  await killed.kill();
  const other = nodes.pop() as DrivenNode;
  await other.kill();
  await (clients[0] as Client).putKv('late', value, undefined, { isFinal: true });
  t.not(await untilCertified(nodes, size + 1), certified);
  for (const { directory } of [other, killed]) nodes.push(await DrivenNode.start(directory));
  await untilCertified(nodes, size + 1);
  for (const node of nodes) t.deepEqual((await clientOf(node).status()).alarms, []);
});
