import { chmod, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { folder, x0t } from './support.ts';

/** A whole network's data directories at once, made again only as far as something is missing. */

const NAMES = ['--validators', 'a', 'b', 'c', 'd', '--observers', 'watch'];

interface Made {
  readonly chain: string;
  readonly isNew: boolean;
  readonly nodes: readonly Record<'name' | 'role' | 'peer', string>[];
  readonly operators: readonly string[];
}

test('it makes what is missing, keeps what is there, and refuses what does not fit', async (t) => {
  const cwd = folder(t);
  const run = (...more: string[]) => x0t(cwd, 'init-network', '--json', ...NAMES, ...more);
  const first = await run('--address', '/dns4/{name}.mesh/tcp/5555', '--api-host', '0.0.0.0');
  t.is(first.code, 0, first.stderr);
  const made = JSON.parse(first.stdout) as Made;
  t.true(made.isNew);
  t.deepEqual(made.nodes.map(({ role }) => role), [...Array(4).fill('validator'), 'observer']);
  t.is(made.operators.length, 1);

  const at = (...parts: string[]) => join(cwd, 'network', ...parts);
  const config = JSON.parse(await readFile(at('watch', 'config.json'), 'utf8'));
  t.deepEqual(config, {
    name: 'watch',
    api: { host: '0.0.0.0', port: 8420 },
    p2p: {
      listen: ['/ip4/0.0.0.0/tcp/5555'],
      announce: ['/dns4/watch.mesh/tcp/5555'],
      bootstrap: made.nodes.slice(0, 4).map(({ name, peer }) => {
        return `/dns4/${name}.mesh/tcp/5555/p2p/${peer}`;
      }),
    },
  });
  const secret = await stat(at('a', 'node.key'));
  t.is(secret.mode & 0o077, 0, 'a secret is its owner\'s only');
  const shared = await stat(at('public', 'genesis.cbor'));
  t.is(shared.mode & 0o444, 0o444);

  const named = await run('--api-name', '{name}.api', '{name}:443', '--monitoring');
  t.is(named.code, 0, named.stderr);
  t.is((await stat(at('monitoring', 'token'))).mode & 0o444, 0o444);
  for (const name of ['a', 'd', 'watch']) {
    const token = await readFile(at(name, 'monitor.token'), 'utf8');
    t.is(token, await readFile(at('monitoring', 'token'), 'utf8'), name);
    t.not(token, await readFile(at(name, 'api.token'), 'utf8'), name);
    t.is((await stat(at(name, 'monitor.token'))).mode & 0o077, 0);
  }
  const again = JSON.parse((await run()).stdout) as Made;
  t.deepEqual(again, { ...made, isNew: false, nodes: again.nodes });
  t.deepEqual(again.nodes.map(({ peer }) => peer), made.nodes.map(({ peer }) => peer));

  // an interruption in the middle
  await rm(at('b', 'genesis.cbor'));
  await rm(at('b', 'peer.key'));
  await rm(at('watch'), { recursive: true });
  const mended = await run();
  t.is(mended.code, 0, mended.stderr);
  t.is((JSON.parse(mended.stdout) as Made).chain, made.chain);
  const genesis = await readFile(at('public', 'genesis.cbor'));
  t.deepEqual(await readFile(at('b', 'genesis.cbor')), genesis);

  await rm(at('watch'), { recursive: true });
  t.is((await run('--api-name', '{name}.api', '{name}:443')).code, 0);
  const watch = JSON.parse(await readFile(at('watch', 'config.json'), 'utf8'));
  t.deepEqual(watch.api.names, ['watch.api', 'watch:443']);
  await chmod(at('c'), 0o700);
  await rm(at('c'), { recursive: true });
  const foreign = await run();
  t.is(foreign.code, 5);
  t.is(JSON.parse(foreign.stderr).code, 'network_key_unknown');
  t.is(JSON.parse(foreign.stderr).detail.node, 'c');
});

test('names and addresses are checked before anything is made', async (t) => {
  const cwd = folder(t);
  const wrong = [
    ['--validators', 'a', 'a'],
    ['--validators', '../a'],
    ['--validators', 'operators'],
    ['--validators', 'a', '--address', 'nowhere:{name}'],
    [],
  ];
  for (const args of wrong) {
    const { code } = await x0t(cwd, 'init-network', ...args);
    t.is(code, 2, args.join(' '));
  }
  await t.throwsAsync(stat(join(cwd, 'network')), { code: 'ENOENT' });
});
