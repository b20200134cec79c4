import {
  copyFileSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { storeKeys } from '#ledger/keys.ts';
import { LevelStore } from '#node/store.ts';
import { envelope, folder, json, start, x0t } from './support.ts';

const PORTS = ['--api-port', '0', '--p2p-port', '0'];

/** A node that has run and was written to. */
async function used(t: Parameters<typeof folder>[0]): Promise<string> {
  const cwd = folder(t);
  await x0t(cwd, 'init', '--data', 'd', ...PORTS);
  const node = await start(t, cwd, '--data', 'd', '--log', 'silent');
  const put = await x0t(cwd, 'kv', 'put', 'k', 'v', '--data', 'd', '--wait');
  t.is(put.code, 0, put.stderr);
  t.is((await node.stop('SIGINT')).code, 0);
  return cwd;
}

test.serial('a second node in one directory is refused, and so are export and audit', async (t) => {
  const cwd = folder(t);
  await x0t(cwd, 'init', '--data', 'd', ...PORTS);
  const node = await start(t, cwd, '--data', 'd', '--log', 'silent');
  for (const args of [
    ['start', '--data', 'd'],
    ['export', '--data', 'd', '--car', 'x.car'],
    ['audit', 'd'],
  ]) {
    const ran = await x0t(cwd, ...args, '--json');
    t.is(ran.code, 5);
    t.is(envelope(ran).code, 'data_dir_locked');
  }
  t.is((await fetch(`${node.started.url}/livez`)).status, 200, 'the first one runs on');
  const port = new URL(node.started.url).port;
  await x0t(cwd, 'init', '--data', 'e', '--api-port', port, '--p2p-port', '0');
  const taken = await x0t(cwd, 'start', '--data', 'e', '--log', 'silent', '--json');
  t.is(taken.code, 6);
  t.is(envelope(taken).code, 'api_port_taken');
});

test.serial(
  'a store of another network, a newer format or no whole files is refused',
  async (t) => {
    const cwd = await used(t);
    const refusal = async (): Promise<string> => {
      const ran = await x0t(cwd, 'start', '--data', 'd', '--log', 'silent', '--json');
      t.is(ran.code, 5, ran.stderr);
      return envelope(ran).code;
    };

    await x0t(cwd, 'init', '--data', 'other', ...PORTS);
    const genesis = readFileSync(join(cwd, 'd', 'genesis.cbor'));
    copyFileSync(join(cwd, 'other', 'genesis.cbor'), join(cwd, 'd', 'genesis.cbor'));
    t.is(await refusal(), 'data_dir_other_network');
    writeFileSync(join(cwd, 'd', 'genesis.cbor'), genesis);

    const write = async (version: number) => {
      const store = await LevelStore.open(join(cwd, 'd', 'store'));
      const value = Uint8Array.of(version);
      await store.write([{ type: 'put', key: storeKeys.format, value }], { sync: true });
      await store.close();
    };
    await write(9);
    t.is(await refusal(), 'data_dir_newer');
    await write(1);

    writeFileSync(join(cwd, 'd', 'config.json'), '{');
    t.is(await refusal(), 'config_malformed');
    rmSync(join(cwd, 'd', 'config.json'));

    const store = join(cwd, 'd', 'store');
    const manifest = readdirSync(store).find((name) => name.startsWith('MANIFEST')) ?? '';
    truncateSync(join(store, manifest), 10);
    t.is(await refusal(), 'store_failed');

    truncateSync(join(cwd, 'd', 'node.key'), 100);
    t.is(await refusal(), 'key_malformed');
  },
);

test.serial('a log is exported, audited and rebuilt; a changed byte is found', async (t) => {
  const cwd = await used(t);
  const exported = await x0t(cwd, 'export', '--data', 'd', '--car', 'log.car', '--json');
  t.is(exported.code, 0, exported.stderr);
  const { chain } = json(exported);
  t.is(
    envelope(await x0t(cwd, 'export', '--data', 'd', '--car', 'log.car', '--json')).code,
    'export_exists',
  );

  const audited = await x0t(cwd, 'audit', 'log.car', '--genesis', chain, '--json');
  t.is(audited.code, 0, audited.stderr);
  t.like(json(audited), { ok: true, chain, events: 1 });
  const rebuilt = await x0t(cwd, 'rebuild', '--data', 'd', '--json');
  t.is(rebuilt.code, 0, rebuilt.stderr);
  t.is(json(rebuilt).stateRoot, json(audited).summary.stateRoot);
  t.is((await x0t(cwd, 'audit', 'd')).code, 0);

  const bytes = readFileSync(join(cwd, 'log.car'));
  bytes[bytes.length - 100] = (bytes.at(-100) ?? 0) ^ 1;
  writeFileSync(join(cwd, 'bad.car'), bytes);
  const found = await x0t(cwd, 'audit', 'bad.car', '--json');
  t.is(found.code, 1);
  t.like(json(found), { ok: false });
  t.truthy(json(found).finding.place.kind);
  const named = await x0t(cwd, 'audit', 'log.car', '--genesis', join('d', 'genesis.cbor'));
  t.is(named.code, 0, named.stderr);
  const other = await x0t(cwd, 'audit', 'log.car', '--genesis', 'f'.repeat(64));
  t.is(other.code, 1);
  t.regex(other.stdout, /^FAULT: .*\(audit_other_network\)$/m);
});
