import test from 'ava';
import { readFileSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import { sign } from '#ledger/cose.ts';
import type { Body, Entry } from '#ledger/event.ts';
import { innerJobs } from '#ledger/inner-jobs.ts';
import { useStatement } from '#ledger/join.ts';
import { loadEngine } from '#native/engine.ts';
import { listInvites, readMember, schema } from '#projections/index.ts';
import { TRANSITIONS } from '#projections/transitions.ts';
import type { MemberState } from '#projections/transitions.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { codeOf } from '#ledger/errors.ts';
import { invite, joinBody, seededPeer } from '#test/support/invites.ts';
import type { TestInvite } from '#test/support/invites.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { HandFold, ada, bob, net, put } from '#test/ledger/fold-support.ts';

/** How members come, stand and go: each step by its event, and everything else refused. */

const [first, second] = net.operators.map(({ actor }) => actor) as [string, string];
const chain = net.chain.id;
const NOW = CREATED_MS + 1000;
let seq = 500;
const by = (actor: string, kind: string, body: Body = {}): Entry =>
  put(actor, (seq += 1), '', { kind, body });
const about = (actor: string) => ({ actor: Uint8Array.fromHex(actor), reason: 'a reason' });
const rowsOf = (hand: HandFold) => hand.fold.reducer.rowsOf('members');
const rootOf = (hand: HandFold) => hand.fold.summary().stateRoot;

const later = { notAfter_ms: NOW + 1_000_000 };
const inviteOf = (name: string, roles: Parameters<typeof invite>[3], more = later): TestInvite =>
  invite(chain, first, name, roles, more);
const open = ({ body }: TestInvite): Entry => by(first, 'member.invite/1', { ...body });

/** A fold with a member that came by an invite as an observer. */
async function joined(
  name: string,
  roles: Parameters<typeof invite>[3] = ['observer'],
): Promise<{ readonly hand: HandFold; readonly actor: string; readonly invited: TestInvite }> {
  const hand = new HandFold();
  const who = seededActor(name);
  const invited = inviteOf(name, roles);
  const body = await joinBody(chain, invited, who, seededPeer(name));
  const entries = [open(invited), by(who.actor, 'member.join/1', body)];
  const verdicts = hand.verdicts(entries, NOW);
  if (verdicts.join() !== 'applied,applied') throw new Error(verdicts.join());
  return { hand, actor: who.actor, invited };
}

test('an invite, a join and a word of the node make a member with a pair', async (t) => {
  const { hand, actor, invited } = await joined('comer');
  t.deepEqual(readMember(rowsOf(hand), actor), {
    actor,
    roles: ['observer'],
    state: 'joining',
    peer: seededPeer('comer').peer,
    invite: invited.id,
  });
  t.true(schema.members.isMember(actor, rowsOf(hand)));
  t.is(hand.fold.seats.epoch, 0);
  t.deepEqual(hand.verdicts([by(actor, 'member.ready/1')]), ['applied']);
  t.is(readMember(rowsOf(hand), actor)?.state, undefined);
  t.deepEqual(schema.members.standing?.(actor, rowsOf(hand)), {
    roles: ['member', 'observer'],
    labels: [],
  });
  t.like(listInvites(rowsOf(hand), NOW)[0], { id: invited.id, state: 'used', usedBy: actor });
});

test('a validator that was invited sits in the epoch after it is ready', async (t) => {
  const { hand, actor } = await joined('seat', ['validator']);
  t.true(readMember(rowsOf(hand), actor)?.seeksSeat);
  t.deepEqual(hand.verdicts([by(actor, 'member.ready/1')]), ['applied']);
  t.is(hand.fold.seats.epoch, 1);
  t.deepEqual(hand.fold.seats.validators.map((one) => one.actor), [ada, bob, actor]);
  t.deepEqual(readMember(rowsOf(hand), actor)?.roles, ['validator']);
  t.deepEqual(hand.verdicts([by(first, 'member.drain/1', about(actor))]), ['applied']);
  t.is(hand.fold.seats.epoch, 2);
  t.deepEqual(hand.fold.seats.validators.map((one) => one.actor), [ada, bob]);
});

test('who only signs is active at once, with labels, capabilities and the office', async (t) => {
  const hand = new HandFold();
  const who = seededActor('person');
  const terms = { ...later, labels: ['site=b', 'a=1'], capabilities: ['vote'] };
  const invited = inviteOf('person', ['operator', 'participant'], terms);
  const body = await joinBody(chain, invited, who, undefined);
  t.deepEqual(hand.verdicts([open(invited), by(who.actor, 'member.join/1', body)], NOW), [
    'applied',
    'applied',
  ]);
  t.like(readMember(rowsOf(hand), who.actor), {
    roles: ['operator', 'participant'],
    labels: ['a=1', 'site=b'],
    capabilities: ['vote'],
  });
  t.is(readMember(rowsOf(hand), who.actor)?.state, undefined);
  t.deepEqual(hand.verdicts([by(who.actor, 'member.cordon/1', about(first))]), ['applied']);
});

/** States by the events that lead there from `active`. */
const WAYS: readonly (readonly [MemberState, readonly string[]])[] = [
  ['active', []],
  ['cordoned', ['member.cordon/1']],
  ['draining', ['member.drain/1']],
  ['retired', ['member.drain/1', 'member.retire/1']],
  ['removed', ['member.remove/1']],
];

for (const [state, way] of WAYS) {
  test(`from ${state}: what the table has is applied, all else refused with reasons`, async (t) => {
    const { hand, actor } = await joined(`way-${state}`);
    t.deepEqual(hand.verdicts([by(actor, 'member.ready/1')]), ['applied']);
    for (const kind of way) {
      const { reason, ...named } = about(actor);
      const body = kind === 'member.uncordon/1' ? named : { ...named, reason };
      t.deepEqual(hand.verdicts([by(first, kind, body)]), ['applied']);
    }
    await hand.write();
    for (const { event, from, to, by: whose } of TRANSITIONS) {
      const copy = hand.restarted();
      const author = whose === 'itself' ? actor : first;
      const named = { actor: Uint8Array.fromHex(actor) };
      const body =
        event === 'member.ready/1'
          ? {}
          : event === 'member.describe/1'
            ? { ...named, labels: ['a=b'] }
            : event === 'member.uncordon/1'
              ? named
              : about(actor);
      const entry = by(author, event, body);
      const isVoid = whose === 'itself' && (state === 'retired' || state === 'removed');
      if (from.includes(state)) {
        t.deepEqual(copy.verdicts([entry]), ['applied'], event);
        t.is(readMember(rowsOf(copy), actor)?.state ?? 'active', to ?? state, event);
        continue;
      }
      const before = copy.fold.summary().projections.find(({ name }) => name === 'members');
      const error = t.throws(() => copy.fold.reducer.assertMembershipFits(entry.event, NOW));
      t.is(codeOf(error), 'member_transition', event);
      t.like((error as { data?: object }).data, { from: state, event });
      t.deepEqual(copy.verdicts([entry]), isVoid ? [] : ['member_transition'], event);
      const after = copy.fold.summary().projections.find(({ name }) => name === 'members');
      t.deepEqual(after, before, event);
    }
  });
}

test('events of those who left are void, of those who are held up they count', async (t) => {
  const { hand, actor } = await joined('leaver');
  t.deepEqual(hand.verdicts([by(actor, 'member.ready/1'), put(actor, 1, 'k')]), [
    'applied',
    'applied',
  ]);
  const entries = [by(first, 'member.cordon/1', about(actor)), put(actor, 2, 'k')];
  t.deepEqual(hand.verdicts(entries), ['applied', 'applied']);
  const drained = [by(actor, 'member.drain/1', about(actor)), put(actor, 3, 'k')];
  t.deepEqual(hand.verdicts(drained), ['applied', 'applied']);
  const removed = [by(first, 'member.remove/1', about(actor)), put(actor, 4, 'k')];
  t.deepEqual(hand.verdicts(removed), ['applied'], 'the last one gets no number');
  t.is(schema.members.standing?.(actor, rowsOf(hand)), undefined);
  t.like(readMember(rowsOf(hand), actor), { state: 'removed', reason: 'a reason' });
});

test('only operators act on others; the last validator and the last operator stay', async (t) => {
  const { hand, actor } = await joined('plain');
  const { reason: _reason, ...named } = about(ada);
  t.deepEqual(
    hand.verdicts([
      by(actor, 'member.remove/1', about(ada)),
      by(actor, 'member.drain/1', about(ada)),
      by(actor, 'member.invite/1', { ...inviteOf('no', ['observer']).body }),
      by(actor, 'member.describe/1', { ...named, addrs: [] }),
      by(actor, 'member.describe/1', { actor: Uint8Array.fromHex(actor), labels: ['a=b'] }),
      by(first, 'member.ready/1'),
      by(first, 'member.remove/1', about('ab'.repeat(32))),
      by(first, 'member.drain/1', about(ada)),
      by(first, 'member.remove/1', about(bob)),
      by(first, 'member.remove/1', about(second)),
      by(first, 'member.remove/1', about(first)),
      by(first, 'member.describe/1', { ...about2(first), roles: ['participant'] }),
    ]),
    [
      'member_not_permitted',
      'member_not_permitted',
      'member_not_permitted',
      'member_not_permitted',
      'member_not_permitted',
      'member_transition',
      'member_unknown',
      'applied',
      'member_last_validator',
      'applied',
      'member_last_operator',
      'member_last_operator',
    ],
  );
  t.deepEqual(hand.fold.seats.validators.map((one) => one.actor), [bob]);
});

const about2 = (actor: string) => ({ actor: Uint8Array.fromHex(actor) });

test('an invite lets one in, in time, and not when it was taken back', async (t) => {
  const hand = new HandFold();
  const [used, back, short] = [
    inviteOf('used', ['observer']),
    inviteOf('back', ['observer']),
    inviteOf('short', ['observer'], { notAfter_ms: NOW + 10 }),
  ];
  const [one, two] = [seededActor('one'), seededActor('two')];
  const withdraw = by(first, 'member.withdraw/1', { invite: Uint8Array.fromHex(back.id) });
  t.deepEqual(hand.verdicts([open(used), open(back), open(short), withdraw], NOW), [
    'applied', 'applied', 'applied', 'applied',
  ]);
  const uses = await Promise.all([
    joinBody(chain, used, one, seededPeer('one')),
    joinBody(chain, used, two, seededPeer('two')),
    joinBody(chain, back, two, seededPeer('two')),
    joinBody(chain, short, two, seededPeer('two')),
  ]);
  const entries = uses.map((body, i) => by((i === 0 ? one : two).actor, 'member.join/1', body));
  const before = NOW + 11;
  const codes = entries.map((entry) => {
    try {
      hand.fold.reducer.assertMembershipFits(entry.event, before);
      return 'fits';
    } catch (error) {
      return codeOf(error);
    }
  });
  t.deepEqual(codes, ['fits', 'fits', 'invite_withdrawn', 'invite_expired']);
  // used and withdrawn ones are no invites: no number, no state
  t.deepEqual(hand.verdicts(entries, before), ['applied', 'invite_expired']);
  const again = by(two.actor, 'member.join/1', uses[1]);
  t.throws(() => hand.fold.reducer.assertMembershipFits(again.event, NOW), { code: 'invite_used' });
  t.is(hand.fold.reducer.topOfLane(two.actor, 0), -1, 'nothing is kept of who is no member');
  const state = rootOf(hand);
  t.deepEqual(hand.verdicts([again], before), []);
  t.is(rootOf(hand), state);
  t.is(listInvites(rowsOf(hand), before).map((row) => row.state).join(), 'used,withdrawn,expired');
});

const gone: Readonly<Record<string, (hand: HandFold) => readonly Entry[]>> = {
  'was removed': () => [by(second, 'member.remove/1', about(first))],
  'is no operator any more': () => [
    by(second, 'member.describe/1', { actor: Uint8Array.fromHex(first), roles: ['participant'] }),
  ],
  'has no key any more': () => [
    by(second, 'member.revoke/1', { ...about(first), key: Uint8Array.fromHex(first) }),
  ],
};
for (const [what, entries] of Object.entries(gone)) {
  test(`an invite lets in nobody whose issuer ${what}`, async (t) => {
    const hand = new HandFold();
    const invited = inviteOf(`orphan ${what}`, ['operator']);
    t.deepEqual(hand.verdicts([open(invited), ...entries(hand)], NOW), ['applied', 'applied']);
    const thief = seededActor(`thief ${what}`);
    const join = by(thief.actor, 'member.join/1', await joinBody(chain, invited, thief, undefined));
    t.deepEqual(hand.verdicts([join], NOW), []);
    t.is(listInvites(rowsOf(hand), NOW)[0]?.state, 'withdrawn');
  });
}

test('the last operator with a key stays', (t) => {
  const hand = new HandFold();
  const key = Uint8Array.fromHex(second);
  const revoked = by(first, 'member.revoke/1', { ...about(second), key });
  const leaves = by(first, 'member.remove/1', about(first));
  t.deepEqual(hand.verdicts([revoked, leaves], NOW), ['applied', 'member_last_operator']);
  t.is(schema.members.standing?.(second, rowsOf(hand)), undefined);
});

test('a join has one place in the log, also where its actor came by another one', async (t) => {
  const hand = new HandFold();
  const who = seededActor('twice');
  const [late, good] = [
    inviteOf('late', ['participant'], { notAfter_ms: NOW + 1 }),
    inviteOf('good', ['participant']),
  ];
  t.deepEqual(hand.verdicts([open(late), open(good)], NOW), ['applied', 'applied']);
  const join = async (invited: TestInvite) =>
    by(who.actor, 'member.join/1', await joinBody(chain, invited, who, undefined));
  const [failed, came] = [await join(late), await join(good)];
  t.deepEqual(hand.verdicts([failed, came], NOW + 2), ['invite_expired', 'applied']);
  const { size } = hand.fold;
  t.deepEqual(hand.verdicts([failed, came], NOW + 3), []);
  t.is(hand.fold.size, size);
});

test('nobody comes with the pair of another, or with a proof that does not hold', async (t) => {
  const { hand } = await joined('owner');
  const other = seededActor('thief');
  const node = seededPeer('thief');
  await hand.write();
  const fresh = (n: number) => inviteOf(`pair ${n}`, ['observer']);
  const owner = seededActor('owner');
  const cases = [
    ['member_known', await joinBody(chain, fresh(0), other, seededPeer('owner'))],
    ['member_proof_invalid', await joinBody(chain, fresh(1), other, node, {
      peerProof: seededPeer('x').sign(new Uint8Array(3)),
    })],
    ['member_proof_invalid', await joinBody(chain, fresh(2), other, node, { peer: '12D3KooWbad' })],
    ['member_roles', await joinBody(chain, fresh(3), other, undefined)],
    ['bad_body', await joinBody(chain, fresh(4), other, node, { key: owner.coseKey })],
    ['member_known', await joinBody(chain, fresh(5), owner, node)],
  ] as const;
  for (const [i, [verdict, body]] of cases.entries()) {
    const copy = hand.restarted();
    t.deepEqual(copy.verdicts([open(fresh(i))], NOW), ['applied']);
    const members = () => [...copy.fold.summary().projections];
    const before = members();
    const author = body['key'] === owner.coseKey && verdict !== 'bad_body' ? owner : other;
    t.deepEqual(copy.verdicts([by(author.actor, 'member.join/1', body)], NOW), [verdict]);
    t.deepEqual(members(), before, 'nothing changed');
  }
});

test('the key of another invite is no key: the event is void', async (t) => {
  const hand = new HandFold();
  const [a, b] = [inviteOf('a', ['observer']), inviteOf('b', ['observer'])];
  const who = seededActor('mixed');
  t.deepEqual(hand.verdicts([open(a), open(b)], NOW), ['applied', 'applied']);
  const node = seededPeer('mixed');
  const body = await joinBody(chain, { ...a, key: b.key }, who, node);
  t.deepEqual(hand.verdicts([by(who.actor, 'member.join/1', body)], NOW), []);
  t.deepEqual(hand.verdicts([put(who.actor, 1, 'k')], NOW), []);
});

test('the one-time key names who uses it, and that is part of the event', async (t) => {
  const engine = await loadEngine('liboqs');
  const invited = inviteOf('proof', ['observer']);
  const [who, thief] = [seededActor('who'), seededActor('steals')];
  const body = await joinBody(chain, invited, who, seededPeer('who'));
  const jobs = innerJobs(by(who.actor, 'member.join/1', body).event);
  t.is(jobs.length, 1);
  t.true(jobs.every((job) => engine.verify(job)));
  const stolen = innerJobs(by(thief.actor, 'member.join/1', body).event);
  t.false(stolen.some((job) => engine.verify(job)));
  const elsewhere = useStatement('cd'.repeat(32), invited.id, who.actor);
  const proof = await sign(invited.key.signer, 'invite', elsewhere);
  const foreign = innerJobs(by(who.actor, 'member.join/1', { ...body, proof }).event);
  t.false(foreign.some((job) => engine.verify(job)));
});

test('open invites are bounded, and so is how long they are open', (t) => {
  const hand = new HandFold();
  const many = Array.from({ length: 257 }, (_, i) => inviteOf(`n${i}`, ['participant']));
  const verdicts = hand.verdicts(many.map(open), NOW);
  t.is(verdicts.filter((verdict) => verdict === 'applied').length, 256);
  t.is(verdicts.at(-1), 'invite_bounds');
  const long = inviteOf('long', ['participant'], { notAfter_ms: NOW + 31 * 86_400_000 });
  const over = inviteOf('over', ['participant'], { notAfter_ms: NOW - 1 });
  const twice = many[0] as TestInvite;
  t.deepEqual(hand.verdicts([open(long), open(over), open(twice)], NOW), [
    'invite_bounds',
    'invite_expired',
    'invite_known',
  ]);
});

test('docs/membership.md has the table of transitions', (t) => {
  const file = pathOf(import.meta.dirname, '..', '..', 'docs', 'membership.md');
  const found = readFileSync(file, 'utf8').matchAll(
    /^\| `(member\.\w+\/1)` \| ([a-z, ]+) \| ([a-z, ]+) \| (operator|itself|either) \|/gm,
  );
  const rows = [...found].map(([, event, from, to, whose]) => [event, from, to, whose]);
  t.deepEqual(
    rows,
    TRANSITIONS.map((one) => [one.event, one.from.join(', '), one.to ?? 'as before', one.by]),
  );
});
