import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { auditStore, exportCar } from '#node/audit/index.ts';
import type { NodeStatus } from '#node/api/index.ts';
import { dataPaths, readDataDir } from '#node/data-dir.ts';
import { rebuildProjections } from '#node/rebuild.ts';
import { LevelStore } from '#node/store.ts';
import { schema } from '#projections/index.ts';
import { DrivenNode, makeNet, untilActive, untilFinal } from '#test/support/processes.ts';

/** A snapshot over libp2p into LevelDB, and what a node says that does not hold the whole log. */

const EVENTS = 900;

interface Refusal {
  readonly code: string;
  readonly detail: { readonly from?: number };
}

test('an observer joins a real node by a snapshot and says where its log begins', async (t) => {
  const base = await mkdtemp(join(tmpdir(), 'x0t-e2e-'));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  const [first = '', second = ''] = await makeNet(base, 1, []);
  const node = await DrivenNode.start(first);
  for (let size = 0; size < EVENTS; ({ size } = await node.report())) {
    await node.ask({ type: 'author', perSecond: 300, seconds: 1, valueBytes: 9, keys: 5000 });
  }
  const before = await node.report();
  const observer = await DrivenNode.start(second, { sync: 'snapshot' });
  await untilActive(observer);
  const { size: joined, hash } = await node.report();
  const [report] = await untilFinal([observer], joined, 120);
  t.is(report?.hash, hash);
  // it was made when the observer was let in: with its invite, and its join
  const size = (report?.from ?? 0) - 1;
  t.true(size >= before.size, `${size} of ${before.size}`);

  await node.ask({ type: 'author', perSecond: 100, seconds: 0.5, valueBytes: 9 });
  const after = await node.report();
  const [later] = await untilFinal([observer], after.size, 120);
  t.is(later?.hash, after.hash);
  const read = async (path: string): Promise<Response> => observer.fetch(path);
  const status = (await (await read('/v1/status')).json()) as NodeStatus;
  t.deepEqual(status.log, { from: size + 1, retention: 'archive' });
  t.is((await read(`/v1/log?from=${size + 1}`)).status, 200);
  for (const path of ['/v1/log', `/v1/log/stream?from=${size}`]) {
    const answer = await read(path);
    t.is(answer.status, 410);
    const { code, detail } = (await answer.json()) as Refusal;
    t.is(code, 'pruned');
    t.is(detail.from, size + 1);
  }
  const { events } = (await (await node.fetch('/v1/log?from=7&limit=1')).json()) as {
    events: { id: string }[];
  };
  for (const path of ['', '/receipt']) {
    const answer = await read(`/v1/events/${events[0]?.id}${path}`);
    t.is(answer.status, 410);
    t.is(((await answer.json()) as Refusal).code, 'pruned');
  }
  await observer.stop();

  const { chain } = await readDataDir(second);
  const store = await LevelStore.open(dataPaths(second).store);
  t.teardown(() => store.close());
  const file = join(base, 'log.car');
  await t.throwsAsync(exportCar({ store, chain, schema, file }), { code: 'pruned' });
  await t.throwsAsync(auditStore(store, { schema }), { code: 'pruned' });
  await t.throwsAsync(rebuildProjections(store, chain, schema), { code: 'pruned' });
  await node.stop();
});
