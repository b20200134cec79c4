import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';
import type { Caller } from '#node/auth/caller.ts';
import { Nonces } from '#node/auth/nonces.ts';
import { digestOf } from '#node/auth/request-signature.ts';
import { AHEAD_S_MAX } from '#node/auth/ahead-marks.ts';
import { AGE_S_MAX, SignatureCheck } from '#node/auth/signature-check.ts';
import { VerificationWork } from '#node/auth/verification-work.ts';
import { codeIn } from '#test/support/codes.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { memoryAhead, memoryFile } from './memory-ahead.ts';
import { incoming, partsOf, signed } from './signed-request.ts';
import type { Sent } from './signed-request.ts';

/** An actor's request is taken once, soon, at the node that it is for, only as it was signed. */

const engine = await createVerifierPool({ engine: 'liboqs', workers: 0 });
const me = seededActor('caller');
const other = seededActor('another caller');
const NOW_MS = 1_800_000_000_000;
const NODE = 'a'.repeat(64);
const BODY = new TextEncoder().encode('a value');
const HOST = 'node.test:8420';
const URL_SIGNED = `http://${HOST}/v1/kv/a%20key?wait=final`;
const TYPE = { 'content-type': 'text/plain', 'if-match': '"3"' };

interface Bench {
  readonly clock: VirtualClock;
  readonly members: Set<string>;
  /** Signatures that were looked at. */
  verified: number;
  readonly callerOf: (sent: Sent) => Promise<Caller>;
  /** The actor, or the code of the refusal. */
  ask(sent: Sent, change?: Parameters<typeof incoming>[1]): Promise<string>;
  sign(options?: Parameters<typeof signed>[2], url?: string): Promise<Sent>;
}

async function bench(
  nonces = new Nonces(),
  max?: number,
  host = '192.0.2.1',
  file = memoryFile(),
  now_ms = NOW_MS,
): Promise<Bench> {
  const clock = new VirtualClock(now_ms);
  const members = new Set([me.actor]);
  const one: Bench = {
    clock,
    members,
    verified: 0,
    callerOf: (sent) => check.callerOf(incoming(sent)),
    ask: async (sent, change) => {
      try {
        return (await check.callerOf(incoming(sent, change))).principal.id;
      } catch (error) {
        return codeOf(error);
      }
    },
    sign: (options = { body: BODY, headers: TYPE }, url = URL_SIGNED) =>
      signed(partsOf(me, () => clock.wall_ms()), url, options),
  };
  const failures = { perSecond: 1, burst: 1000 };
  const check = new SignatureCheck({
    verifier: {
      verify: (jobs) => {
        one.verified += jobs.length;
        return engine.verify(jobs);
      },
    },
    clock,
    keyOf: (actor) => (members.has(actor) ? actor : undefined),
    work: new VerificationWork(failures, clock, max),
    own: () => ({ actor: NODE, names: ['node.test'], listeners: [{ host, port: 8420 }] }),
    ahead: await memoryAhead(clock, file),
    nonces,
  });
  return one;
}

test('a signed request names its actor, once', async (t) => {
  const one = await bench();
  const sent = await one.sign();
  t.is(sent.headers['content-digest'], digestOf(BODY));
  t.is(await one.ask(sent), me.actor);
  t.is(await one.ask(sent), 'signature_replayed');
  t.is(await one.ask(await one.sign({ method: 'GET' })), me.actor);
});

test('nothing that is signed can be changed', async (t) => {
  const one = await bench();
  const sent = await one.sign();
  const changed: readonly Sent[] = [
    { ...sent, method: 'DELETE' },
    { ...sent, url: URL_SIGNED.replace('a%20key', 'b') },
    { ...sent, url: URL_SIGNED.replace('final', 'accepted') },
    { ...sent, headers: { ...sent.headers, 'content-digest': digestOf(Uint8Array.of(1)) } },
    { ...sent, headers: { ...sent.headers, 'content-type': 'text/html' } },
    { ...sent, headers: { ...sent.headers, 'if-match': '"4"' } },
  ];
  for (const altered of changed) {
    t.is(await one.ask(altered), 'signature_wrong', JSON.stringify(altered.url));
  }
  const added = { ...sent, headers: { ...sent.headers, 'if-none-match': '*' } };
  t.is(await one.ask(added), 'signature_malformed', 'a header that it would have to cover');
  t.is(await one.ask(sent), me.actor, 'none of them has used its nonce up');
});

test('a body cannot be taken away on the way, nor its digest', async (t) => {
  const one = await bench();
  const sent = await one.sign();
  const { 'content-digest': digest = '', 'content-length': length, ...bare } = sent.headers;
  t.is(length, `${BODY.length}`);
  const ask = (headers: Record<string, string>) => one.ask({ ...sent, headers });
  const framings = [{}, { 'content-length': '0' }];
  for (const framing of framings) {
    const headers = { ...bare, ...framing };
    t.is(await ask({ ...headers, 'content-digest': digest }), 'signature_wrong');
    const nothing = digestOf(new Uint8Array());
    t.is(await ask({ ...headers, 'content-digest': nothing }), 'signature_wrong');
    t.is(await ask(headers), 'signature_malformed');
  }
  const chunked = { ...bare, 'content-digest': digest, 'transfer-encoding': 'chunked' };
  const caller = await one.callerOf({ ...sent, headers: chunked });
  t.is(caller.contentDigest, digest, 'compared when it has come');

  const empty = await one.sign({ headers: { 'content-digest': digestOf(new Uint8Array()) } });
  t.is(await one.ask(empty), me.actor, 'nothing is what it says');
  const bodyless = await one.sign({ method: 'GET' });
  const added = { ...bodyless.headers, 'content-digest': digestOf(new Uint8Array()) };
  t.is(await one.ask({ ...bodyless, headers: added }), 'signature_malformed', 'not covered');
});

test('what chooses the form of the answer is covered where the signer gives it', async (t) => {
  const one = await bench();
  const form = { accept: 'application/json', 'last-event-id': '7' };
  const sent = await one.sign({ method: 'GET', headers: form });
  for (const [name, value] of Object.entries({ accept: 'text/plain', 'last-event-id': '8' })) {
    const headers = { ...sent.headers, [name]: value };
    t.is(await one.ask({ ...sent, headers }), 'signature_wrong', name);
    const { [name as 'accept']: _, ...without } = sent.headers as typeof form;
    t.is(await one.ask({ ...sent, headers: without }), 'signature_malformed', name);
  }
  t.is(await one.ask(sent), me.actor);
  // clients add `accept` of their own after signing
  const plain = await one.sign({ method: 'GET' });
  t.is(await one.ask({ ...plain, headers: { ...plain.headers, accept: '*/*' } }), me.actor);
});

test('what it covers is as it is demanded, without exception', async (t) => {
  const one = await bench();
  const sent = await one.sign();
  const input = sent.headers['Signature-Input'] ?? '';
  for (const [from, to] of [
    ['"@query"', ''],
    [' "@query"', ''],
    ['"@method"', '"@method";req'],
    ['"@method"', '"@method" "@method"'],
    ['"@method"', '"@method" "@scheme"'],
    ['"@authority"', '"@target-uri"'],
    [' "content-digest"', ''],
    [' "content-type"', ''],
    [' "if-match"', ''],
    [' "x0t-key"', ''],
    [' "x0t-actor"', ''],
    ['"content-type"', '"x-not-there"'],
    ['tag="x0t-api"', 'tag="other"'],
    [/alg="[^"]*"/, 'alg="none"'],
    [/alg="[^"]*"/, 'alg="hmac-sha256"'],
    [/nonce="[^"]*"/, 'nonce=""'],
    [/;nonce="[^"]*"/, ''],
    [/;nonce=("[^"]*")/, ';nonce=$1;nonce=$1'],
    [/;created=\d+/, ''],
    [/;created=\d+/, ';created="x"'],
    [/$/, ';expires=99999999999'],
    [/$/, ', other=("@method");created=1'],
    [/^sig/, 'Sig'],
  ] as const) {
    const headers = { ...sent.headers, 'Signature-Input': input.replace(from, to) };
    const code = await one.ask({ ...sent, headers });
    t.is(code, 'signature_malformed', `${String(from)} ${to}`);
  }
  for (const [name, value] of [
    ['x0t-key', 'AAAA'],
    ['x0t-key', other.coseKey.toBase64()],
    ['Signature', 'sig=:AAAA'],
    ['Signature', 'sig="x"'],
    ['Signature', 'x=:AAAA:'],
    ['Signature', ''],
    ['Signature-Input', '(((('],
    ['Signature-Input', 'x'.repeat(2000)],
    ['content-digest', 'sha-512=:AAAA:'],
    ['x0t-actor', 'me'],
  ] as const) {
    const code = await one.ask({ ...sent, headers: { ...sent.headers, [name]: value } });
    t.is(code, 'signature_malformed', `${name}: ${value.slice(0, 20)}`);
  }
  const twice = await one.ask(sent, { rawHeaders: ['content-type', 'text/plain'] });
  t.is(twice, 'signature_malformed', 'a header twice');
  t.is(one.verified, 0, 'no signature had to be looked at');
  t.is(await one.ask(sent), me.actor);
});

test('a request for another node is refused; loopback names are for this machine', async (t) => {
  const one = await bench();
  const at = async (host: string, remoteAddress?: string) => {
    const sent = await one.sign({ method: 'GET' }, `http://${host}/v1/status`);
    return one.ask(sent, remoteAddress === undefined ? {} : { remoteAddress });
  };
  t.is(await at('other.test:8420'), 'signature_other_node');
  t.is(await at('node.test:8421'), 'signature_other_node');
  t.is(await at('node.test'), 'signature_other_node');
  t.is(await at('192.0.2.2:8420'), 'signature_other_node');
  t.is(await at('127.0.0.1:8420'), 'signature_other_node', 'from elsewhere');
  t.is(await at('localhost:8420', '::ffff:192.0.2.9'), 'signature_other_node');
  t.is(await at('127.0.0.1:8420', '127.0.0.1'), me.actor);
  t.is(await at('[::1]:8420', '::1'), me.actor);
  t.is(await at('localhost:8420', '::ffff:127.0.0.1'), me.actor);
  t.is(await at('192.0.2.1:8420'), me.actor);
  t.is(await at('node.test:8420'), me.actor);
});

test('a request that names its node counts at no other one of the same name', async (t) => {
  const one = await bench();
  const naming = (node: string): Promise<Sent> =>
    signed({ ...partsOf(me, () => one.clock.wall_ms()), node }, URL_SIGNED, { method: 'GET' });
  t.is(await one.ask(await naming('b'.repeat(64))), 'signature_other_node');
  t.is(await one.ask(await naming('')), 'signature_other_node');
  t.is(one.verified, 0);
  const sent = await naming(NODE);
  const { 'x0t-node': node = '', ...without } = sent.headers;
  t.is(await one.ask({ ...sent, headers: without }), 'signature_malformed', 'taken away');
  t.is(node, NODE);
  const plain = await one.sign({ method: 'GET' });
  const added = { ...plain, headers: { ...plain.headers, 'x0t-node': NODE } };
  t.is(await one.ask(added), 'signature_malformed', 'put in');
  t.is(await one.ask(sent), me.actor);
});

test('who listens on all addresses is meant by the one that was reached', async (t) => {
  for (const wildcard of ['0.0.0.0', '::']) {
    const one = await bench(new Nonces(), undefined, wildcard);
    const at = async (host: string, localAddress: string, remoteAddress?: string) => {
      const sent = await one.sign({ method: 'GET' }, `http://${host}/v1/status`);
      return one.ask(sent, { localAddress, ...(remoteAddress && { remoteAddress }) });
    };
    t.is(await at('192.0.2.1:8420', '192.0.2.1'), me.actor);
    t.is(await at('192.0.2.1:8420', '::ffff:192.0.2.1'), me.actor);
    t.is(await at('[2001:db8::1]:8420', '2001:db8::1'), me.actor);
    t.is(await at('192.0.2.2:8420', '192.0.2.1'), 'signature_other_node');
    t.is(await at('0.0.0.0:8420', '192.0.2.1'), 'signature_other_node');
    t.is(await at('127.0.0.1:8420', '127.0.0.1'), 'signature_other_node', 'from elsewhere');
    t.is(await at('127.0.0.1:8420', '127.0.0.1', '127.0.0.1'), me.actor);
    t.is(await at('[::]:8420', '::1', '::1'), 'signature_other_node');
  }
});

test('host and target have one spelling', async (t) => {
  const one = await bench();
  const sent = await one.sign({ method: 'GET' }, `http://${HOST}/v1/kv/a/b?x=1`);
  for (const url of [
    '/v1/kv/a/../a/b?x=1',
    '/v1/./kv/a/b?x=1',
    '/v1/kv/a/b?x=1#f',
    '/v1/kv/a/b?x=1#',
    `http://${HOST}/v1/kv/a/b?x=1`,
    '/v1/kv/%2e%2e/kv/a/b?x=1',
    '\\v1\\kv\\a\\b?x=1',
    '/v1/kv/a/b?x=1 ',
    '*',
    '',
  ]) {
    t.is(await one.ask(sent, { url }), 'target_not_canonical', url);
  }
  for (const host of [
    'NODE.test:8420', 'node.test:08420', 'node.test:', 'a@node.test:8420', 'node.test:8420/x',
    'node.test:8420?', '', 'node.test:80', '127.1:8420', '[0:0::1]:8420',
  ]) {
    const code = await one.ask({ ...sent, headers: { ...sent.headers, host } });
    t.is(code, 'target_not_canonical', host);
  }
  const twice = await one.ask(sent, { rawHeaders: ['host', HOST] });
  t.is(twice, 'target_not_canonical');
  t.is(await one.ask(sent), me.actor);
});

test('it is taken for half a minute, and not from before the start', async (t) => {
  const one = await bench();
  const [early, late] = [await one.sign(), await one.sign()];
  await one.clock.run(1000 * AGE_S_MAX);
  t.is(await one.ask(early), me.actor);
  await one.clock.run(1000);
  t.is(await one.ask(late), 'signature_stale');
  const parts = (ahead_s: number) => partsOf(me, () => one.clock.wall_ms() + 1000 * ahead_s);
  t.is(await one.ask(await signed(parts(AHEAD_S_MAX), URL_SIGNED)), me.actor);
  t.is(await one.ask(await signed(parts(AHEAD_S_MAX + 1), URL_SIGNED)), 'signature_stale');
  const restarted = await bench();
  const before = await signed(partsOf(me, () => NOW_MS - 1000), URL_SIGNED);
  t.is(await restarted.ask(before), 'signature_stale', 'nonces of then are not known');
  const refused = await t.throwsAsync(restarted.callerOf(before));
  t.like(refused, { data: { seconds: 1, from_s: NOW_MS / 1000 } }, 'it says what helps');
});

test('what was taken ahead of its time is not taken again after a restart', async (t) => {
  const file = memoryFile();
  const start = (now_ms = NOW_MS) => bench(new Nonces(), undefined, undefined, file, now_ms);
  const ahead = (of: TestActor, s: number) =>
    signed(partsOf(of, () => NOW_MS + 1000 * s), URL_SIGNED);
  const one = await start();
  t.is(await one.ask(await one.sign()), me.actor);
  t.is(file.writes, 0, 'nothing is written for who is not ahead');
  const [early, late] = [await ahead(me, 5), await ahead(me, AHEAD_S_MAX)];
  t.deepEqual([await one.ask(early), await one.ask(late)], [me.actor, me.actor]);
  t.is(await one.ask(await ahead(me, AHEAD_S_MAX)), me.actor);
  t.is(file.writes, 2);
  for (const [at_ms, theirs_s] of [[500, 10], [9_999, 13]] as const) {
    const restarted = await start(NOW_MS + at_ms);
    restarted.members.add(other.actor);
    t.is(await restarted.ask(early), 'signature_stale');
    const refused = await t.throwsAsync(restarted.callerOf(late));
    t.like(refused, { code: 'signature_stale', data: { from_s: NOW_MS / 1000 + 13 } });
    t.is(await restarted.ask(await ahead(other, theirs_s)), other.actor, 'nobody else waits');
  }
  const later = await start(NOW_MS + 13_000);
  t.is(await later.ask(late), 'signature_stale');
  t.is(await later.ask(await later.sign()), me.actor);
  t.is(await later.ask(await ahead(me, 14)), me.actor);
});

test('where it cannot be read what was taken ahead, nothing as far ahead is taken', async (t) => {
  for (const text of ['', 'null', '{"x":1.5}', `{"${me.actor}":99999999999999}`]) {
    const file = memoryFile();
    file.text = text;
    const one = await bench(new Nonces(), undefined, undefined, file);
    const ahead = (s: number) => signed(partsOf(me, () => NOW_MS + 1000 * s), URL_SIGNED);
    t.is(await one.ask(await ahead(AHEAD_S_MAX)), 'signature_stale', text);
    await one.clock.run(10_000);
    t.is(await one.ask(await ahead(13)), me.actor, 'and soon it is');
  }
});

test('what cannot be written down is not taken', async (t) => {
  const file = { ...memoryFile(), write: () => Promise.reject(new Error('full')) };
  const one = await bench(new Nonces(), undefined, undefined, file);
  const sent = await signed(partsOf(me, () => NOW_MS + 3000), URL_SIGNED);
  t.is(await one.ask(sent), 'store_failed');
  t.is(await one.ask(await one.sign()), me.actor);
  await one.clock.run(3000);
  t.is(await one.ask(sent), me.actor, 'once it need not be');
});

test('strangers cost no verification, and a member key of somebody else is no key', async (t) => {
  const one = await bench();
  const stranger = await signed(partsOf(other, () => NOW_MS), URL_SIGNED, { body: BODY });
  t.is(await one.ask(stranger), 'actor_unknown');
  // another's key in the name of a member
  const parts = { ...partsOf(other, () => NOW_MS), actor: me.actor };
  t.is(await one.ask(await signed(parts, URL_SIGNED, { body: BODY })), 'actor_unknown');
  t.is(one.verified, 0);
  const [sent, later] = [await one.sign(), await one.sign()];
  const caller = await one.callerOf(sent);
  t.notThrows(() => caller.assertHolds());
  one.members.delete(me.actor);
  t.is(codeIn(() => caller.assertHolds()), 'actor_unknown', 'also while it is being answered');
  t.is(await one.ask(later), 'actor_unknown');
  t.is(one.verified, 1);
});

test('forged signatures are a small share of the work, and bounded by their number', async (t) => {
  const one = await bench(new Nonces(), 3);
  const [first, ...rest] = await Promise.all(Array.from({ length: 16 }, () => one.sign()));
  const forged = rest.map((sent) => {
    const signature = `sig=:${Buffer.alloc(3309).toString('base64')}:`;
    return { ...sent, headers: { ...sent.headers, Signature: signature } };
  });
  const codes = await Promise.all(forged.map((sent) => one.ask(sent)));
  t.deepEqual(new Set(codes), new Set(['signature_wrong', 'overloaded']));
  t.true(codes.filter((code) => code === 'overloaded').length >= 4);
  t.is(await one.ask(first as Sent), me.actor, 'when they are done there is room');
});

test('too many nonces are refused, and nothing is forgotten for it', async (t) => {
  const one = await bench(new Nonces({ total_max: 3, perActor_max: 2 }));
  one.members.add(other.actor);
  const theirs = () => signed(partsOf(other, () => one.clock.wall_ms()), URL_SIGNED);
  const first = await one.sign();
  t.is(await one.ask(first), me.actor);
  t.is(await one.ask(await one.sign()), me.actor);
  t.is(await one.ask(await one.sign()), 'rate_limited', 'of one actor');
  t.is(await one.ask(await theirs()), other.actor);
  t.is(await one.ask(await theirs()), 'overloaded', 'of all');
  t.is(await one.ask(first), 'signature_replayed');
  await one.clock.run(1000 * (AGE_S_MAX + 1));
  t.is(await one.ask(await one.sign()), me.actor, 'what is too old is forgotten');
  t.is(await one.ask(await one.sign()), me.actor);
});

test('what was forgotten is not taken when the clock goes back', (t) => {
  const nonces = new Nonces();
  t.is(nonces.take('a', 'n', 100, 70), 'fresh');
  t.is(nonces.take('a', 'm', 200, 170), 'fresh');
  t.is(nonces.take('a', 'n', 100, 70), 'late');
  t.is(nonces.take('a', 'm', 200, 70), 'used');
});
