import test from 'ava';
import type { StoreOp } from '#ledger/ports.ts';
import type { SingleNode } from '#test/support/single-node.ts';
import { signedEvent, startSingleNode } from '#test/support/single-node.ts';

/** What is told as final is on disk: a crash cannot take it back any more. */

/** Holds the write of the turn that folds what `isFolded` sees. */
function hold({ store }: SingleNode, isFolded: () => boolean) {
  const gate = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const write = store.write.bind(store);
  store.write = async (ops: readonly StoreOp[]) => {
    if (isFolded()) {
      held.resolve();
      await gate.promise;
    }
    await write(ops);
  };
  return { held: held.promise, release: gate.resolve };
}

test('a key is read as it is on disk', async (t) => {
  const node = await startSingleNode();
  const { core, api } = node;
  const { held, release } = hold(node, () => core.rows('kv', 'final').get('key') !== undefined);
  t.is((await api.inject({ method: 'PUT', url: '/v1/kv/key', payload: 'value' })).statusCode, 202);
  await held;
  t.is((await api.inject('/v1/kv/key')).statusCode, 404);
  release();
  await core.replica.written();
  t.is((await api.inject('/v1/kv/key')).body, 'value');
  await node.close();
});

test('what is read from the fold is told after the write under way', async (t) => {
  const node = await startSingleNode();
  const { core, api, operator, net } = node;
  const { actor = '' } = net.validators[0] ?? {};
  const labels = ['site=x'];
  const isFolded = () => {
    const row = core.rows('members', 'final').get(`actor/${actor}`);
    return Buffer.from(row ?? []).includes('site=x');
  };
  const { held, release } = hold(node, isFolded);
  const body = { actor: Uint8Array.fromHex(actor), labels };
  const { bytes } = await signedEvent(node, 1, { kind: 'member.describe/1', body });
  await core.submit(bytes, operator.coseKey);
  await held;
  let isAnswered = false;
  const read = api.inject(`/v1/members/${actor}`).then((reply) => {
    isAnswered = true;
    return reply;
  });
  // many requests later
  for (let i = 0; i < 20; i++) t.is((await node.inject({ url: '/livez' })).statusCode, 200);
  t.false(isAnswered);
  release();
  t.deepEqual((await read).json().labels, labels);
  await node.close();
});

test('the status is told while a snapshot is put in place', async (t) => {
  const node = await startSingleNode();
  const { core, api } = node;
  const placed = Promise.withResolvers<never>();
  const began = Promise.withResolvers<void>();
  const reloaded = core.replica.reload(() => {
    began.resolve();
    return placed.promise;
  });
  await began.promise;
  t.is((await api.inject('/v1/status')).statusCode, 200);
  placed.reject(new Error('it is not put in place'));
  await reloaded.catch(() => undefined);
  await node.close();
});
