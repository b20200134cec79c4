import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { envelope, folder, json, start, x0t } from './support.ts';

const LOCKED = `forbid (principal, action == Action::"kv.put/1", resource in KeyPrefix::"locked/")
unless { principal in Role::"keeper" };`;

test('policies are tried offline, put, explained, gone back to, and audited', async (t) => {
  const cwd = folder(t);
  const ports = ['--api-port', '0', '--p2p-port', '0'];
  const { operator } = json(await x0t(cwd, 'init', '--data', 'd', ...ports, '--json'));
  writeFileSync(join(cwd, 'locked.cedar'), LOCKED);
  writeFileSync(join(cwd, 'out.cedar'), 'forbid (principal, action, resource);');
  writeFileSync(join(cwd, 'bad.cedar'), 'forbid (principal');
  const question = { principal: operator, action: 'kv.put/1', resource: 'Key::locked/a' };
  const cases = [
    { ...question, expect: 'deny', by: ['locked'] },
    { ...question, roles: ['keeper'], expect: 'allow' },
  ];
  writeFileSync(join(cwd, 'cases.json'), JSON.stringify(cases));
  writeFileSync(join(cwd, 'wrong.json'), JSON.stringify([{ ...question, expect: 'allow' }]));

  const offline = (command: string, ...args: string[]) =>
    x0t(cwd, 'policy', command, ...args, '--offline', '--json');
  t.is((await offline('check', 'locked.cedar')).code, 0);
  for (const [file, code] of [['out', 'policy_lockout'], ['bad', 'policy_invalid']] as const) {
    const refused = await offline('check', `${file}.cedar`);
    t.is(refused.code, 1);
    t.is(envelope(refused).code, code);
  }
  const beside = ['--policies', 'locked.cedar'];
  const tested = await offline('test', 'cases.json', ...beside);
  t.is(tested.code, 0, tested.stdout);
  t.like(json(tested), { cases: 2, failed: 0 });
  t.is((await offline('test', 'wrong.json', ...beside)).code, 1);

  const node = await start(t, cwd, '--data', 'd');
  const on = (...args: string[]) => x0t(cwd, ...args, '--data', 'd', '--json');
  t.like(json(await on('policy', 'put', 'locked.cedar', '--wait')), { verdict: 'applied' });
  const denied = await on('kv', 'put', 'locked/a', 'x', '--wait');
  t.is(denied.code, 4);
  t.like(envelope(denied), { code: 'policy_denied' });
  const asked = ['--principal', operator, '--action', 'kv.put/1', '--resource', 'Key::locked/a'];
  const [here, there] = [
    json(await on('policy', 'explain', ...asked)),
    json(await x0t(cwd, 'policy', 'explain', ...asked, ...beside, '--offline', '--json')),
  ];
  t.like(here, { isAllowed: false, policies: [{ id: 'locked', text: LOCKED }] });
  t.deepEqual([here['isAllowed'], here['policies']], [there['isAllowed'], there['policies']]);
  const { decisions } = json(await on('policy', 'decisions', '--denied'));
  t.like((decisions as object[])[0], { action: 'kv.put/1', policies: ['locked'], count: 1 });
  t.like(json(await on('policy', 'assign', operator, 'keeper', '--wait')), { verdict: 'applied' });
  t.like(json(await on('kv', 'put', 'locked/a', 'x', '--wait')), { verdict: 'applied' });

  t.is((await on('policy', 'put', 'out.cedar')).code, 4);
  t.like(json(await on('policy', 'rollback', '0', '--wait')), { verdict: 'applied' });
  const { version, policies } = json(await on('policy', 'list'));
  t.is(version, 3);
  t.false((policies as { id: string }[]).some(({ id }) => id === 'locked'));
  t.is((json(await on('policy', 'history'))['versions'] as object[]).length, 4);
  const { stateRoot } = json(await on('status'));

  await node.stop();
  t.is((await on('export', '--car', 'log.car')).code, 0);
  const audited = await x0t(cwd, 'audit', 'log.car', '--json');
  t.is(audited.code, 0, audited.stdout);
  t.is(json(audited).summary.stateRoot, stateRoot);
  t.is((await x0t(cwd, 'audit', 'd', '--json')).code, 0);
  t.is((await on('rebuild')).code, 0);
});
