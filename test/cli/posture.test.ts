import { join } from 'node:path';
import test from 'ava';
import type { NodeStatus } from '#node/api/index.ts';
import type { PostureJson } from '#node/client.ts';
import { fetchAs } from '#test/support/fetch-as.ts';
import { envelope, folder, json, start, x0t } from './support.ts';

test('an operator isolates, sees it everywhere, and an audit agrees', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const ports = ['--api-port', '0', '--p2p-port', '0'];
  const { actor } = json(await x0t(cwd, 'init', '--data', 'd', ...ports, '--json'));
  const node = await start(t, cwd, '--data', 'd');
  const on = (...args: string[]) => x0t(cwd, ...args, '--data', 'd', '--json');
  const members = async () => (json(await on('posture', 'list')) as unknown as PostureJson).members;
  t.deepEqual(await members(), []);
  t.like(json(await on('posture', 'show', actor)), { actor, grade: 'none', score: 0 });

  const isolate = (...args: string[]) => on('posture', 'isolate', actor, ...args, '--wait');
  const why = ['--reason', 'a drill'];
  t.is((await isolate('--grade', 'banished', ...why)).code, 2);
  t.is((await isolate('--grade', 'blocked')).code, 2, 'a reason is asked for');
  const away = await on('posture', 'isolate', 'abc', '--grade', 'blocked', ...why);
  t.is(envelope(away)['code'], 'usage');
  // the only validator: nobody could make anything final without it
  t.regex((await isolate('--grade', 'blocked', ...why)).stderr, /posture_quorum/);
  t.deepEqual(await members(), []);
  const given = await isolate('--grade', 'restricted', ...why, '--for', '5');
  t.like(json(given), { verdict: 'applied' });

  const early = await on('posture', 'recover', actor, ...why, '--wait');
  t.regex(early.stderr, /posture_too_soon/);

  const [row] = await members();
  t.like(row, { actor, grade: 'restricted', isolation: { by: 'operator', reason: 'a drill' } });
  const until_ms = row?.isolation?.until_ms ?? 0;
  t.true(Math.abs(until_ms - Date.now() - 300_000) < 60_000);
  const { alarms } = json(await on('status')) as unknown as NodeStatus;
  t.true(alarms.some(({ code }) => code === 'node_isolated'));
  const text = await x0t(cwd, 'posture', 'show', actor, '--data', 'd');
  t.regex(text.stdout, /grade +restricted\n/);
  t.regex(text.stdout, /reason +a drill\n/);
  const list = await x0t(cwd, 'posture', 'list', '--data', 'd');
  const [head, line = ''] = list.stdout.split('\n');
  t.regex(head ?? '', /^actor +points  grade +until +by$/);
  t.regex(line, new RegExp(`^${actor}     0\\.0  restricted  20.+Z  operator$`));
  // what the node would author by itself is refused; the operator's own events are not
  const { url } = node.started;
  const put = await fetchAs(join(cwd, 'd'), `${url}/v1/kv/a`, { method: 'PUT', body: 'x' });
  t.is(put.status, 403);
  t.like(json(await on('kv', 'put', 'a', 'x', '--wait')), { verdict: 'applied' });

  const { stateRoot } = json(await on('status'));
  await node.stop();
  t.is((await on('export', '--car', 'log.car')).code, 0);
  t.is(json(await x0t(cwd, 'audit', 'log.car', '--json')).summary.stateRoot, stateRoot);
  t.is((await on('rebuild')).code, 0);
});
