import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readRequestKey, signedHeaders } from '#deploy/net/sign.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';
import { SignatureCheck } from '#node/auth/signature-check.ts';
import { VerificationWork } from '#node/auth/verification-work.ts';
import { createKeyFile } from '#node/keys.ts';
import { memoryAhead } from '#test/auth/memory-ahead.ts';
import { incoming } from '#test/auth/signed-request.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';

/** The scenarios of the containers sign with code of their own: nodes take it. */

test('what the test net of containers signs is what nodes check', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'x0t-sign-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'operator.key');
  const { actor } = await createKeyFile(file);
  const key = readRequestKey(await readFile(file, 'utf8'));
  t.is(key.id, actor);
  const clock = new VirtualClock(1_800_000_000_000);
  const check = new SignatureCheck({
    verifier: await createVerifierPool({ engine: 'liboqs', workers: 0 }),
    clock,
    keyOf: (one) => (one === actor ? actor : undefined),
    work: new VerificationWork({ perSecond: 1, burst: 10 }, clock),
    own: () => ({
      actor: 'a'.repeat(64),
      names: ['node-1.api'],
      listeners: [{ host: '0.0.0.0', port: 8420 }],
    }),
    ahead: await memoryAhead(clock),
  });
  for (const [method, path, body] of [
    ['GET', '/v1/kv?prefix=a%2F&limit=10', undefined],
    ['GET', '/v1/status', undefined],
    ['PUT', '/v1/kv/a%2Fb?wait=final', 'a value'],
  ] as const) {
    const url = new URL(`http://node-1.api:8420${path}`);
    const headers = {
      host: url.host,
      ...(body !== undefined && { 'content-length': `${body.length}` }),
      ...signedHeaders(key, method, url, body, clock.wall_ms()),
    };
    const { principal } = await check.callerOf(incoming({ method, url: url.href, headers }));
    t.deepEqual(principal, { type: 'Actor', id: actor });
  }
});
