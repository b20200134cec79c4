import test from 'ava';
import { bytesOf, idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import {
  FEDERATIONS_MAX, REFRESH_PAUSE_MS, refreshSupport,
} from '#projections/identity-federation.ts';
import { identity, readIdentity } from '#projections/identity.ts';
import { kv } from '#projections/kv.ts';
import { members } from '#projections/members.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { seededNet } from '#test/support/seeded-actor.ts';
import { HandFold, put } from '#test/ledger/fold-support.ts';

/** Foreign bundles that validators refresh: who may replace what, and how many it takes. */

const NAME = 'other.example';
const schema = { projections: [identity, kv, members], members };

const documentOf = (sequence: number | string | undefined, more = ''): Uint8Array => {
  const head = sequence === undefined ? '' : `,"spiffe_sequence":${sequence}`;
  return new TextEncoder().encode(`{"keys":[]${head}${more}}`);
};

/** What is vouched for: the document without its sequence, and that beside it. */
function told(document: Uint8Array) {
  const text = new TextDecoder().decode(document);
  const sequence = /,"spiffe_sequence":(\d+)(?![.\d])/.exec(text)?.[1];
  // another sequence stands for another bundle here
  const more = sequence === undefined ? '' : `,"of":"${sequence}"`;
  const bare = text.replace(/,"spiffe_sequence":\d+(?![.\d])/, more);
  return { bundle: new TextEncoder().encode(bare), ...(sequence && { sequence }) };
}

/** A network whose operator has federated with one trust domain, by its endpoint. */
class Net {
  readonly net;
  readonly hand: HandFold;
  readonly validators: readonly Id[];
  readonly operator: Id;
  #seq = 0;

  constructor(validators: number) {
    this.net = seededNet(validators, 1, `federation ${validators}`);
    const genesis = {
      ...this.net.chain.genesis,
      kinds: schema.projections.flatMap(({ kinds }) => kinds.map(({ kind }) => kind)).toSorted(),
      projections: schema.projections.map(({ name, version }) => [name, version] as const),
    };
    this.hand = new HandFold(undefined, undefined, schema, genesis);
    this.validators = this.net.validators.map(({ actor }) => actor);
    this.operator = this.net.operators[0]?.actor ?? '';
  }

  say(actor: Id, kind: string, body: object, ts_ms?: number): string {
    const event = put(actor, (this.#seq += 1), '', { kind, body: body as never });
    return this.hand.verdicts([event], ts_ms)[0] ?? '';
  }

  federate(body: object, ts_ms?: number): string {
    const whole = { trustDomain: NAME, ...body };
    return this.say(this.operator, 'identity.federation/1', whole, ts_ms);
  }

  refresh(index: number, document: Uint8Array, more: object = {}, ts_ms?: number): string {
    return this.#vouch(index, document, { bundle: told(document).bundle, ...more }, ts_ms);
  }

  /** Without the document itself. */
  agree(index: number, document: Uint8Array, ts_ms?: number, more: object = {}): string {
    return this.#vouch(index, document, more, ts_ms);
  }

  #vouch(index: number, document: Uint8Array, more: object, ts_ms?: number): string {
    const basis = bytesOf(this.held?.basis ?? '00'.repeat(32));
    const { bundle, sequence } = told(document);
    const digest = bytesOf(idOf(bundle));
    const body = { trustDomain: NAME, basis, digest, ...(sequence && { sequence }), ...more };
    return this.say(this.validators[index] ?? '', 'identity.refresh/1', body, ts_ms);
  }

  get rows() {
    return this.hand.fold.reducer.rowsOf('identity');
  }

  get held() {
    return readIdentity(this.rows)?.federations.find(({ trustDomain }) => trustDomain === NAME);
  }

  get sequence(): bigint | undefined {
    return this.held?.sequence;
  }
}

const endpoint = { url: 'https://other.example/bundle', profile: 'https_web' } as const;

function federated(validators = 4, bundle = documentOf(5)): Net {
  const net = new Net(validators);
  net.federate({ bundle, endpoint }, CREATED_MS + 10);
  return net;
}

test('a bundle takes more validators than there may be traitors, and two where there are', (t) => {
  const seats = (count: number) => ({
    epoch: 0, validators: seededNet(count, 1, 'seats').validators.map((one) => ({ ...one })),
  });
  const needed = [1, 2, 3, 4, 7, 10].map((count) => refreshSupport(seats(count) as never));
  t.deepEqual(needed, [1, 2, 2, 2, 3, 4]);
});

test('enough validators that vouch for one document replace the bundle, nothing less', (t) => {
  const net = federated(7);
  const next = documentOf(6, ',"spiffe_refresh_hint":90');
  t.is(net.refresh(0, next), 'identity_early', 'no document before it counts');
  t.is(net.agree(0, next), 'applied');
  t.is(net.agree(0, next), 'identity_known');
  t.is(net.agree(1, next), 'applied');
  t.is(net.refresh(1, next), 'identity_early');
  t.is(net.sequence, 5n);
  t.is(net.held?.pending.length, 2);
  t.is(net.refresh(2, next, {}, CREATED_MS + 99), 'applied');
  t.like(net.held, { sequence: 6n, hint_s: 90, changed_ms: CREATED_MS + 99, endpoint });
  const text = new TextDecoder().decode(net.held?.bundle);
  t.is(text, '{"spiffe_sequence":6,"keys":[],"of":"6","spiffe_refresh_hint":90}');
  t.deepEqual(net.held?.pending, []);
  t.is(net.rows.get(`refresh/${NAME}`), undefined, 'nothing is left of it');
  t.is(net.refresh(3, next), 'identity_known');
});

test('validators replace a bundle once a minute at most', (t) => {
  const net = federated();
  const at_ms = CREATED_MS + 1000;
  const end_ms = at_ms + REFRESH_PAUSE_MS;
  for (const [sequence, early_ms, late_ms] of [[6, at_ms, at_ms], [7, at_ms, end_ms]] as const) {
    const next = documentOf(sequence);
    t.is(net.agree(0, next, early_ms), 'applied');
    if (late_ms > early_ms) t.is(net.refresh(1, next, {}, late_ms - 1), 'identity_early');
    t.is(net.refresh(1, next, {}, late_ms), 'applied');
    t.is(net.sequence, BigInt(sequence));
  }
});

test('validators that saw one bundle with several sequences agree on one all have reached', (t) => {
  const net = federated(7);
  const next = documentOf(9);
  for (const [index, sequence] of [[0, '9'], [1, '99999'], [2, '7']] as const) {
    t.is(net.agree(index, next, undefined, { sequence }), 'applied');
  }
  t.is(net.refresh(3, next, { sequence: '8' }), 'applied');
  t.is(net.sequence, 8n, 'three have seen it or a later one');
  t.is(net.agree(0, documentOf(10), undefined, { sequence: '8' }), 'identity_stale');
});

test('a single validator that lies replaces nothing, whatever and how often it says', (t) => {
  const net = federated(4);
  for (let sequence = 6; sequence < 20; sequence += 1) {
    t.is(net.agree(3, documentOf(sequence)), 'applied');
    t.is(net.refresh(3, documentOf(sequence)), 'identity_early');
  }
  t.is(net.sequence, 5n);
  t.is(net.held?.pending.length, 1, 'one statement each');
  const [last] = net.held?.pending ?? [];
  t.is(last?.digest, idOf(told(documentOf(19)).bundle));
  const honest = documentOf(7);
  t.is(net.agree(0, honest), 'applied');
  t.is(net.refresh(0, honest), 'identity_early', 'the lie and the truth are no two of a kind');
  t.is(net.refresh(1, honest), 'applied');
  t.is(net.sequence, 7n);
});

test('a committee of two or three takes two, one of one itself', (t) => {
  for (const [count, verdicts] of [[1, 6n], [2, 5n], [3, 5n]] as const) {
    const net = federated(count);
    const early = count > 1 ? 'identity_early' : 'applied';
    t.is(net.refresh(0, documentOf(6)), early);
    t.is(net.sequence, verdicts, `of ${count}`);
    if (count > 1) net.agree(0, documentOf(6));
    if (count > 1) net.refresh(1, documentOf(6));
    t.is(net.sequence, 6n);
  }
});

test('only sitting validators vouch, not even operators', (t) => {
  const net = federated();
  const next = documentOf(6);
  const body = {
    trustDomain: NAME,
    basis: bytesOf(net.held?.basis ?? ''),
    digest: bytesOf(idOf(next)),
    bundle: next,
  };
  t.is(net.say(net.operator, 'identity.refresh/1', body), 'identity_not_permitted');
  t.deepEqual(net.held?.pending, []);
});

test('who leaves the committee does not vouch any more', (t) => {
  const net = federated(4);
  const next = documentOf(6);
  t.is(net.agree(3, next), 'applied');
  const removed = net.net.validators[3]?.actor ?? '';
  const change = { remove: [bytesOf(removed)] };
  t.is(net.say(net.operator, 'committee.change/1', change), 'applied');
  t.is(net.refresh(0, next), 'identity_early');
  t.is(net.agree(0, next), 'applied');
  t.is(net.sequence, 5n);
  t.is(net.refresh(3, next), 'identity_not_permitted');
  t.is(net.refresh(1, next), 'applied');
  t.is(net.sequence, 6n);
});

test('Federation 4.2: an older bundle, and another of the same sequence, are refused', (t) => {
  const net = federated();
  t.is(net.refresh(0, documentOf(4)), 'identity_stale');
  t.is(net.refresh(0, documentOf(5, ',"more":1')), 'identity_stale');
  t.is(net.held?.pending.length, 0);
  const huge = '340282366920938463463374607431768211455';
  t.is(net.agree(0, documentOf(huge)), 'applied');
  t.is(net.refresh(1, documentOf(huge)), 'applied');
  t.is(net.sequence, BigInt(huge));
  t.is(net.refresh(0, documentOf(6)), 'identity_stale');
  t.is(net.refresh(0, documentOf(`${huge}0`)), 'bad_body');
});

test('Federation 4.2: without a sequence what was fetched last counts', (t) => {
  const net = federated(4, documentOf(undefined));
  const next = documentOf(undefined, ',"a":1');
  t.is(net.agree(0, next), 'applied');
  t.is(net.agree(2, next, undefined, { sequence: '9' }), 'applied');
  t.is(net.agree(1, next), 'applied');
  t.is(net.refresh(1, next, {}, CREATED_MS + 20), 'applied');
  t.is(net.held?.bundle.length, documentOf(undefined, ',"a":1').length);
  net.agree(0, documentOf(3));
  net.refresh(1, documentOf(3), {}, CREATED_MS + 20 + REFRESH_PAUSE_MS);
  t.is(net.sequence, 3n);
});

test('only a relationship with an endpoint is refreshed, and only the one that was meant', (t) => {
  const net = federated();
  const before = bytesOf(net.held?.basis ?? '');
  t.is(net.refresh(0, documentOf(6), { trustDomain: 'third.example' }), 'identity_unknown');
  t.is(net.agree(0, documentOf(6)), 'applied');
  t.is(net.federate({ endpoint: { ...endpoint, url: 'https://moved.example/' } }), 'applied');
  t.like(net.held, { sequence: 5n, pending: [], changed_ms: CREATED_MS + 10 });
  t.is(net.refresh(1, documentOf(6), { basis: before }), 'identity_stale');
  t.is(net.refresh(1, documentOf(6)), 'identity_early');
  t.is(net.federate({ bundle: documentOf(5) }), 'applied');
  t.is(net.held?.endpoint, undefined);
  t.is(net.refresh(0, documentOf(6)), 'identity_unknown');
  t.is(net.federate({}), 'applied');
  t.is(net.refresh(0, documentOf(6)), 'identity_unknown');
  t.is(net.rows.get(`bundle/${NAME}`), undefined);
});

test('an operator may go back, and a refresh never changes the endpoint', (t) => {
  const net = federated();
  t.is(net.federate({ bundle: documentOf(2), endpoint }), 'applied');
  t.is(net.sequence, 2n);
  t.is(net.agree(2, documentOf(3)), 'applied');
  t.is(net.refresh(3, documentOf(3)), 'applied');
  t.like(net.held, { sequence: 3n, endpoint });
  const more = { endpoint: { ...endpoint, url: 'https://evil.example/' } };
  t.is(net.refresh(2, documentOf(4), more), 'bad_body');
});

test('what is no bundle, and what is not what its digest says, is refused', (t) => {
  const net = federated();
  const utf8 = new TextEncoder();
  const deep = utf8.encode(`{"keys":[],"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`);
  for (const text of ['[]', 'no', '{}', '{"keys":[],"spiffe_sequence":1.5}']) {
    t.is(net.refresh(0, utf8.encode(text)), 'identity_invalid', text);
    t.is(net.federate({ bundle: utf8.encode(text) }), 'identity_invalid', text);
  }
  t.is(net.refresh(0, deep), 'identity_invalid');
  const other = bytesOf(idOf(documentOf(8)));
  t.is(net.refresh(0, documentOf(6), { digest: other }), 'identity_invalid');
  const own = { sequence: '6', bundle: documentOf(6) };
  t.is(net.refresh(0, documentOf(6), { ...own, digest: bytesOf(idOf(own.bundle)) }),
    'identity_invalid', 'the sequence is told beside it');
  t.is(net.refresh(0, new Uint8Array(60 * 1024 + 1).fill(32)), 'bad_body');
  t.is(net.sequence, 5n);
});

test('Federation 5.1: an endpoint is an https URL with a profile and what that takes', (t) => {
  const net = new Net(1);
  const bundle = documentOf(1);
  const id = 'spiffe://other.example/bundle';
  const good = [
    endpoint,
    { url: 'https://192.0.2.7:8443/', profile: 'https_spiffe', id },
    { url: 'https://[2001:db8::1]', profile: 'https_spiffe', id },
    { url: 'https://a.example?b=@', profile: 'https_web' },
  ];
  for (const one of good) t.is(net.federate({ bundle, endpoint: one }), 'applied', one.url);
  const wrong = [
    { url: 'http://other.example/', profile: 'https_web' },
    { url: 'https://me@other.example/', profile: 'https_web' },
    { url: 'https://other.example/#a', profile: 'https_web' },
    { url: 'https:\\\\other.example', profile: 'https_web' },
    { url: 'https://other.example\\@evil.example/', profile: 'https_web' },
    { url: 'https://other.example/\n', profile: 'https_web' },
    { ...endpoint, id },
    { ...endpoint, profile: 'https_spiffe' },
    { ...endpoint, profile: 'https_spiffe', id: 'spiffe://other.example' },
    { ...endpoint, profile: 'https_spiffe', id: 'spiffe://Other.example/a' },
  ];
  for (const one of wrong) {
    t.is(net.federate({ bundle, endpoint: one }), 'identity_invalid', JSON.stringify(one));
  }
  t.is(net.federate({ bundle, endpoint: { ...endpoint, profile: 'https' } }), 'bad_body');
  t.is(net.federate({ trustDomain: 'new.example', endpoint }), 'identity_unknown');
});

test('relationships are bounded, and one that ends makes room', (t) => {
  const net = new Net(1);
  const of = (index: number) => ({ trustDomain: `d${index}.example`, bundle: documentOf(1) });
  for (let index = 0; index < FEDERATIONS_MAX; index += 1) net.federate(of(index));
  t.is(net.federate(of(FEDERATIONS_MAX)), 'identity_bounds');
  t.is(net.federate({ trustDomain: 'd0.example' }), 'applied');
  t.is(net.federate(of(FEDERATIONS_MAX)), 'applied');
});
