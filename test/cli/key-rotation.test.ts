import test from 'ava';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchAs } from '#test/support/fetch-as.ts';
import { envelope, json, start, folder, x0t } from './support.ts';

/** Keys of a node and of a participant change by the command line, while the node runs. */

const PORTS = ['--api-port', '0', '--listen', '/ip4/127.0.0.1/tcp/0'];

interface Rotated {
  readonly key: string;
  readonly verdict: string;
}

interface Status {
  readonly epoch: number;
  readonly role: string;
  readonly limitations: readonly string[];
}

const statusOf = async (cwd: string, url: string): Promise<Status> =>
  (await (await fetchAs(join(cwd, 'd'), `${url}/v1/status`)).json()) as Status;

async function untilEpoch(cwd: string, url: string, epoch: number): Promise<Status> {
  for (let i = 0; i < 1200; i++) {
    const status = await statusOf(cwd, url);
    if (status.epoch === epoch) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not in epoch ${epoch}`);
}

test.serial('a node rotates its encrypted key, goes on, restarts, and proves it all', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const asOperator = (url: string, init?: RequestInit) => fetchAs(join(cwd, 'd'), url, init);
  writeFileSync(join(cwd, 'pass'), 'a long enough passphrase\n', { mode: 0o600 });
  const sealed = ['--passphrase-file', 'pass'];
  const { actor } = json(await x0t(cwd, 'init', '--data', 'd', '--json', ...sealed)) as {
    readonly actor: string;
  };
  const run = (...args: string[]) => x0t(cwd, ...args, '--data', 'd', ...sealed, '--json');
  let node = await start(t, cwd, '--data', 'd', ...PORTS, ...sealed);
  t.is((await run('kv', 'put', 'a', '1', '--wait')).code, 0);
  const rotated = json(await run('key', 'rotate', '--wait')) as unknown as Rotated;
  t.is(rotated.verdict, 'applied');
  const [file = ''] = readdirSync(join(cwd, 'd', 'keys'));
  t.is(file, `${rotated.key.slice(0, 16)}.key`);
  const kept = readFileSync(join(cwd, 'd', 'keys', file), 'utf8');
  t.regex(kept, /^-----BEGIN AGE ENCRYPTED FILE-----/);
  const status = await untilEpoch(cwd, node.started.url, 1);
  t.is(status.role, 'validator');
  const put = await asOperator(`${node.started.url}/v1/kv/b`, { method: 'PUT', body: 'own' });
  t.is(put.status, 202);
  const { id } = (await put.json()) as { readonly id: string };
  const written = json(await run('kv', 'put', 'c', '1', '--wait')) as { readonly seq: number };
  t.is(written.seq, 4, 'nothing was lost on the way');
  const shown = await (await asOperator(`${node.started.url}/v1/events/${id}`)).text();
  t.true(shown.includes('applied'));
  const list = json(await x0t(cwd, 'key', 'list', actor, '--data', 'd', '--json'));
  t.like(list, {
    0: { id: actor, state: 'retired', since: 0, until: 2 },
    1: { id: rotated.key, state: 'present', since: 2 },
  });
  await node.stop();

  node = await start(t, cwd, '--data', 'd', ...PORTS, ...sealed);
  const again = await statusOf(cwd, node.started.url);
  t.is(again.role, 'validator');
  t.false(again.limitations.some((text) => text.includes('not in its directory')));
  const own = ['--own', '--reason', 'an old disk', '--wait'];
  const revoked = await run('key', 'revoke', actor, actor, ...own);
  t.is(revoked.code, 0, revoked.stderr);
  const second = json(await run('key', 'rotate', '--wait')) as unknown as Rotated;
  t.not(second.key, rotated.key);
  await untilEpoch(cwd, node.started.url, 2);
  t.is((await run('kv', 'put', 'd', '1', '--wait')).code, 0);
  await node.stop();
  for (const args of [['audit', 'd'], ['rebuild', '--data', 'd'], ['audit', 'd']]) {
    const ran = await x0t(cwd, ...args);
    t.is(ran.code, 0, ran.stdout + ran.stderr);
  }

  const backup = ['-o', 'd.age', '--data', 'd', ...sealed];
  t.is((await x0t(cwd, 'key', 'backup', ...backup)).code, 0);
  const restored = await x0t(cwd, 'key', 'restore', 'd.age', '--data', 'e', ...sealed);
  t.is(restored.code, 0, restored.stderr);
  t.deepEqual(readdirSync(join(cwd, 'e', 'keys')), readdirSync(join(cwd, 'd', 'keys')));
});

test.serial('a participant rotates with its key file; the old one is of no use', async (t) => {
  t.timeout(300_000);
  const cwd = folder(t);
  const asOperator = (url: string, init?: RequestInit) => fetchAs(join(cwd, 'd'), url, init);
  await x0t(cwd, 'init', '--data', 'd');
  const node = await start(t, cwd, '--data', 'd', ...PORTS);
  const run = (...args: string[]) => x0t(cwd, ...args, '--data', 'd', '--json');
  const operator = join(cwd, 'd', 'operator.key');
  const by = ['--key', operator];
  t.is(envelope(await run('key', 'rotate', ...by)).code, 'usage');
  const ran = await run('key', 'rotate', ...by, '-o', 'next.key', '--wait');
  const rotated = json(ran) as unknown as Rotated;
  t.is(envelope(await run('kv', 'put', 'a', '1', ...by, '--wait')).code, 'key_retired');
  t.is((await run('kv', 'put', 'a', '1', '--key', 'next.key', '--wait')).code, 0);
  t.is((await statusOf(cwd, node.started.url)).epoch, 0);
  const twice = await run('key', 'rotate', ...by, '-o', 'thief.key');
  t.is(envelope(twice).code, 'key_not_held');
  const { actor } = json(await x0t(cwd, 'key', 'show', 'next.key', '--json')) as {
    readonly actor: string;
  };
  t.not(actor, rotated.key);
  t.is(actor, json(await x0t(cwd, 'key', 'show', operator, '--json')).actor);

  // the new file in the place of the old one: the command line signs with it
  renameSync(join(cwd, 'next.key'), operator);
  const nodeActor = (await (await asOperator(`${node.started.url}/v1/status`)).json()) as {
    readonly actor: string;
  };
  const reason = ['--reason', 'a drill', '--wait'];
  const revoked = await run('key', 'revoke', nodeActor.actor, ...reason);
  t.is(revoked.code, 0, revoked.stderr);
  const refused = await asOperator(`${node.started.url}/v1/kv/b`, { method: 'PUT', body: 'void' });
  t.true(refused.status >= 400);
  t.true((await refused.text()).includes('key_revoked'));
  const { limitations: told } = await statusOf(cwd, node.started.url);
  t.true(told.some((text) => text.includes('is revoked')));
  // the only validator keeps its seat, so that an operator can bind a new key
  const asked = await run('key', 'request', '-o', 'd.request');
  t.is(asked.code, 0, asked.stderr);
  const bound = await run('key', 'rekey', 'd.request', '--wait');
  t.is(bound.code, 0, bound.stderr);
  await untilEpoch(cwd, node.started.url, 1);
  const rebound = await asOperator(`${node.started.url}/v1/kv/b`, { method: 'PUT', body: 'x' });
  t.is(rebound.status, 202);
  t.is(envelope(await run('key', 'rekey', 'd.request', '--wait')).code, 'not_applied');
  writeFileSync(join(cwd, 'junk'), 'x');
  t.is(envelope(await run('key', 'rekey', 'junk')).code, 'request_malformed');
  await node.stop();
  t.true(existsSync(join(cwd, 'd', 'keys')));
  renameSync(join(cwd, 'd', 'keys'), join(cwd, 'kept'));
  const without = await start(t, cwd, '--data', 'd', ...PORTS);
  const { limitations } = await statusOf(cwd, without.started.url);
  t.true(limitations.some((text) => text.includes('not in its directory')));
  const lost = await asOperator(`${without.started.url}/v1/kv/c`, { method: 'PUT', body: 'x' });
  t.true((await lost.text()).includes('key_not_held'));
  // the new key in the place of the old one, whose secret is gone: it names its actor
  const [file = ''] = readdirSync(join(cwd, 'kept'));
  renameSync(join(cwd, 'kept', file), join(cwd, 'd', 'node.key'));
  await without.stop();
  const alone = await start(t, cwd, '--data', 'd', ...PORTS);
  const again = await asOperator(`${alone.started.url}/v1/kv/c`, { method: 'PUT', body: 'x' });
  t.is(again.status, 202);
  const { role } = await statusOf(cwd, alone.started.url);
  t.is(role, 'validator');
  await alone.stop();
});
