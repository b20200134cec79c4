import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { envelope, fed, folder, json, start, x0t } from './support.ts';
import { freePorts } from '#test/support/ports.ts';

/** A member's life on the command line, from its token to its removal. */

interface MemberShown {
  readonly actor: string;
  readonly state: string;
  readonly roles: readonly string[];
  readonly labels?: readonly string[];
}

test('a token, a member without a node, its states, and invites that are taken back', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const p2p = await freePorts(1);
  const ports = ['--api-port', '0', '--p2p-port', `${p2p}`];
  t.is((await x0t(cwd, 'init', '--data', 'd', ...ports)).code, 0);
  await start(t, cwd, '--data', 'd');
  const at = ['--data', 'd', '--json'];
  const ok = async (...args: string[]) => {
    const ran = await x0t(cwd, ...args);
    t.is(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`);
    return ran;
  };
  const terms = ['--role', 'participant', '--label', 'team=red', '--capability', 'vote'];
  await ok('invite', ...terms, '--expires', '1h', '--output', 'token', ...at);
  t.is(statSync(join(cwd, 'token')).mode & 0o777, 0o600);
  const joining = ['join', '--token-file', 'token', '--json'];
  const made = await ok(...joining, '--key', 'me.key');
  const { actor } = json(made);
  const shown = async () => JSON.parse((await ok('member', 'show', actor, ...at)).stdout);
  t.like((await shown()) as MemberShown, {
    actor, state: 'active', roles: ['participant'], labels: ['team=red'], capabilities: ['vote'],
  });
  const put = ['kv', 'put', 'k', 'v', '--wait', '--key', 'me.key', ...at];
  await ok(...put);
  const again = await x0t(cwd, ...joining, '--key', 'other.key');
  t.is(again.code, 4);
  t.like(envelope(again), { code: 'join_refused', detail: { reason: 'invite_used' } });
  const token = readFileSync(join(cwd, 'token'), 'utf8').trim();
  const typed = await x0t(cwd, 'join', token, '--key', 'other.key');
  t.regex(typed.stderr, /^x0t join: .* list of processes .* --token-file FILE/);
  t.regex(typed.stderr, /join_refused/);
  const piped = await fed(token, cwd, 'join', '--token-file', '-', '--key', 'other.key');
  t.notRegex(piped.stderr, /list of processes/);
  t.regex(piped.stderr, /join_refused/);

  const step = (name: string, ...more: string[]) =>
    x0t(cwd, 'member', name, actor, '--wait', ...more, ...at);
  t.is((await step('describe', '--label', 'team=blue')).code, 0);
  t.is((await step('cordon', '--reason', 'a look')).code, 0);
  t.like((await shown()) as MemberShown, { state: 'cordoned', labels: ['team=blue'] });
  const wrong = await step('retire');
  t.is(wrong.code, 4);
  t.like(envelope(wrong), {
    code: 'member_transition', detail: { from: 'cordoned', event: 'member.retire/1' },
  });
  const legal = envelope(wrong).detail['legal'] as readonly string[];
  t.true(legal.includes('member.drain/1') && !legal.includes('member.retire/1'));
  for (const name of ['uncordon', 'drain', 'retire']) t.is((await step(name)).code, 0, name);
  t.is(((await shown()) as MemberShown).state, 'retired');
  const refused = await x0t(cwd, ...put);
  t.is(refused.code, 4);
  t.is(envelope(refused).code, 'not_member');
  t.is((await step('remove', '--reason', 'for good')).code, 0);
  t.like((await shown()) as object, { state: 'removed', reason: 'for good' });

  const { id } = json(await ok('invite', ...at));
  await ok('member', 'withdraw', id, '--wait', ...at);
  const { invites } = JSON.parse((await ok('member', 'invites', ...at)).stdout) as {
    invites: { id: string; state: string }[];
  };
  t.deepEqual(invites.map(({ state }) => state), ['used', 'withdrawn']);
  const last = await x0t(cwd, 'member', 'remove', json(await ok('key', 'show', 'd/operator.key',
    '--json')).actor, '--reason', 'no', ...at);
  t.is(envelope(last).code, 'member_last_operator');
});
