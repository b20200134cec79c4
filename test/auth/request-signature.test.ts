import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';
import type { Caller } from '#node/auth/caller.ts';
import { Nonces } from '#node/auth/nonces.ts';
import { digestOf } from '#node/auth/request-signature.ts';
import { AGE_S_MAX, AHEAD_S_MAX, SignatureCheck } from '#node/auth/signature-check.ts';
import { VerificationWork } from '#node/auth/verification-work.ts';
import { codeIn } from '#test/support/codes.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
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

function bench(nonces = new Nonces(), max?: number, host = '192.0.2.1'): Bench {
  const clock = new VirtualClock(NOW_MS);
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
    nonces,
  });
  return one;
}

test('a signed request names its actor, once', async (t) => {
  const one = bench();
  const sent = await one.sign();
  t.is(sent.headers['content-digest'], digestOf(BODY));
  t.is(await one.ask(sent), me.actor);
  t.is(await one.ask(sent), 'signature_replayed');
  t.is(await one.ask(await one.sign({ method: 'GET' })), me.actor);
});

test('nothing that is signed can be changed', async (t) => {
  const one = bench();
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

test('what it covers is as it is demanded, without exception', async (t) => {
  const one = bench();
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
  const one = bench();
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
  const one = bench();
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
    const one = bench(new Nonces(), undefined, wildcard);
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
  const one = bench();
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
  const one = bench();
  const [early, late] = [await one.sign(), await one.sign()];
  await one.clock.run(1000 * AGE_S_MAX);
  t.is(await one.ask(early), me.actor);
  await one.clock.run(1000);
  t.is(await one.ask(late), 'signature_stale');
  const parts = (ahead_s: number) => partsOf(me, () => one.clock.wall_ms() + 1000 * ahead_s);
  t.is(await one.ask(await signed(parts(AHEAD_S_MAX), URL_SIGNED)), me.actor);
  t.is(await one.ask(await signed(parts(AHEAD_S_MAX + 1), URL_SIGNED)), 'signature_stale');
  const restarted = bench();
  const before = await signed(partsOf(me, () => NOW_MS - 1000), URL_SIGNED);
  t.is(await restarted.ask(before), 'signature_stale', 'nonces of then are not known');
});

test('strangers cost no verification, and a member key of somebody else is no key', async (t) => {
  const one = bench();
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
  const one = bench(new Nonces(), 3);
  const [first, ...rest] = await Promise.all(Array.from({ length: 8 }, () => one.sign()));
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
  const one = bench(new Nonces({ total_max: 3, perActor_max: 2 }));
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
