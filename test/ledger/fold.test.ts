import test from 'ava';
import { decode } from '#ledger/codec.ts';
import { openChain } from '#ledger/chain.ts';
import { Fold } from '#ledger/fold.ts';
import { encodeGenesis } from '#ledger/genesis.ts';
import { storeKeys } from '#ledger/keys.ts';
import { LANES_MAX, LANE_WINDOW } from '#ledger/limits.ts';
import { VERDICTS, verdictName } from '#ledger/verdicts.ts';
import { readKey, schema } from '#projections/index.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { codeIn } from '#test/support/codes.ts';
import { seeded } from '#test/support/fake-link.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { HandFold, ada, bob, net, put } from './fold-support.ts';

/** What an ordered event does to numbers, verdicts and state. */

const stranger = seededActor('stranger').actor;

test('verdicts have the numbers of the wire format', (t) => {
  t.deepEqual(VERDICTS, {
    applied: 0,
    expired: 1,
    replayed: 2,
    dep_missing: 3,
    unknown_kind: 4,
    bad_body: 5,
    too_many_lanes: 6,
    denied: 7,
    kv_precondition: 256,
    not_operator: 512,
    already_validator: 513,
    not_validator: 514,
    committee_bounds: 515,
    peer_taken: 516,
    member_barred: 517,
    evidence_known: 518,
    evidence_unfounded: 519,
    key_retired: 520,
    key_taken: 521,
    key_unknown: 522,
    key_revoked: 523,
    key_present: 524,
    key_not_permitted: 525,
    key_bounds: 526,
    committee_quorum: 527,
    member_unknown: 561,
    member_transition: 562,
    member_not_permitted: 563,
    member_last_validator: 564,
    member_last_operator: 565,
    member_bounds: 566,
    member_known: 567,
    member_proof_invalid: 568,
    member_roles: 569,
    invite_unknown: 580,
    invite_expired: 581,
    invite_used: 582,
    invite_withdrawn: 583,
    invite_bounds: 584,
    invite_known: 585,
    policy_conflict: 768,
    policy_unknown: 769,
    policy_invalid: 770,
    policy_schema_invalid: 771,
    policy_contradicts_schema: 772,
    policy_bounds: 773,
    policy_lockout: 774,
    policy_denies_everyone: 775,
    identity_not_permitted: 1024,
    identity_not_issuer: 1025,
    identity_invalid: 1026,
    identity_other_domain: 1027,
    identity_unknown: 1028,
    identity_known: 1029,
    identity_bounds: 1030,
    identity_stale: 1031,
    identity_early: 1032,
    posture_not_permitted: 1280,
    posture_unknown: 1281,
    posture_own: 1282,
    posture_too_soon: 1283,
    posture_not_due: 1284,
    posture_unfounded: 1285,
    posture_quorum: 1286,
    posture_bounds: 1287,
  });
  t.is(verdictName(4711), 'verdict_4711');
});

test('each first occurrence gets a number, later ones get none', (t) => {
  const hand = new HandFold();
  const [a, b] = [put(ada, 1, 'a'), put(bob, 1, 'b')];
  const finals = hand.apply([[a, b, a], [b]]);
  t.deepEqual(
    finals.map(({ seq, entry }) => [seq, entry.id]),
    [
      [1, a.id],
      [2, b.id],
    ],
  );
  t.deepEqual(hand.apply([[a, b]]), []);
  t.is(hand.fold.size, 2);
  t.true(hand.fold.isFinal(a.id));
});

test('events of strangers, and with a foreign key, are void: nothing of them stays', (t) => {
  const hand = new HandFold();
  hand.apply([[put(ada, 1, 'a')]]);
  const before = hand.fold.summary();
  t.deepEqual(hand.apply([[put(stranger, 1, 'x'), put(ada, 2, 'x', { key: bob })]]), []);
  t.deepEqual(hand.fold.summary(), before);
  t.deepEqual(hand.verdicts([put(ada, 2, 'x')]), ['applied'], 'and the number was not used up');
});

test('a used or too old number is replayed; a rejected event uses its number up', (t) => {
  const hand = new HandFold();
  t.deepEqual(hand.verdicts([put(ada, 5, 'a'), put(ada, 5, 'b')]), ['applied', 'replayed']);
  t.deepEqual(hand.verdicts([put(ada, 4, 'c'), put(ada, 4, 'd')]), ['applied', 'replayed']);
  t.deepEqual(hand.verdicts([put(ada, 5, 'e', { lane: 1 })]), ['applied']);
  t.deepEqual(hand.verdicts([put(bob, 5, 'f')]), ['applied']);
  const top = 5000;
  t.deepEqual(hand.verdicts([put(ada, top, 'g')]), ['applied']);
  t.deepEqual(hand.verdicts([put(ada, top - LANE_WINDOW, 'h')]), ['replayed']);
  t.deepEqual(hand.verdicts([put(ada, top - LANE_WINDOW + 1, 'i')]), ['applied']);
  const late = { notAfter_ms: 1 };
  t.deepEqual(hand.verdicts([put(ada, 6000, 'j', late), put(ada, 6000, 'k')]), [
    'expired',
    'replayed',
  ]);
});

test('an actor has 64 lanes, and goes on using them', (t) => {
  const hand = new HandFold();
  const all = Array.from({ length: LANES_MAX + 3 }, (_, lane) => put(ada, 1, 'a', { lane }));
  const verdicts = hand.verdicts(all);
  t.deepEqual(verdicts.slice(0, LANES_MAX), Array<string>(LANES_MAX).fill('applied'));
  t.deepEqual(verdicts.slice(LANES_MAX), Array<string>(3).fill('too_many_lanes'));
  t.deepEqual(hand.verdicts([put(ada, 2, 'b', { lane: 63 })]), ['applied']);
  t.deepEqual(hand.verdicts([put(ada, 2, 'c', { lane: 64 })]), ['too_many_lanes']);
  t.deepEqual(hand.verdicts([put(bob, 2, 'd', { lane: 64 })]), ['applied']);
});

test('an event is expired by the time of its commit alone', (t) => {
  const hand = new HandFold();
  const at = CREATED_MS + 1000;
  t.deepEqual(hand.verdicts([put(ada, 1, 'a', { notAfter_ms: at })], at), ['applied']);
  t.deepEqual(hand.verdicts([put(ada, 2, 'a', { notAfter_ms: at })], at + 1), ['expired']);
});

test('a dependency counts when it was applied earlier, also in the same commit', (t) => {
  const hand = new HandFold();
  const first = put(ada, 1, 'a');
  const bad = put(ada, 2, 'a', { body: { nonsense: 1 } });
  const after = put(bob, 1, 'b', { deps: [first.id] });
  t.deepEqual(hand.verdicts([first, after, bad]), ['applied', 'applied', 'bad_body']);
  t.deepEqual(hand.verdicts([put(bob, 2, 'c', { deps: [bad.id] })]), ['dep_missing']);
  const next = put(ada, 3, 'd');
  t.deepEqual(
    hand.verdicts([put(bob, 3, 'c', { deps: [first.id, next.id] }), next]),
    ['dep_missing', 'applied'],
    'not when it comes later',
  );
  t.deepEqual(hand.verdicts([put(bob, 4, 'c', { deps: [first.id, next.id] })]), ['applied']);
});

test('unknown kinds, bad bodies and failed preconditions are final and change no row', (t) => {
  const hand = new HandFold();
  hand.verdicts([put(ada, 1, 'a')]);
  const root = () => hand.fold.summary().projections.find(({ name }) => name === 'kv')?.root;
  const before = root();
  const value = Uint8Array.of(1);
  t.deepEqual(
    hand.verdicts([
      put(ada, 2, 'a', { kind: 'kv.put/2' }),
      put(ada, 3, 'a', { body: { key: 'a' } }),
      put(ada, 4, 'a', { body: { key: 'a', value, extra: 1 } }),
      put(ada, 5, 'a', { body: { key: 'a', value, ifSeq: 2 } }),
      put(ada, 6, 'a', { kind: 'kv.delete/1', body: { key: 'a', ifSeq: 0 } }),
    ]),
    ['unknown_kind', 'bad_body', 'bad_body', 'kv_precondition', 'kv_precondition'],
  );
  t.is(root(), before);
  t.is(hand.fold.size, 6);
});

test('how events are cut into blocks and commits of one time does not matter to the state', (t) => {
  const events = Array.from({ length: 20 }, (_, i) => put(i % 2 ? ada : bob, i, `k${i % 3}`));
  const one = new HandFold();
  one.apply([events], CREATED_MS);
  const many = new HandFold();
  for (const event of events) many.apply([[], [event]], CREATED_MS);
  t.deepEqual(one.fold.summary(), many.fold.summary());
});

test('a fold restarted from its store has the same summary at every commit', async (t) => {
  const random = seeded(4);
  const whole = new HandFold();
  let cut = new HandFold();
  const lazy = new HandFold();
  for (let i = 0; i < 25; i++) {
    const entries = Array.from({ length: Math.floor(random() * 4) }, (_, j) => {
      const actor = random() < 0.5 ? ada : bob;
      const seq = Math.floor(random() * 30);
      const kind = random() < 0.3 ? 'kv.delete/1' : 'kv.put/1';
      const key = `k${Math.floor(random() * 5)}`;
      const body = kind === 'kv.put/1' ? { key, value: Uint8Array.of(i, j) } : { key };
      return put(actor, seq, key, { kind, body, lane: j % 2 });
    });
    for (const hand of [whole, cut, lazy]) hand.apply([entries]);
    await whole.write();
    await cut.write();
    cut = cut.restarted();
    t.deepEqual(cut.fold.summary(), whole.fold.summary(), `commit ${i}`);
    t.deepEqual(lazy.fold.summary(), whole.fold.summary(), `commit ${i}, unwritten`);
    t.deepEqual(cut.fold.ordererState, whole.state);
  }
  await lazy.write();
  const dump = ({ store }: HandFold): string[] =>
    [...store.rows]
      .map(([key, value]) => `${key} ${Buffer.from(value).toString('hex')}`)
      .toSorted();
  t.deepEqual(dump(lazy), dump(whole));
  t.deepEqual(dump(cut), dump(whole));
});

test('what the fold hands over is the whole change: nothing is written before', async (t) => {
  const hand = new HandFold();
  await hand.write();
  const rows = hand.store.rows.size;
  hand.apply([[put(ada, 1, 'a')]]);
  t.is(hand.store.rows.size, rows);
  t.truthy(hand.fold.readable.get(storeKeys.final(1)));
  const ops = hand.fold.ops(hand.state);
  const keys = new Set(ops.map(({ key }) => key));
  for (const key of [
    storeKeys.fold,
    storeKeys.commit(1),
    storeKeys.final(1),
    storeKeys.row('kv', 'a'),
  ]) {
    t.true(keys.has(key), key);
  }
  hand.apply([[put(ada, 2, 'b')]]);
  const more = hand.fold.ops(hand.state);
  await hand.store.write(more);
  hand.fold.written();
  t.deepEqual(hand.restarted().fold.summary(), hand.fold.summary());
});

test('a view that is thrown away changes nothing', (t) => {
  const hand = new HandFold();
  hand.apply([[put(ada, 1, 'a')]]);
  const before = hand.fold.summary();
  const view = hand.fold.scratch();
  const { id, event } = put(bob, 1, 'a');
  view.apply({ id, event, seq: 2, ts_ms: CREATED_MS });
  t.is(readKey(view.rowsOf('kv'), 'a')?.actor, bob);
  t.is(readKey(hand.fold.reducer.rowsOf('kv'), 'a')?.actor, ada);
  t.deepEqual(hand.fold.summary(), before);
});

test('a genesis with other kinds or projections does not start', (t) => {
  const { genesis } = net.chain;
  const open = (changes: object): string => {
    const chain = openChain(encodeGenesis({ ...genesis, ...changes }));
    return codeIn(() => new Fold(new MemoryStore(), chain.genesis, schema));
  };
  t.is(open({}), 'none');
  t.is(open({ kinds: genesis.kinds.slice(1) }), 'schema_mismatch');
  t.is(open({ kinds: [...genesis.kinds, 'zz.zz/1'] }), 'schema_mismatch');
  t.is(
    open({
      projections: [
        ['kv', 2],
        ['members', 1],
      ],
    }),
    'schema_mismatch',
  );
  t.is(open({ projections: [['kv', 1]] }), 'schema_mismatch');
});

test('a genesis that does not hold is refused with a code', (t) => {
  const { genesis } = net.chain;
  const code = (changes: object): string =>
    codeIn(() => openChain(encodeGenesis({ ...genesis, ...changes })));
  const [first] = genesis.committee;
  t.is(code({}), 'none');
  t.is(code({ policy: 'other/1' }), 'unknown_policy');
  t.is(code({ salt: new Uint8Array(15) }), 'out_of_range');
  t.is(code({ salt: new Uint8Array(65) }), 'out_of_range');
  t.is(code({ committee: [] }), 'bad_committee');
  t.is(code({ committee: [first, first] }), 'bad_committee');
  t.is(code({ committee: [{ ...first, actor: bob }] }), 'bad_committee');
  t.is(code({ committee: [{ ...first, stake: 2 }] }), 'out_of_range');
  t.is(code({ committee: [{ ...first, coseKey: new Uint8Array(10) }] }), 'bad_key');
  t.is(code({ created_ms: -1 }), 'out_of_range');
  t.truthy(decode(net.chain.genesisBytes));
});
