import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readDataDir } from '#node/data-dir.ts';
import { createKeyFile } from '#node/keys.ts';
import { x0t } from '#test/cli/support.ts';
import {
  DrivenNode, makeNet, put, statusOf, tokenOf, untilActive, untilFinal, untilIn, untilMeshed,
  untilSame, untilSeen,
} from '#test/support/processes.ts';

/** Real processes: validators rotate while they run, while they are dead, and over restarts. */

test.serial('validators rotate: running, dead, with a key left over; one was away', async (t) => {
  t.timeout(300_000);
  const base = await mkdtemp(join(tmpdir(), 'x0t-keys-'));
  const directories = await makeNet(join(base, 'net'), 4, []);
  const nodes: DrivenNode[] = [];
  for (const directory of directories) nodes.push(await DrivenNode.start(directory));
  await untilMeshed(nodes);
  const at = (i: number): DrivenNode => nodes[i] as DrivenNode;
  const restart = async (i: number): Promise<void> => {
    nodes[i] = await DrivenNode.start(at(i).directory);
  };
  const rotate = async (i: number, via: number): Promise<string> => {
    const where = ['--data', at(i).directory, '--url', at(via).url, ...tokenOf(at(via))];
    const ran = await x0t(base, 'key', 'rotate', ...where, '--wait', '--json');
    t.is(ran.code, 0, ran.stderr);
    return (JSON.parse(ran.stdout) as { readonly key: string }).key;
  };
  await untilActive(at(4));
  // invite, join, addresses, ready
  const came = 4;
  await Promise.all([0, 1, 2, 3].map((i) => put(at(i), `a-${i}`)));
  await untilFinal(nodes, came + 4, 90);

  // the observer sleeps through the first two
  await at(4).kill();
  await rotate(1, 1);
  await untilIn(nodes.slice(0, 4), 1);
  await Promise.all([0, 1, 2, 3].map((i) => put(at(i), `b-${i}`)));
  await untilFinal(nodes.slice(0, 4), came + 9, 90);
  t.true((await at(1).report()).blocksSealed > 0);

  // final while its node is dead: it comes back holding both keys, and not knowing which one counts
  await at(2).kill();
  const key = await rotate(2, 0);
  await untilIn([at(0), at(1), at(3)], 2);
  await put(at(0), 'while one is dead');
  await restart(2);
  await untilIn([at(0), at(1), at(2), at(3)], 2);
  await put(at(2), 'back with the new key');
  await untilFinal(nodes.slice(0, 4), came + 12, 90);
  t.is((await statusOf(at(2))).role, 'validator');
  t.deepEqual((await statusOf(at(2))).heldKeys, [key]);

  // killed after the key was made and before the event was: the next try takes the same key
  await at(3).kill();
  const { keyring } = await readDataDir(at(3).directory);
  const { id } = await keyring.create();
  await restart(3);
  await untilMeshed(nodes.slice(0, 4));
  await put(at(3), 'with the old one');
  await untilFinal(nodes.slice(0, 4), came + 13, 90);
  t.is(await rotate(3, 3), id);
  t.is((await readdir(join(at(3).directory, 'keys'))).length, 1);

  await restart(4);
  await untilIn(nodes, 3);
  for (const i of [0, 1, 2, 3]) {
    await at(i).kill();
    await restart(i);
  }
  await untilMeshed(nodes);
  await Promise.all([0, 1, 2, 3].map((i) => put(at(i), `c-${i}`)));
  await untilFinal(nodes, came + 18, 90);
  const all = await untilSame(nodes);
  t.deepEqual(all.flatMap(({ alarms }) => alarms), []);
  t.deepEqual(all.map(({ role }) => role).slice(0, 4), Array(4).fill('validator'));
  await Promise.all(nodes.map((node) => node.stop()));
  for (const directory of directories.slice(2)) {
    const audited = await x0t(base, 'audit', directory);
    t.is(audited.code, 0, audited.stdout + audited.stderr);
  }
  await rm(base, { recursive: true, force: true });
});

test.serial('an observer knows its only validator again, which has rotated twice', async (t) => {
  t.timeout(300_000);
  const base = await mkdtemp(join(tmpdir(), 'x0t-keys-'));
  const operator = join(base, 'operator.key');
  const { actor } = await createKeyFile(operator);
  const directories = await makeNet(join(base, 'net'), 1, [actor]);
  const [first, second] = directories as [string, string];
  const validator = await DrivenNode.start(first);
  const wait = [...tokenOf(validator), '--wait', '--json'];
  let observer = await DrivenNode.start(second);
  await untilMeshed([validator, observer]);
  await untilActive(observer);
  await put(validator, 'a');
  await untilFinal([validator, observer], 5, 90);
  await observer.kill();
  for (let i = 0; i < 2; i++) {
    const ran = await x0t(base, 'key', 'rotate', '--data', first, '--url', validator.url, ...wait);
    t.is(ran.code, 0, ran.stderr);
    await untilIn([validator], i + 1);
  }
  observer = await DrivenNode.start(second);
  await untilIn([validator, observer], 2);
  const isReached = async () => (await statusOf(observer)).quorumReachable;
  await t.notThrowsAsync(untilSeen('the peer counts as the validator', isReached));
  // it hands the event to the validator, which it knows by its second new key
  const by = ['--key', operator, '--url', observer.url, ...tokenOf(observer), '--wait', '--json'];
  const written = await x0t(base, 'kv', 'put', 'b', '1', ...by);
  t.is(written.code, 0, written.stderr);
  await untilFinal([validator, observer], 8, 90);
  await t.notThrowsAsync(untilSame([validator, observer]));
  await Promise.all([validator.stop(), observer.stop()]);
  await rm(base, { recursive: true, force: true });
});
