import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { envelope, folder, x0t } from './support.ts';
import type { Ran } from './support.ts';

const cases: readonly (readonly [
  name: string,
  args: readonly string[],
  exit: number,
  code: string,
])[] = [
  ['an unknown command', ['bogus'], 2, 'usage'],
  ['a missing argument', ['kv', 'put'], 2, 'usage'],
  ['an unknown option', ['status', '--bogus'], 2, 'usage'],
  ['a port out of range', ['start', '--api-port', '70000'], 2, 'usage'],
  ['neither value nor file', ['kv', 'put', 'k'], 2, 'usage'],
  ['an event without a key to sign', ['event', 'submit', 'kv.delete/1', '{}'], 2, 'usage'],
  ['an id that is none', ['event', 'show', 'nonsense'], 2, 'bad_id'],
  ['a URL that is none', ['status', '--url', 'nonsense'], 2, 'url_invalid'],
  ['a token that is none', ['join', 'x0t-invite-1.AAAA'], 2, 'invite_malformed'],
  ['a join without a token', ['join'], 2, 'usage'],
  ['a role that is none', ['invite', '--role', 'king', '--data', 'fresh'], 2, 'usage'],
  [
    'a peer that is no multiaddr',
    ['init', '--data', 'o', '--bootstrap', 'foo'],
    2,
    'address_invalid',
  ],
  ['help for an unknown command', ['help', 'bogus'], 2, 'usage'],
  ['a key no URL can name', ['kv', 'get', '..'], 2, 'key_no_path'],
  [
    'a bundle of whoever answers',
    ['identity', 'bundle', '--url', 'http://192.0.2.1:8420'],
    2,
    'usage',
  ],
  ['an https node of which nothing is known', ['status', '--url', 'https://192.0.2.1:8443'], 2,
    'server_trust_missing'],
  ['no node', ['status', '--url', 'http://127.0.0.1:1'], 3, 'node_unreachable'],
  ['no data directory', ['export', '--data', 'none', '--car', 'x.car'], 5, 'not_initialised'],
  ['a --data without a node', ['status', '--data', 'none'], 5, 'not_initialised'],
  [
    'a --data without a node beside a --url',
    ['kv', 'put', 'k', 'v', '--data', 'full', '--url', 'http://127.0.0.1:1'],
    5,
    'not_initialised',
  ],
  ['a --data of a node that does not run', ['status', '--data', 'fresh'], 3, 'node_unreachable'],
  ['a node that never ran', ['rebuild', '--data', 'fresh'], 5, 'store_missing'],
  ['a directory with files', ['init', '--data', 'full'], 5, 'not_empty'],
  ['a key file that is there', ['key', 'new', 'full/file'], 5, 'key_exists'],
  ['a key file that is not there', ['key', 'show', 'none.key'], 5, 'key_unreadable'],
  ['an export that is not there', ['audit', 'none.car'], 2, 'file_unreadable'],
];

test('every refusal has its code, its exit code, and one JSON document on stderr', async (t) => {
  const cwd = folder(t);
  mkdirSync(join(cwd, 'full'));
  writeFileSync(join(cwd, 'full', 'file'), '');
  t.is((await x0t(cwd, 'init', '--data', 'fresh')).code, 0);
  for (const [name, args, exit, code] of cases) {
    const ran: Ran = await x0t(cwd, ...args, '--json');
    t.is(ran.code, exit, `${name}: ${ran.stderr}`);
    t.is(envelope(ran).code, code, name);
    t.deepEqual(Object.keys(envelope(ran)), ['code', 'message', 'detail', 'requestId'], name);
    t.is(ran.stdout, '', name);
  }
});

test('a group without a command shows its help with all commands, and ends with 2', async (t) => {
  const cwd = folder(t);
  const helped = await x0t(cwd, 'help', 'member');
  const bare = await x0t(cwd, 'member');
  t.is(bare.code, 2);
  t.is(bare.stdout, '', 'nothing was asked for');
  t.is(bare.stderr, helped.stdout);
  for (const name of ['list', 'show', 'drain', 'retire']) {
    t.regex(bare.stderr, new RegExp(`^  ${name} `, 'm'));
  }
  t.regex(bare.stderr, /npx x0t help member list/);
  for (const args of [['member', '--json'], ['--json']]) {
    const ran = await x0t(cwd, ...args);
    t.is(ran.code, 2);
    const { code, detail } = envelope(ran);
    t.is(code, 'usage');
    t.true((detail['commands'] as string[]).includes(args.length === 1 ? 'member' : 'retire'));
  }
});

test('without --json an error is a sentence with its code', async (t) => {
  const ran = await x0t(folder(t), 'status', '--url', 'http://127.0.0.1:1');
  t.regex(ran.stderr, /^x0t: No node answers there: .* \(node_unreachable\)\n {2}url: http/);
});

test('a server that is no node is told from one', async (t) => {
  const server = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const ran = await x0t(folder(t), 'status', '--url', `http://127.0.0.1:${port}`, '--json');
  t.is(ran.code, 3);
  t.is(envelope(ran).code, 'not_x0t');
});

test('keys and data directories are private', async (t) => {
  const cwd = folder(t);
  t.is((await x0t(cwd, 'init', '--data', 'd', '--json')).code, 0);
  for (const file of ['node.key', 'operator.key', 'peer.key', 'config.json']) {
    t.is(statSync(join(cwd, 'd', file)).mode & 0o777, 0o600, file);
  }
});

test('help names every command and its examples, and ends with 0', async (t) => {
  const cwd = folder(t);
  const all = await x0t(cwd, '--help');
  t.is(all.code, 0);
  for (const name of [
    'init',
    'start',
    'status',
    'kv',
    'event',
    'log',
    'key',
    'export',
    'audit',
    'rebuild',
    'testnet',
  ]) {
    t.regex(all.stdout, new RegExp(`^  ${name} `, 'm'));
  }
  const one = await x0t(cwd, 'kv', 'put', '--help');
  t.is(one.code, 0);
  t.deepEqual(await x0t(cwd, 'help', 'kv', 'put'), one);
  t.regex((await x0t(cwd, '--version')).stdout, /^x0t \d+\.\d+\.\d+, Node\.js 26\./);
  t.regex(one.stdout, /Examples:\n {2}\$ npx x0t kv put /);
});
