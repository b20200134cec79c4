import test from 'ava';
import type { Body, Entry } from '#ledger/event.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { isUnseen, readMember, schema } from '#projections/index.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { newcomer } from '#test/support/epochs.ts';
import { invite, joinBody, seededPeer } from '#test/support/invites.ts';
import { seededActor, seededNet } from '#test/support/seeded-actor.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { HandFold, put } from '#test/ledger/fold-support.ts';
import { MembersModel } from '#test/sim/model/members.ts';

/** No change of the committee may leave fewer validators that were seen at work than a quorum. */

const hex = (actor: string): Uint8Array => Uint8Array.fromHex(actor);
const fresh = (i: number) => ({ key: newcomer(i).coseKey, peer: `new-${i}`, stake: 1 });
const removing = (...actors: readonly string[]) => ({ remove: actors.map(hex) });
let seq = 100;

function start(count: number) {
  const net = seededNet(count, 1, 'newcomers');
  const hand = new HandFold(new MemoryStore(), undefined, schema, net.chain.genesis);
  const operator = net.operators[0]?.actor ?? '';
  const rows = () => hand.fold.reducer.rowsOf('members');
  const by = (actor: string, kind: string, body: Body = {}): Entry =>
    put(actor, (seq += 1), '', { chain: net.chain.id, kind, body });
  const change = (body: Body): Entry => by(operator, 'committee.change/1', body);
  const differences: string[] = [];
  const model = new MembersModel(net.chain.genesis, (what) => differences.push(what));
  /**
   * A commit with an event, and blocks of the authors below `seen`. Throws where the second telling
   * of the rules has other seats.
   */
  const commit = (entries: readonly Entry[], seen = 1): string[] => {
    const blocks = Array.from({ length: seen }, (_, i) => (i === 0 ? entries : []));
    const finals = hand.apply(blocks);
    for (const final of finals) model.take(final);
    model.endCommit([...blocks.keys()]);
    if (model.seated.join() !== seats().join()) differences.push('other seats');
    if (differences.length > 0) throw new Error(differences.join('; '));
    return finals.map(({ verdict }) => verdictName(verdict));
  };
  const seats = () => hand.fold.seats.validators.map(({ actor }) => actor);
  const old = net.validators.map(({ actor }) => actor);
  /** Somebody who came by an invite and waits for nothing but its own word. */
  const invited = async (name: string, roles: ('validator' | 'observer')[] = ['validator']) => {
    const who = seededActor(name);
    const terms = { notAfter_ms: CREATED_MS + 1_000_000 };
    const made = invite(net.chain.id, operator, name, roles, terms);
    const body = await joinBody(net.chain.id, made, who, seededPeer(name));
    const entries = [
      by(operator, 'member.invite/1', { ...made.body }),
      by(who.actor, 'member.join/1', body),
    ];
    return { actor: who.actor, entries, ready: by(who.actor, 'member.ready/1') };
  };
  return { hand, operator, rows, by, change, commit, seats, old, invited };
}

test('three keys at once beside four validators are refused, one is taken', (t) => {
  const { change, commit, seats } = start(4);
  t.deepEqual(commit([change({ add: [fresh(0), fresh(1), fresh(2)] })]), ['committee_quorum']);
  t.deepEqual(commit([change({ add: [fresh(0), fresh(1)] })]), ['committee_quorum']);
  t.is(seats().length, 4);
  const one = (i: number) => change({ add: [fresh(i)] });
  t.deepEqual(commit([one(0), one(1)]), ['applied', 'committee_quorum']);
  t.is(seats().length, 5);
});

test('the next one is taken when the last one was seen at work, or is out again', (t) => {
  const { change, commit, rows, seats } = start(4);
  const one = (i: number) => change({ add: [fresh(i)] });
  t.deepEqual(commit([one(0)]), ['applied']);
  t.true(isUnseen(rows(), newcomer(0).actor));
  t.deepEqual(commit([one(1)]), ['committee_quorum'], 'four run of the five of six');
  // its block is in the commit
  t.deepEqual(commit([one(1)], 5), ['committee_quorum'], 'judged before the commit ends');
  t.false(isUnseen(rows(), newcomer(0).actor));
  t.deepEqual(commit([one(1)]), ['applied']);
  t.deepEqual(commit([one(2)]), ['applied'], 'seven have a quorum of five');
  t.deepEqual(commit([one(3)]), ['committee_quorum']);
  t.deepEqual(commit([change(removing(newcomer(1).actor))]), ['applied']);
  t.deepEqual(commit([one(3)]), ['applied']);
  t.deepEqual(seats().slice(4), [0, 2, 3].map((i) => newcomer(i).actor));
});

test('seven take as many as they may have faulty ones', (t) => {
  const { change, commit, seats } = start(7);
  const four = { add: [0, 1, 2, 3].map(fresh) };
  t.deepEqual(commit([change(four)]), ['committee_quorum']);
  t.deepEqual(commit([change({ add: four.add.slice(0, 3) })]), ['applied']);
  t.is(seats().length, 10);
});

test('a network grows from one validator one by one, each when the last was seen', (t) => {
  const { change, commit, seats } = start(1);
  t.deepEqual(commit([change({ add: [fresh(0), fresh(1)] })]), ['committee_quorum']);
  for (const i of [0, 1, 2, 3]) {
    t.deepEqual(commit([change({ add: [fresh(i)] })]), ['applied'], `to ${i + 2}`);
    t.deepEqual(commit([change({ add: [fresh(9)] })], i + 2), ['committee_quorum']);
  }
  t.is(seats().length, 5);
});

test('removing repairs, in any number; but who was seen stays while others were not', (t) => {
  const { by, change, commit, old, seats } = start(7);
  t.deepEqual(commit([change({ add: [fresh(0), fresh(1)] })]), ['applied']);
  // six of eight run then, five of seven: a quorum
  t.deepEqual(commit([change(removing(...old.slice(0, 2)))]), ['applied']);
  const [, , third = ''] = old;
  t.deepEqual(commit([change(removing(third))]), ['committee_quorum']);
  t.deepEqual(commit([by(third, 'committee.leave/1')]), ['committee_quorum']);
  t.deepEqual(commit([change(removing(newcomer(0).actor, third))]), ['applied']);
  t.deepEqual(seats(), [...old.slice(3), newcomer(1).actor]);
  t.deepEqual(commit([change(removing(newcomer(1).actor, ...old.slice(4)))]), ['applied']);
  t.deepEqual(seats(), old.slice(3, 4));
});

test('below four validators one that is new keeps nobody from leaving', (t) => {
  const { by, change, commit, old, seats } = start(2);
  t.deepEqual(commit([change({ add: [fresh(0)] })]), ['applied']);
  t.deepEqual(commit([by(old[0] ?? '', 'committee.leave/1')]), ['applied']);
  t.deepEqual(seats(), [old[1], newcomer(0).actor]);
});

test('of four nobody leaves while one is new; who is new can be taken out first', (t) => {
  const { by, change, commit, old, seats } = start(3);
  t.deepEqual(commit([change({ add: [fresh(0)] })]), ['applied']);
  const leave = () => by(old[0] ?? '', 'committee.leave/1');
  t.deepEqual(commit([leave()]), ['committee_quorum'], 'two run of three');
  t.deepEqual(commit([change(removing(newcomer(0).actor)), leave()]), ['applied', 'applied']);
  t.deepEqual(seats(), old.slice(1));
});

test('of four that were seen one may leave', (t) => {
  const { by, change, commit, old, seats } = start(3);
  commit([change({ add: [fresh(0)] })]);
  t.deepEqual(commit([change(removing('aa'.repeat(32)))], 4), ['not_validator']);
  t.deepEqual(commit([by(old[0] ?? '', 'committee.leave/1')]), ['applied']);
  t.is(seats().length, 3);
});

test('a change that takes out fewer unseen than seen is no repair of a safe committee', (t) => {
  const { change, commit, old, seats } = start(7);
  t.deepEqual(commit([change({ add: [0, 1, 2].map(fresh) })]), ['applied']);
  const worse = removing(newcomer(0).actor, ...old.slice(0, 3));
  t.deepEqual(commit([change(worse)]), ['committee_quorum'], 'four run of six');
  t.is(seats().length, 10);
  t.deepEqual(commit([change(removing(newcomer(0).actor, ...old.slice(0, 1)))]), ['applied']);
});

test('within a commit an unsafe committee changes only for the better', (t) => {
  const { by, change, commit, old, operator, seats } = start(5);
  t.deepEqual(commit([change({ add: [0, 1].map(fresh) })]), ['applied']);
  const [first = '', second = ''] = old;
  const verdicts = commit([
    by(operator, 'member.drain/1', { actor: hex(first) }),
    change(removing(second)),
    change(removing(newcomer(0).actor)),
  ]);
  // four of six would run, three of five, four of five
  t.deepEqual(verdicts, ['applied', 'committee_quorum', 'applied']);
  t.deepEqual(seats(), [...old.slice(1), newcomer(1).actor]);
});

test('who drains takes unseen ones along, as many as leave a quorum', (t) => {
  const { by, change, commit, old, operator, rows, seats } = start(5);
  t.deepEqual(commit([change({ add: [0, 1].map(fresh) })]), ['applied']);
  const [first = ''] = old;
  t.deepEqual(commit([by(operator, 'member.drain/1', { actor: hex(first) })]), ['applied']);
  const [a, b] = [newcomer(0).actor, newcomer(1).actor];
  t.deepEqual(seats(), [...old.slice(1), a], 'four of five run');
  t.true(readMember(rows(), b)?.seeksSeat);
  const nothing = () => change(removing('aa'.repeat(32)));
  t.deepEqual(commit([nothing()], 4), ['not_validator']);
  t.deepEqual(seats(), [...old.slice(1), a]);
  // a is seen: there is room again
  t.deepEqual(commit([nothing()], 5), ['not_validator']);
  t.deepEqual(seats(), [...old.slice(1), a, b]);
  t.true(isUnseen(rows(), b));
  t.is(readMember(rows(), b)?.seeksSeat, undefined);
});

test('additions and steps of the ledger in one commit leave a quorum together', (t) => {
  const { by, change, commit, old, operator, rows, seats } = start(7);
  const drain = (actor: string) => by(operator, 'member.drain/1', { actor: hex(actor) });
  const gone = old.slice(0, 3);
  const verdicts = commit([change({ add: [0, 1].map(fresh) }), ...gone.map(drain)]);
  t.deepEqual(verdicts, ['applied', 'applied', 'applied', 'applied']);
  t.deepEqual(seats(), [...old.slice(3), newcomer(0).actor]);
  t.true(readMember(rows(), newcomer(1).actor)?.seeksSeat);
});

test('who gave up its seat unseen gets none again where fewer than four tolerate nobody', (t) => {
  const { by, change, commit, old, operator, rows, seats } = start(4);
  const drain = (actor: string) => by(operator, 'member.drain/1', { actor: hex(actor) });
  const nothing = () => change(removing('aa'.repeat(32)));
  const [first = '', second = ''] = old;
  commit([change({ add: [fresh(0)] })]);
  t.deepEqual(commit([drain(first), drain(second)]), ['applied', 'applied']);
  t.deepEqual(seats(), old.slice(2));
  t.deepEqual(commit([nothing()], 2), ['not_validator']);
  t.deepEqual(seats(), old.slice(2));
  // one that comes for the first time does
  t.deepEqual(commit([change({ add: [fresh(1)] })]), ['applied']);
  t.deepEqual(commit([nothing()], 3), ['not_validator']);
  t.deepEqual(seats(), [...old.slice(2), newcomer(1).actor, newcomer(0).actor]);
  t.is(readMember(rows(), newcomer(0).actor)?.seeksSeat, undefined);
});

test('an operator gives a small committee the one back that gave up its seat', (t) => {
  const { by, change, commit, old, operator, rows, seats } = start(3);
  commit([change({ add: [fresh(0)] })]);
  const [first = ''] = old;
  t.deepEqual(commit([by(operator, 'member.drain/1', { actor: hex(first) })]), ['applied']);
  t.deepEqual(seats(), old.slice(1));
  const again = { add: [{ actor: hex(newcomer(0).actor) }] };
  t.deepEqual(commit([change(again)]), ['applied']);
  t.deepEqual(seats(), [...old.slice(1), newcomer(0).actor]);
  t.is(readMember(rows(), newcomer(0).actor)?.seeksSeat, undefined);
});

test('who leaves and comes again counts as unseen', (t) => {
  const { change, commit, old, rows } = start(4);
  const [first = ''] = old;
  commit([change(removing(first))]);
  t.deepEqual(commit([change({ add: [{ actor: hex(first) }] })]), ['applied']);
  t.true(isUnseen(rows(), first));
  commit([change(removing('aa'.repeat(32)))], 4);
  t.false(isUnseen(rows(), first));
  // within one commit it never left
  const [, second = ''] = old;
  const both = [change(removing(second)), change({ add: [{ actor: hex(second) }] })];
  t.deepEqual(commit(both, 4), ['applied', 'applied']);
  t.false(isUnseen(rows(), second));
});

test('of three that were invited and are ready in one commit one sits, others wait', async (t) => {
  const { commit, change, rows, seats, invited } = start(4);
  const three = await Promise.all(['a', 'b', 'c'].map((name) => invited(name)));
  commit(three.flatMap(({ entries }) => entries));
  t.deepEqual(commit(three.map(({ ready }) => ready)), ['applied', 'applied', 'applied']);
  const [a = '', b = '', c = ''] = three.map(({ actor }) => actor);
  t.deepEqual(seats().slice(4), [a]);
  for (const one of [b, c]) {
    const member = readMember(rows(), one);
    t.like(member, { roles: [], state: undefined, seeksSeat: true });
  }
  // other events come and go: a was not seen
  t.deepEqual(commit([change(removing(b))]), ['not_validator']);
  t.is(seats().length, 5);
  // a's block is in a commit: b gets its seat with it, and nobody did anything
  t.deepEqual(commit([change(removing(b))], 5), ['not_validator']);
  t.deepEqual(seats().slice(4), [a, b, c], 'seven have a quorum of five');
  t.is(readMember(rows(), c)?.seeksSeat, undefined);
  t.deepEqual(commit([change(removing(b))]), ['applied']);
  t.deepEqual(commit([change(removing(c))], 6), ['applied']);
  t.deepEqual(seats().slice(4), [a], 'who lost its seat waits for none');
});

test('who waits keeps its place while it is cordoned, and none once it drains', async (t) => {
  const { by, commit, operator, seats, invited } = start(4);
  const three = await Promise.all(['a', 'b', 'c'].map((name) => invited(name)));
  const [a = '', b = '', c = ''] = three.map(({ actor }) => actor);
  commit(three.flatMap(({ entries }) => entries));
  const about = (actor: string) => ({ actor: hex(actor) });
  commit([
    ...three.map(({ ready }) => ready),
    by(operator, 'member.cordon/1', about(b)),
    by(operator, 'member.drain/1', about(c)),
    by(operator, 'member.uncordon/1', about(c)),
  ]);
  const nothing = () => by(operator, 'committee.change/1', removing(c));
  t.deepEqual(commit([nothing()], 5), ['not_validator']);
  t.deepEqual(seats().slice(4), [a]);
  t.deepEqual(commit([by(operator, 'member.uncordon/1', about(b))]), ['applied']);
  t.deepEqual(seats().slice(4), [a, b]);
  t.deepEqual(commit([nothing()], 6), ['not_validator']);
  t.deepEqual(seats().slice(4), [a, b]);
});
