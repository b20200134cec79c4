import test from 'ava';
import { envelope, folder, json, run, start, x0t } from './support.ts';
import { freePorts } from '#test/support/ports.ts';

/** A node that leaves by itself, on the command line. */

test('a step that the present state does not permit is refused before it is made', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const p2p = await freePorts(2);
  const ports = (at: number) => ['--api-port', '0', '--p2p-port', `${p2p + at}`];
  t.is((await x0t(cwd, 'init', '--data', 'a', ...ports(0))).code, 0);
  await start(t, cwd, '--data', 'a');
  const invite = ['invite', '--role', 'observer', '--output', 'token', '--data', 'a'];
  t.is((await x0t(cwd, ...invite)).code, 0);
  await run(t, cwd, 'join', '--token-file', 'token', '--data', 'b', '--json', ...ports(1));
  const { actor } = json(await x0t(cwd, 'key', 'show', 'b/node.key', '--json'));
  const stateOf = async () =>
    json(await x0t(cwd, 'member', 'show', actor, '--data', 'a', '--json'))['state'];
  while ((await stateOf()) !== 'active');
  const status = async (data: string) => json(await x0t(cwd, 'status', '--data', data, '--json'));
  // it hears of it later than the validator, and is asked about itself below
  while ((await status('b'))['membership'] !== 'active');
  const finalSeq = async () => (await status('a'))['finalSeq'];
  const size = await finalSeq();
  const own = (name: string, ...more: string[]) =>
    x0t(cwd, 'member', name, '--self', '--data', 'b', '--json', ...more);
  const early = await own('retire');
  t.is(early.code, 4);
  t.like(envelope(early), {
    code: 'member_transition',
    detail: {
      from: 'active', event: 'member.retire/1',
      legal: ['member.cordon/1', 'member.drain/1', 'member.remove/1', 'member.describe/1'],
    },
    requestId: '',
  }, 'it is said here: no event was sent');
  const cordoned = ['member', 'uncordon', actor, '--data', 'a', '--json'];
  t.like(envelope(await x0t(cwd, ...cordoned)), { code: 'member_transition', requestId: '' });
  t.is(await finalSeq(), size, 'nothing of it is in the log');

  t.is((await own('drain', '--wait')).code, 0);
  t.is((await own('retire')).code, 0);
  while ((await stateOf()) !== 'retired');
  // the node hears of its end from the log, or from who does not let it in any more
  for (;;) {
    const { membership, refusal } = await status('b');
    if (membership === 'retired' || refusal === 'member_removed') break;
  }
  const again = await own('retire');
  t.is(again.code, 4, again.stdout);
  t.regex(envelope(again).code, /^member_(transition|removed)$/);
});
