import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { printable, printableBytes } from '#node/cli/printable.ts';
import { folder, x0t } from './support.ts';

/** What others wrote reaches a terminal as text, and does nothing there. */

const CLIPBOARD = '\u001b]52;c;aGk=\u0007';
const EVIL = `a${CLIPBOARD}\u009b31m\u202egnp.exe\u2066\r\u0008\u007f\nz`;
const SHOWN =
  String.raw`a\u001b]52;c;aGk=\u0007\u009b31m\u202egnp.exe\u2066\u000d\u0008\u007f\u000az`;
const CONTROLS = /(?![\n\t])[\p{Cc}\p{Bidi_Control}]/u;

/** A node that answers every request with this. */
async function hostile(t: ExecutionContext, status: number, body: unknown): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('keys and types in lists are escaped, each in its line', async (t) => {
  const entry = { key: EVIL, value: 'AA==', type: EVIL, seq: 1, ts_ms: 1, level: 'final' };
  const url = await hostile(t, 200, { entries: [entry, { ...entry, key: 'b' }] });
  const { stdout, code } = await x0t(folder(t), 'kv', 'list', '--url', url);
  t.is(code, 0);
  t.notRegex(stdout, CONTROLS);
  t.is(stdout.split('\n').length, 3, stdout);
  t.true(stdout.startsWith(`${SHOWN}  seq 1`) && stdout.includes(`bytes  ${SHOWN}\n`), stdout);
  const json = await x0t(folder(t), 'kv', 'list', '--url', url, '--json');
  t.is((JSON.parse(json.stdout) as { entries: (typeof entry)[] }).entries[0]?.key, EVIL);
});

test('where a list goes on is one word of a shell, whatever key it is', async (t) => {
  const key = `$(touch x) \`id\` "$HOME" it's\\ 'b' !1`;
  const entry = { key: 'a', value: 'AA==', seq: 1, ts_ms: 1, level: 'final' };
  const url = await hostile(t, 200, { entries: [entry], next: key });
  const { stdout } = await x0t(folder(t), 'kv', 'list', '--url', url);
  const [, word = ''] = /^more: --after (.*)$/m.exec(stdout) ?? [];
  t.is(execFileSync('/bin/sh', ['-c', `printf %s ${word}`], { encoding: 'utf8' }), key);
  const worse = await hostile(t, 200, { entries: [entry], next: EVIL });
  const more = await x0t(folder(t), 'kv', 'list', '--url', worse);
  t.regex(more.stdout, /^more: after a key with controls, which --json shows as `next`\n$/m);
  t.is(more.stdout.split('\n').length, 3);
});

test('so are errors of a node, with all that they say', async (t) => {
  const body = { code: `x${EVIL}`, message: EVIL, detail: { [EVIL]: EVIL }, requestId: EVIL };
  const url = await hostile(t, 400, body);
  const { stderr } = await x0t(folder(t), 'status', '--url', url);
  t.notRegex(stderr, CONTROLS);
  t.is(stderr, `x0t: ${SHOWN} (x${SHOWN})\n  ${SHOWN}: ${SHOWN}\n  requestId: ${SHOWN}\n`);
});

test('a value goes to a program as it is, and to a terminal as text', async (t) => {
  const value = Buffer.from(`${EVIL}\u00e4\ud83d\ude00\t`);
  const url = await hostile(t, 200, { key: 'k', value: value.toString('base64') });
  const { stdout } = await x0t(folder(t), 'kv', 'get', 'k', '--url', url);
  t.is(stdout, value.toString());
  const shown = printableBytes(value);
  t.deepEqual(shown, { text: printable(value.toString()), isWhole: false });
  t.notRegex(shown.text, CONTROLS);
  t.true(shown.text.endsWith('\nz\u00e4\ud83d\ude00\t'), 'lines, tabs and letters stay');
  t.deepEqual(printableBytes(Buffer.from('f\u00fcr\n')), { text: 'f\u00fcr\n', isWhole: true });
  t.false(printableBytes(Uint8Array.of(0x9b, 0xff)).isWhole);
});
