import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { decodeCertificate, verifyCertificate } from '#ledger/certificate.ts';
import { decodeConsistency } from '#ledger/consistency.ts';
import { textOf } from '#ledger/ids.ts';
import { verifyConsistency } from '#ledger/merkle-proof.ts';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { directVerifier } from '#test/support/cluster.ts';
import { signedEvent, startSingleNode, submission, untilFinal } from '#test/support/single-node.ts';
import type { SingleNode } from '#test/support/single-node.ts';

const node = await startSingleNode();
const verifier = await directVerifier();
test.after.always(() => node.close());

const cbor = { accept: 'application/cbor' };
const get = (url: string, headers: Record<string, string> = {}) =>
  node.api.inject({ url, headers });

async function submit(to: SingleNode, seq: number): Promise<string> {
  const entry = await signedEvent(to, seq);
  const payload = submission(entry, to.operator);
  const headers = { 'content-type': 'application/cbor' };
  await to.api.inject({ method: 'POST', url: '/v1/events', headers, payload });
  return textOf(entry.id);
}

async function untilCertified(size: number): Promise<void> {
  const { certifier } = node.core;
  while ((certifier.latest?.checkpoint.size ?? 0) < size) await sleep(20);
}

test.serial('nothing is certified before the first event', async (t) => {
  const none = await get('/v1/checkpoints/latest');
  t.is(none.statusCode, 404);
  t.is(none.json<{ code: string }>().code, 'not_certified');
  t.false('checkpoint' in (await get('/v1/status')).json<object>());
});

test.serial('the receipt of a final event verifies with the genesis alone', async (t) => {
  const id = await submit(node, 1);
  await untilFinal(node, 1);
  await untilCertified(1);
  const reply = await get(`/v1/events/${id}/receipt`);
  t.is(reply.statusCode, 200);
  t.is(reply.headers['content-type'], 'application/cbor');
  const bytes = Uint8Array.from(reply.rawPayload);
  const proven = await verifyReceipt(bytes, node.net.chain.genesisBytes, verifier);
  t.like(proven, { seq: 1, verdict: 0, signedBy: 'actor' });
  t.is(textOf(proven.entry.id), id);
});

test.serial('checkpoints come as JSON or certificates; one begins with the other', async (t) => {
  for (const seq of [2, 3]) await submit(node, seq);
  await untilFinal(node, 3);
  await untilCertified(3);
  const { latest } = node.core.certifier;
  const reply = await get('/v1/checkpoints/latest');
  t.like(reply.json<object>(), {
    id: textOf(latest?.checkpoint.id ?? ''),
    size: 3,
    epoch: 0,
    signers: [node.net.validators[0]?.actor],
  });
  t.deepEqual((await get('/v1/checkpoints/3')).json<object>(), reply.json<object>());
  const bytes = (await get('/v1/checkpoints/latest', cbor)).rawPayload;
  const certificate = decodeCertificate(Uint8Array.from(bytes));
  await verifyCertificate(certificate, node.net.chain.committee, verifier);
  const first = (await get('/v1/checkpoints/1', cbor)).rawPayload;
  const older = decodeCertificate(Uint8Array.from(first));
  const answer = await get('/v1/checkpoints/3/consistency?from=1');
  const { from, to, path } = decodeConsistency(Uint8Array.from(answer.rawPayload));
  t.deepEqual([from, to], [1, 3]);
  const root = ({ checkpoint }: typeof older) => Uint8Array.fromHex(checkpoint.root);
  t.true(verifyConsistency(from, root(older), to, root(certificate), path));
  const status = (await get('/v1/status')).json<{ checkpoint: { size: number; age_ms: number } }>();
  t.is(status.checkpoint.size, 3);
  t.true(status.checkpoint.age_ms >= 0 && status.checkpoint.age_ms < 3_600_000);
  t.regex((await get('/metrics')).body, /^x0t_certified_log_events 3$/m);
});

test.serial('what cannot be answered has a code', async (t) => {
  const cases: [string, number, string][] = [
    ['/v1/checkpoints/77', 404, 'not_certified'],
    ['/v1/checkpoints/0', 400, 'bad_request'],
    ['/v1/checkpoints/x', 400, 'bad_request'],
    ['/v1/checkpoints/77/consistency?from=1', 404, 'not_certified'],
    ['/v1/checkpoints/3/consistency?from=4', 400, 'out_of_range'],
    ['/v1/checkpoints/3/consistency', 400, 'bad_request'],
    [`/v1/events/${'ab'.repeat(32)}/receipt`, 404, 'no_such_event'],
    ['/v1/events/nothing/receipt', 400, 'bad_id'],
  ];
  for (const [url, status, code] of cases) {
    const reply = await get(url);
    t.is(reply.statusCode, status, url);
    t.is(reply.json<{ code: string }>().code, code, url);
  }
});

test.serial('an event that is not final, or not certified, has no receipt yet', async (t) => {
  const idle = await startSingleNode({ seals: false });
  const id = await submit(idle, 1);
  const reply = await idle.api.inject(`/v1/events/${id}/receipt`);
  t.is(reply.statusCode, 404);
  t.is(reply.json<{ code: string }>().code, 'not_final');
  await idle.close();
  // the idle cut waits a second: here for ever
  node.core.replica.cutIdle = () => undefined;
  const early = await submit(node, 4);
  await untilFinal(node, 4);
  const soon = await get(`/v1/events/${early}/receipt`);
  t.is(soon.json<{ code: string }>().code, 'not_certified');
});
