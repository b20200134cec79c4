import { randomBytes } from 'node:crypto';
import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { signRequest } from '#node/auth/request-signature.ts';
import type { SigningParts } from '#node/auth/request-signature.ts';
import { Client } from '#node/client.ts';
import { newGenesisSchema } from '#node/schema.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';
import { signedEvent, startSingleNode } from '#test/support/single-node.ts';

/** A caller that signs its requests is the actor that policies speak of. */

const operator = seededActor('calling operator');
const stranger = seededActor('calling stranger');
const net = netOf([seededActor('called')], [operator], 'called', newGenesisSchema());
const node = await startSingleNode({ net });
const url = await node.api.listen({ host: '127.0.0.1', port: 0 });
test.after.always(() => node.close());

const partsOf = ({ coseKey, signer }: TestActor): SigningParts => {
  return { coseKey, signer, wall_ms: Date.now, random: (count) => randomBytes(count) };
};

/** From now on only the operator may have the node write. */
async function closeWrites(): Promise<void> {
  const text = `forbid (principal, action == Action::"api.kv.write", resource)
    unless { principal == Actor::"${operator.actor}" };`;
  const entry = await signedEvent(node, 1, { kind: 'policy.put/1', body: { id: 'mine', text } });
  const { id } = await new Client(url).submit(entry.bytes, operator.coseKey);
  await new Client(url).waitFinal(id);
}

test.serial('who signs is told from who does not', async (t) => {
  const value = Uint8Array.of(1);
  t.is((await new Client(url).putKv('a', value, undefined, { isFinal: true })).state, 'final');
  await closeWrites();
  const refused = await t.throwsAsync(new Client(url).putKv('a', value));
  t.is(codeOf(refused), 'policy_denied');
  const signed = new Client(url, { signer: partsOf(operator) });
  t.is((await signed.putKv('a b', value, undefined, { isFinal: true })).state, 'final');
  t.is((await signed.getKv('a b')).seq, (await signed.status()).finalSeq);
  const third = new Client(url, { signer: partsOf(stranger) });
  const other = await t.throwsAsync(third.putKv('a', value));
  t.is(codeOf(other), 'policy_denied');
});

test.serial('another body, an old signature and a second use are refused', async (t) => {
  const target = `${url}/v1/kv/c`;
  const body = new TextEncoder().encode('signed');
  const request = { method: 'PUT', url: target, headers: { 'content-type': 'text/plain' } };
  const send = async (headers: Record<string, string>, sent: string): Promise<string> => {
    const response = await fetch(target, { method: 'PUT', headers, body: sent });
    const { code = 'ok' } = (await response.json()) as { code?: string };
    t.is(response.status, code === 'ok' ? 202 : 401);
    return code;
  };
  const headers = await signRequest(request, body, partsOf(operator));
  t.is(await send(headers, 'forged'), 'signature_wrong');
  const again = await signRequest(request, body, partsOf(operator));
  t.is(await send(again, 'signed'), 'ok');
  t.is(await send(again, 'signed'), 'signature_replayed');
  const old = { ...partsOf(operator), wall_ms: () => Date.now() - 3_600_000 };
  t.is(await send(await signRequest(request, body, old), 'signed'), 'signature_stale');
  const whole = await signRequest(request, body, partsOf(operator));
  const half = { ...whole, Signature: 'sig=:AA==:' };
  t.is(await send(half, 'signed'), 'signature_wrong');
});
