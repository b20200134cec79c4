import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { envelope, fed, folder, json, run, start, x0t } from './support.ts';

/** One after the other: each starts processes, and the machine may have two cores. */

test.serial('a node is made, started, asked, written to, read and stopped', async (t) => {
  const cwd = folder(t);
  const made = await x0t(
    cwd,
    'init',
    '--data',
    'd',
    '--api-port',
    '0',
    '--p2p-port',
    '0',
    '--json',
  );
  t.is(made.code, 0, made.stderr);
  const { chain, role, operator } = json(made);
  t.is(role, 'validator');

  const node = await start(t, cwd, '--data', 'd');
  const { url } = node.started;
  t.is(node.started.chain, chain);
  t.is(readFileSync(join(cwd, 'd', 'api.url'), 'utf8').trim(), url);
  const ready = await fetch(`${url}/readyz`);
  t.is(ready.status, 200);
  t.deepEqual(await ready.json(), { ready: true, reasons: [] });

  const status = await x0t(cwd, 'status', '--data', 'd', '--json');
  t.is(status.code, 0);
  t.like(json(status), { chain, role: 'validator', n: 1, finalSeq: 0 });
  const text = await x0t(cwd, 'status', '--data', 'd');
  t.regex(text.stdout, /^final events +0$/m);

  const put = await x0t(cwd, 'kv', 'put', 'greeting', 'hello', '--data', 'd', '--wait', '--json');
  t.is(put.code, 0, put.stderr);
  t.like(json(put), { state: 'final', seq: 1, verdict: 'applied', signedBy: operator });
  const byNode = await x0t(
    cwd,
    'kv',
    'put',
    'a/../b',
    'by the node',
    '--url',
    url,
    '--token-file',
    'd/api.token',
    '--wait',
    '--json',
  );
  t.like(json(byNode), { state: 'final', seq: 2, signedBy: 'node' });

  const got = await x0t(cwd, 'kv', 'get', 'greeting', '--data', 'd');
  t.is(got.stdout, 'hello');
  const gotJson = json(await x0t(cwd, 'kv', 'get', 'a/../b', '--data', 'd', '--json'));
  t.like(gotJson, { key: 'a/../b', text: 'by the node', seq: 2, level: 'final' });

  const piped = await fed('from stdin\n', cwd, 'kv', 'put', 'p', '--file', '-', '--data', 'd');
  t.is(piped.code, 0, piped.stderr);
  const accepted = await x0t(cwd, 'kv', 'get', 'p', '--data', 'd', '--level', 'accepted');
  t.is(accepted.stdout, 'from stdin\n');
  const dropped = await x0t(cwd, 'kv', 'delete', 'p', '--data', 'd', '--wait');
  t.regex(dropped.stdout, /^final 4, applied: /);

  const list = await x0t(cwd, 'kv', 'list', '--data', 'd', '--json');
  const { entries } = json(list);
  t.deepEqual(
    entries.map(({ key }) => key),
    ['a/../b', 'greeting'],
  );
  const some = await x0t(cwd, 'kv', 'list', '--data', 'd', '--prefix', 'g');
  t.regex(some.stdout, /^greeting +seq 1 .* 5 bytes +text\/plain/);

  const gone = await x0t(cwd, 'kv', 'delete', 'greeting', '--data', 'd', '--wait');
  t.regex(gone.stdout, /^final 5, applied: /);
  const missing = await x0t(cwd, 'kv', 'get', 'greeting', '--data', 'd', '--json');
  t.is(missing.code, 4);
  t.like(envelope(missing), { code: 'no_such_key', detail: { key: 'greeting' } });

  const log = await x0t(cwd, 'log', '--data', 'd', '--json');
  const lines = log.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { seq: number });
  t.deepEqual(
    lines.map(({ seq }) => seq),
    [1, 2, 3, 4, 5],
  );
  const last = await x0t(cwd, 'log', '--data', 'd', '--limit', '1');
  t.regex(last.stdout, /^5 {2}.* applied {2}kv\.delete\/1 {2}[0-9a-f]{12} {2}bafyrei\w+\n$/);

  const stopped = await node.stop();
  t.is(stopped.code, 0, stopped.stderr);
  t.false(existsSync(join(cwd, 'd', 'api.url')));
  t.false(stopped.stdout.includes('"level"'), 'logs go to stderr');
});

test.serial('events are signed, saved, submitted, refused and shown', async (t) => {
  const cwd = folder(t);
  await x0t(cwd, 'init', '--data', 'd', '--api-port', '0', '--p2p-port', '0');
  await start(t, cwd, '--data', 'd', '--log', 'silent');
  const body = '{"key":"k","value":{"$bytes":"aGVsbG8="}}';

  const sent = await x0t(
    cwd,
    'event',
    'submit',
    'kv.put/1',
    body,
    '--data',
    'd',
    '--wait',
    '--json',
  );
  t.is(sent.code, 0, sent.stderr);
  const { id } = json(sent);
  const shown = json(await x0t(cwd, 'event', 'show', id, '--data', 'd', '--json'));
  t.like(shown, { id, state: 'final', signed: true, verdict: 'applied' });
  t.like(shown, { event: { kind: 'kv.put/1', body: JSON.parse(body) as object } });
  t.regex((await x0t(cwd, 'event', 'show', id, '--data', 'd')).stdout, /^verdict +applied$/m);

  const delayed = ['kv.delete/1', '{"key":"k"}', '--data', 'd', '--save', 'event.cbor'];
  const saved = await x0t(cwd, 'event', 'submit', ...delayed);
  t.is(saved.code, 0, saved.stderr);
  const twice = await x0t(cwd, 'event', 'submit', ...delayed, '--json');
  t.like(envelope(twice), { code: 'file_unwritable' });
  const handed = ['event', 'submit', '--file', 'event.cbor', '--data', 'd', '--wait', '--json'];
  t.like(json(await x0t(cwd, ...handed)), { state: 'final', seq: 2 });
  t.like(json(await x0t(cwd, ...handed)), { state: 'final', seq: 2 }, 'the same event once');

  const wrong = await x0t(cwd, 'event', 'submit', 'kv.put/1', '{"key":1}', '--data', 'd', '--json');
  t.is(wrong.code, 4);
  t.is(envelope(wrong).code, 'bad_body');
  t.regex(envelope(wrong).message, /: .* value\.$/, 'it names the field');
  const stale = ['kv', 'put', 'k', 'x', '--if-seq', '9', '--data', 'd', '--wait', '--json'];
  const refused = await x0t(cwd, ...stale);
  t.is(refused.code, 4);
  t.like(envelope(refused), { code: 'not_applied', detail: { verdict: 'kv_precondition' } });
  const unknown = await x0t(cwd, 'event', 'show', 'f'.repeat(64), '--data', 'd', '--json');
  t.is(envelope(unknown).code, 'no_such_event');

  const stranger = await x0t(cwd, 'key', 'new', 'me.key', '--json');
  const { actor } = json(stranger);
  t.like(json(await x0t(cwd, 'key', 'show', 'me.key', '--json')), { actor });
  const shut = await x0t(cwd, 'kv', 'put', 'k', 'x', '--key', 'me.key', '--data', 'd', '--json');
  t.is(shut.code, 4);
  t.like(envelope(shut), { code: 'not_member', detail: { keyFile: 'me.key' } });
  t.regex(envelope(shut).message, /me\.key .* --key/);
});

test.serial('writes at once with one key all become final and are followed', async (t) => {
  const cwd = folder(t);
  await x0t(cwd, 'init', '--data', 'd', '--api-port', '0', '--p2p-port', '0');
  await start(t, cwd, '--data', 'd', '--log', 'silent');
  const put = (key: string) => x0t(cwd, 'kv', 'put', key, 'x', '--data', 'd', '--wait', '--json');
  const ran = await Promise.all(['a', 'b', 'c', 'd'].map(put));
  t.deepEqual(
    ran.map(({ code }) => code),
    [0, 0, 0, 0],
    ran.map(({ stderr }) => stderr).join(''),
  );
  const seqs = ran.map((one) => json(one).seq);
  t.deepEqual(
    seqs.toSorted((a, b) => a - b),
    [1, 2, 3, 4],
  );

  const follower = await run(t, cwd, 'log', '--follow', '--from', '3', '--data', 'd', '--json');
  const late = await put('late');
  t.is(late.code, 0, late.stderr);
  await follower.lines(3);
  const followed = await follower.stop('SIGINT');
  t.is(followed.code, 0, followed.stderr);
  const lines = followed.stdout.trim().split('\n');
  t.deepEqual(
    lines.map((line) => (JSON.parse(line) as { seq: number }).seq),
    [3, 4, 5],
  );
});
