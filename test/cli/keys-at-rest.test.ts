import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { decodeSecretKey } from '#native/secret-key.ts';
import { PASSPHRASE_CHARS_MIN } from '#node/sealed-file.ts';
import { envelope, folder, json, start, x0t } from './support.ts';
import type { Ran } from './support.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** Keys are encrypted with a passphrase that comes from a file, and neither shows anywhere. */

const FIRST = 'a fine first passphrase';
const SECOND = 'and another one after it';

function withPassphrases(t: ExecutionContext): string {
  const cwd = folder(t);
  writeFileSync(join(cwd, 'first'), `${FIRST}\n`);
  writeFileSync(join(cwd, 'second'), SECOND);
  writeFileSync(join(cwd, 'short'), 'x'.repeat(PASSPHRASE_CHARS_MIN - 1));
  return cwd;
}

const textOf = (cwd: string, file: string): string => readFileSync(join(cwd, file), 'utf8');
const isSealed = (text: string): boolean => text.startsWith('-----BEGIN AGE ENCRYPTED FILE-----');

test.serial('a key is encrypted, opened, given another passphrase, and decrypted', async (t) => {
  const cwd = withPassphrases(t);
  const key = (...args: string[]): Promise<Ran> => x0t(cwd, 'key', ...args, '--json');
  const made = json(await key('new', 'me.key', '--passphrase-file', 'first'));
  t.true(isSealed(textOf(cwd, 'me.key')));
  t.is(statSync(join(cwd, 'me.key')).mode & 0o777, 0o600);
  const shown = await key('show', 'me.key', '--passphrase-file', 'first');
  t.is(json(shown).actor, made.actor);
  const before = textOf(cwd, 'me.key');
  for (const [option, code] of [
    [[], 'passphrase_missing'],
    [['--passphrase-file', 'second'], 'passphrase_wrong'],
    [['--passphrase-file', 'nowhere'], 'passphrase_unreadable'],
  ] as const) {
    t.is(envelope(await key('show', 'me.key', ...option)).code, code);
  }
  const weak = ['--passphrase-file', 'first', '--new-passphrase-file', 'short'];
  t.is(envelope(await key('encrypt', 'me.key', ...weak)).code, 'passphrase_weak');
  t.is(textOf(cwd, 'me.key'), before, 'what was refused changed nothing');
  const change = ['--passphrase-file', 'first', '--new-passphrase-file', 'second'];
  t.is((await key('encrypt', 'me.key', ...change)).code, 0);
  t.is(json(await key('show', 'me.key', '--passphrase-file', 'second')).actor, made.actor);
  t.is((await key('decrypt', 'me.key', '--passphrase-file', 'second')).code, 0);
  t.is(json(await key('show', 'me.key')).actor, made.actor);
  t.is((await key('export', 'me.key', '-o', 'me.pub')).code, 0);
  t.regex(textOf(cwd, 'me.pub'), /^-----BEGIN X0T COSE KEY-----/);
  t.notRegex(textOf(cwd, 'me.pub'), /PRIVATE/);
});

test.serial('an encrypted key that is damaged is said to be so', async (t) => {
  const cwd = withPassphrases(t);
  await x0t(cwd, 'key', 'new', 'me.key', '--passphrase-file', 'first');
  const lines = textOf(cwd, 'me.key').split('\n');
  const flip = (line: string): string => line.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'));
  writeFileSync(join(cwd, 'me.key'), lines.with(40, flip(lines[40] ?? '')).join('\n'));
  const ran = await x0t(cwd, 'key', 'show', 'me.key', '--passphrase-file', 'first', '--json');
  t.is(envelope(ran).code, 'key_malformed');
  t.is(ran.code, 5);
});

test.serial('a node runs on encrypted keys and shows none of them anywhere', async (t) => {
  const cwd = withPassphrases(t);
  const sealed = ['--passphrase-file', 'first'];
  await x0t(cwd, 'init', '--data', 'd', ...sealed);
  const files = readdirSync(join(cwd, 'd')).filter((name) => name.endsWith('.key'));
  t.deepEqual(files.toSorted(), ['node.key', 'operator.key', 'peer.key']);
  for (const file of files) t.true(isSealed(textOf(cwd, join('d', file))), file);
  const refusals: string[] = [];
  const locked = await x0t(cwd, 'start', '--data', 'd', '--json');
  t.is(envelope(locked).code, 'passphrase_missing');
  const ports = ['--api-port', '0', '--listen', '/ip4/127.0.0.1/tcp/0', '--log', 'debug'];
  const { started, stop } = await start(t, cwd, '--data', 'd', ...ports, ...sealed);
  const written = await x0t(cwd, 'kv', 'put', 'a', 'b', '--wait', '--data', 'd', ...sealed);
  t.is(written.code, 0, written.stderr);
  const wrong = await x0t(cwd, 'kv', 'put', 'a', 'c', '--data', 'd', '--passphrase-file', 'second');
  t.regex(wrong.stderr, /passphrase_wrong/);
  const status = await (await fetchAs(join(cwd, 'd'), `${started.url}/v1/status`)).text();
  t.notRegex(status, /not encrypted/);
  // refusals and their lines in the log hold no part of what was refused
  const own = textOf(cwd, 'd/api.token').trim();
  for (const authorization of [`Bearer ${own}`, `bearer ${own}x`, `Basic ${own}`]) {
    const headers = { authorization, 'x-forwarded-for': '192.0.2.1' };
    const refused = await fetch(`${started.url}/v1/log`, { headers });
    t.is(refused.status, 401);
    refusals.push(await refused.text(), JSON.stringify([...refused.headers]));
  }
  const node = await stop();
  t.is((await x0t(cwd, 'export', '--data', 'd', '--car', 'log.car')).code, 0);
  const shown = [written, wrong, locked, node].flatMap(({ stdout, stderr }) => [stdout, stderr]);
  const exported = readFileSync(join(cwd, 'log.car'), 'latin1');
  const everything = [...shown, ...refusals, status, exported].join('\n');
  t.true(everything.includes('node started'), 'the log is among it');

  t.is((await x0t(cwd, 'key', 'decrypt', '--data', 'd', ...sealed)).code, 0);
  for (const file of ['node.key', 'operator.key']) {
    const [, base64 = ''] = /PRIVATE KEY-----\n([^-]+)/.exec(textOf(cwd, join('d', file))) ?? [];
    const secret = decodeSecretKey(Uint8Array.fromBase64(base64.replaceAll('\n', '')));
    // K, and the beginning of what follows tr (FIPS 204, algorithm 24): rho before is public
    for (const part of [secret.subarray(32, 64), secret.subarray(128, 160)]) {
      for (const form of formsOf(part)) t.false(everything.includes(form), file);
    }
  }
  const peer = readFileSync(join(cwd, 'd', 'peer.key')).subarray(4, 36);
  for (const form of formsOf(peer)) t.false(everything.includes(form), 'peer.key');
  t.false(everything.includes(FIRST));
  t.false(everything.includes(SECOND));
  for (const file of ['api.token', 'monitor.token']) {
    t.is(statSync(join(cwd, 'd', file)).mode & 0o777, 0o600);
    const token = textOf(cwd, join('d', file)).trim();
    t.is(token.length, 43);
    t.false(everything.includes(token), file);
    for (const form of formsOf(Uint8Array.fromBase64(token, { alphabet: 'base64url' }))) {
      t.false(everything.includes(form), file);
    }
  }
});

/** Ways to write bytes; of base64 the part that does not depend on what stands before. */
function formsOf(bytes: Uint8Array): string[] {
  const base64 = [0, 1, 2].map((skip) => bytes.subarray(skip, skip + 27).toBase64());
  return [
    Buffer.from(bytes).toString('latin1'),
    bytes.toHex(),
    ...base64.flatMap((text) => [text, text.replaceAll('+', '-').replaceAll('/', '_')]),
    [...bytes].join(','),
  ];
}

test.serial('a backup makes the node again, which follows, since its store is gone', async (t) => {
  const cwd = withPassphrases(t);
  const made = json(await x0t(cwd, 'init', '--data', 'd', '--json'));
  const out = ['-o', 'd.age', '--passphrase-file', 'first'];
  t.is((await x0t(cwd, 'key', 'backup', '--data', 'd', ...out)).code, 0);
  t.true(isSealed(textOf(cwd, 'd.age')));
  const again = await x0t(cwd, 'key', 'backup', '--data', 'd', ...out, '--json');
  t.is(envelope(again).code, 'key_exists');
  const from = ['restore', 'd.age', '--data', 'e'];
  const wrong = await x0t(cwd, 'key', ...from, '--passphrase-file', 'second', '--json');
  t.is(envelope(wrong).code, 'passphrase_wrong');
  const restored = await x0t(cwd, 'key', ...from, '--plain', '--passphrase-file', 'first');
  t.is(restored.code, 0, restored.stderr);
  for (const file of ['node.key', 'operator.key', 'peer.key', 'genesis.cbor', 'config.json']) {
    t.deepEqual(readFileSync(join(cwd, 'e', file)), readFileSync(join(cwd, 'd', file)), file);
  }
  const into = ['restore', 'd.age', '--data', 'f', '--passphrase-file', 'first'];
  t.is((await x0t(cwd, 'key', ...into)).code, 0);
  t.true(isSealed(textOf(cwd, join('f', 'node.key'))), 'encrypted unless it is to be plain');
  const ports = ['--api-port', '0', '--listen', '/ip4/127.0.0.1/tcp/0'];
  const { started, stop } = await start(t, cwd, '--data', 'e', ...ports);
  const status = (await (await fetchAs(join(cwd, 'e'), `${started.url}/v1/status`)).json()) as {
    readonly actor: string;
    readonly limitations: readonly string[];
  };
  t.is(status.actor, made.actor);
  t.true(status.limitations.some((text) => text.includes('lost or set back')));
  await stop();
  const other = await x0t(cwd, 'key', 'restore', 'd.age', '--data', 'd', ...out.slice(2));
  t.regex(other.stderr, /not_empty/);
});
