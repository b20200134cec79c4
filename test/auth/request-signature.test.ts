import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';
import { Nonces } from '#node/auth/nonces.ts';
import { AGE_S_MAX, digestOf, signRequest, signerOf } from '#node/auth/request-signature.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { seededActor } from '#test/support/seeded-actor.ts';

/** An actor's request is taken once, soon, and only as it was signed. */

const verifier = await createVerifierPool({ engine: 'liboqs', workers: 0 });
const me = seededActor('caller');
const other = seededActor('another caller');
const BODY = new TextEncoder().encode('a value');
const URL_SIGNED = 'http://node.test:8420/v1/kv/a%20key?wait=final';
const REFUSED = new Set(['signature_malformed', 'signature_wrong']);
let salt = 0;

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
}

async function signed(clock: VirtualClock, body: Uint8Array | undefined = BODY): Promise<Sent> {
  const request = { method: 'PUT', url: URL_SIGNED, headers: { host: 'node.test:8420' } };
  const headers = await signRequest(request, body, {
    ...me,
    wall_ms: () => clock.wall_ms(),
    random: (count) => new Uint8Array(count).fill((salt += 1)),
  });
  return { ...request, headers };
}

function checker(clock: VirtualClock): (sent: Sent, hasBody?: boolean) => Promise<string> {
  const nonces = new Nonces(clock, 2000 * AGE_S_MAX);
  return (sent, hasBody = true) =>
    signerOf(sent, hasBody, { verifier, clock, nonces }).catch((error: unknown) => codeOf(error));
}

test('a signed request names its actor, once', async (t) => {
  const clock = new VirtualClock(1_800_000_000_000);
  const check = checker(clock);
  const sent = await signed(clock);
  t.is(sent.headers['content-digest'], digestOf(BODY));
  t.is(await check(sent), me.actor);
  t.is(await check(sent), 'signature_replayed');
  t.is(await check(await signed(clock, undefined), false), me.actor);
});

test('nothing that is signed can be changed', async (t) => {
  const clock = new VirtualClock(1_800_000_000_000);
  const check = checker(clock);
  const sent = await signed(clock);
  const changed: readonly Sent[] = [
    { ...sent, method: 'DELETE' },
    { ...sent, url: URL_SIGNED.replace('a%20key', 'b') },
    { ...sent, url: URL_SIGNED.replace('final', 'accepted') },
    { ...sent, url: URL_SIGNED.replace('node.test', 'other.test') },
    { ...sent, headers: { ...sent.headers, 'content-digest': digestOf(Uint8Array.of(1)) } },
  ];
  for (const one of changed) t.is(await check(one), 'signature_wrong', JSON.stringify(one.url));
  const input = sent.headers['Signature-Input'] ?? '';
  for (const [from, to] of [
    ['"@query"', ''],
    ['"content-digest"', ''],
    ['tag="x0t-api"', 'tag="other"'],
    [/alg="[^"]*"/, 'alg="none"'],
    [/nonce="[^"]*"/, 'nonce=""'],
  ] as const) {
    const headers = { ...sent.headers, 'Signature-Input': input.replace(from, to) };
    t.true(REFUSED.has(await check({ ...sent, headers })), String(from));
  }
  const swapped = { ...sent.headers, 'x0t-key': other.coseKey.toBase64() };
  t.is(await check({ ...sent, headers: swapped }), 'signature_malformed');
  t.is(await check(sent), me.actor, 'none of them has used its nonce up');
});

test('a signature is taken for a minute, also from a clock that is ahead', async (t) => {
  const clock = new VirtualClock(1_800_000_000_000);
  const check = checker(clock);
  const [early, late, ahead] = [await signed(clock), await signed(clock), await signed(clock)];
  await clock.run(1000 * AGE_S_MAX);
  t.is(await check(early), me.actor);
  await clock.run(1000);
  t.is(await check(late), 'signature_stale');
  const behind = new VirtualClock(1_800_000_000_000 - 1000 * (AGE_S_MAX + 1));
  t.is(await checker(behind)(ahead), 'signature_stale');
});

test('what is no signature is said to be malformed', async (t) => {
  const clock = new VirtualClock(1_800_000_000_000);
  const check = checker(clock);
  const sent = await signed(clock);
  for (const [name, value] of [
    ['x0t-key', 'AAAA'],
    ['Signature', 'sig=:AAAA'],
    ['Signature-Input', '(((('],
    ['Signature', 'x=:AAAA:'],
  ] as const) {
    const headers = { ...sent.headers, [name]: value };
    t.true(REFUSED.has(await check({ ...sent, headers })), name);
  }
  t.is(await check({ ...sent, headers: {} }), 'signature_malformed');
});
