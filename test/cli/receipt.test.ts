import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { envelope, folder, json, start, x0t } from './support.ts';

/** One after the other: each starts processes, and the machine may have two cores. */

test.serial('a receipt is saved, and verified where there is no node', async (t) => {
  const cwd = folder(t);
  await x0t(cwd, 'init', '--data', 'd', '--api-port', '0', '--p2p-port', '0');
  const node = await start(t, cwd, '--data', 'd');
  const put = await x0t(cwd, 'kv', 'put', 'deed', 'signed', '--data', 'd', '--wait', '--json');
  const { id } = json(put);
  const saved = await x0t(cwd, 'receipt', id, '-o', 'deed.receipt', '--data', 'd', '--json');
  t.is(saved.code, 0, saved.stderr);
  t.like(json(saved), { file: 'deed.receipt', id, seq: 1, size: 1 });
  const seen = await x0t(cwd, 'checkpoint', '-o', 'seen.checkpoint', '--data', 'd', '--json');
  t.like(json(seen), { size: 1, epoch: 0, signatures: 1 });
  const { url } = node.started;
  const at = ['--url', url, '--token-file', join('d', 'api.token')];
  const bare = await x0t(cwd, 'kv', 'put', 'b', 'by the node', ...at, '--wait', '--json');
  const second = await x0t(cwd, 'receipt', json(bare).id, '--data', 'd');
  t.is(second.code, 0, second.stderr);
  const newer = await x0t(cwd, 'checkpoint', '-o', 'newer.checkpoint', '--data', 'd');
  t.regex(newer.stdout, /^size +2$/m);
  const grown = await x0t(cwd, 'checkpoint', '--from', '1', '-o', 'grown', '--data', 'd');
  t.is(grown.code, 0, grown.stderr);
  const status = await x0t(cwd, 'status', '--data', 'd');
  t.regex(status.stdout, /^certified +2 events, [0-9]+ s ago$/m);
  const again = await x0t(cwd, 'receipt', id, '-o', 'deed.receipt', '--data', 'd', '--json');
  t.is(envelope(again).code, 'file_unwritable');
  await node.stop();

  const genesis = ['--genesis', join('d', 'genesis.cbor')];
  const verified = await x0t(cwd, 'verify', 'deed.receipt', ...genesis, '--json');
  t.is(verified.code, 0, verified.stderr);
  t.like(json(verified), { ok: true, event: id, signedBy: 'actor', verdict: 'applied', seq: 1 });
  const other = `${json(bare).id}.receipt`;
  const text = await x0t(cwd, 'verify', other, ...genesis, '--engine', 'openssl');
  t.is(text.code, 0, text.stderr);
  t.regex(text.stdout, /^VALID\n(.*\n)*signed +by its actor's block, key [0-9a-f]{64}\n/);

  const trusting = ['verify', 'deed.receipt', ...genesis, '--trusted-checkpoint'];
  t.is((await x0t(cwd, ...trusting, 'seen.checkpoint')).code, 0);
  const older = await x0t(cwd, ...trusting, 'newer.checkpoint', '--json');
  t.is(older.code, 1);
  t.like(json(older), { ok: false, code: 'receipt_before_trusted' });
  t.is((await x0t(cwd, ...trusting, 'newer.checkpoint', '--consistency', 'grown')).code, 0);

  const file = join(cwd, 'deed.receipt');
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4;
  writeFileSync(file, bytes);
  const wrong = await x0t(cwd, 'verify', 'deed.receipt', ...genesis);
  t.is(wrong.code, 1);
  t.regex(wrong.stdout, /^INVALID: /);
  t.is((await x0t(cwd, 'verify', 'nothing', ...genesis)).code, 2);
  t.is((await x0t(cwd, 'verify', 'deed.receipt')).code, 2);
});
