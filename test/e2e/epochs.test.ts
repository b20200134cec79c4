import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createKeyFile } from '#node/keys.ts';
import { x0t } from '#test/cli/support.ts';
import {
  DrivenNode, makeNet, put, statusOf, tokenOf, untilActive, untilFinal, untilIn, untilMeshed,
  untilSame, untilSeen,
} from '#test/support/processes.ts';

/** Real processes and the command line: an observer becomes the fifth of four, one leaves. */

test('four become five by the command line, and four again', async (t) => {
  t.timeout(300_000);
  const base = await mkdtemp(join(tmpdir(), 'x0t-epochs-'));
  const operator = join(base, 'operator.key');
  const { actor } = await createKeyFile(operator);
  const directories = await makeNet(join(base, 'net'), 4, [actor]);
  const nodes: DrivenNode[] = [];
  for (const directory of directories) nodes.push(await DrivenNode.start(directory));
  await untilMeshed(nodes);
  const [first, second, third, , fifth] = nodes as [
    DrivenNode, DrivenNode, DrivenNode, DrivenNode, DrivenNode,
  ];
  await untilActive(fifth);
  // invite, join, addresses, ready
  const came = 4;
  const keys = ['a', 'b', 'c', 'd', 'e'];
  await Promise.all(keys.map((key, i) => put(nodes[i % 4] as DrivenNode, key)));
  const cli = (...args: string[]) => x0t(base, 'member', ...args, '--json');
  const added = await cli('add', fifth.url, '--url', first.url, '--key', operator, '--wait');
  t.is(added.code, 0, added.stderr);
  t.is(JSON.parse(added.stdout).verdict, 'applied');
  await untilIn(nodes, 1);
  const now = await statusOf(fifth);
  t.deepEqual([now.role, now.n, now.quorum], ['validator', 5, 4]);
  await Promise.all(keys.map((key, i) => put(nodes[i] as DrivenNode, `${key}-1`)));
  await untilFinal(nodes, came + 11, 90);
  const seals = async () => (await fifth.report()).blocksSealed > 0;
  await t.notThrowsAsync(untilSeen('it seals without a restart', seals));

  // a restarted node goes on in the new epoch
  await second.kill();
  await put(first, 'while one is away');
  nodes[1] = await DrivenNode.start(second.directory);
  await untilFinal(nodes, came + 12, 90);
  t.is((await statusOf(nodes[1])).epoch, 1);

  const left = await cli('leave', '--data', third.directory, '--url', third.url, '--wait');
  t.is(left.code, 0, left.stderr);
  await untilIn(nodes, 2);
  t.is((await statusOf(third)).role, 'observer');
  await put(third, 'by way of a validator');
  await untilFinal(nodes, came + 14, 90);
  const listed = JSON.parse((await cli('list', '--url', first.url, ...tokenOf(first))).stdout);
  t.is(listed.epoch, 2);
  const isValidator = ({ roles }: { roles: string[] }) => roles.includes('validator');
  t.is(listed.members.filter(isValidator).length, 4);
  await t.notThrowsAsync(untilSame(nodes));
  const foreign = await cli('add', 'http://127.0.0.1:9', '--url', first.url, '--key', operator);
  t.not(foreign.code, 0);
  await Promise.all(nodes.map((node) => node.stop()));
  await rm(base, { recursive: true, force: true });
});
