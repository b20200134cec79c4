import test from 'ava';
import { Committee } from '#ledger/committee.ts';
import { refusalOf, reviewUnknown } from '#node/membership/pairs.ts';
import type { PairView } from '#node/membership/pairs.ts';
import { HandFold, ada, net, put } from '#test/ledger/fold-support.ts';
import { invite, joinBody, seededPeer } from '#test/support/invites.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';

/** Which pairs of actor and libp2p key are let in, by what the ledger says. */

const operator = net.operators[0]?.actor as string;
const [guest, stranger] = [seededActor('guest'), seededActor('stranger')];
const [node, other] = [seededPeer('guest'), seededPeer('other')];

async function ledger(): Promise<HandFold> {
  const hand = new HandFold();
  const invited = invite(net.chain.id, operator, 'guest', ['observer']);
  const body = await joinBody(net.chain.id, invited, guest, node);
  const events = [
    put(operator, 1, '', { kind: 'member.invite/1', body: { ...invited.body } }),
    put(guest.actor, 0, '', { kind: 'member.join/1', body }),
  ];
  if (hand.verdicts(events).join() !== 'applied,applied') throw new Error('the guest is not in');
  return hand;
}

function view(hand: HandFold, more: Partial<PairView> = {}): PairView {
  return {
    rows: hand.fold.reducer.rowsOf('members'),
    committee: net.chain.committee,
    configured: new Set(),
    isBehind: false,
    linked: [],
    ...more,
  };
}

test('pairs of the ledger are let in, whoever dials; all others are not', async (t) => {
  const hand = await ledger();
  const judge = (peer: string, actor: string) => refusalOf(view(hand), peer, actor, 'inbound');
  t.is(judge('peer-0', ada), undefined);
  t.is(judge(node.peer, guest.actor), undefined, 'also while it is joining');
  t.is(judge(other.peer, stranger.actor), 'not_on_ledger');
  t.is(judge(other.peer, guest.actor), 'pair_differs', 'its key with another node');
  t.is(judge(node.peer, stranger.actor), 'pair_differs', 'its node with another key');
  t.is(judge(other.peer, operator), 'pair_differs', 'an operator has no node');
});

test('who has no key any more is let in no more, and who rotated unseen is dialled', async (t) => {
  const hand = await ledger();
  const away = view(hand, { isBehind: true, linked: ['peer-0'] });
  const newKey = stranger.actor;
  t.is(refusalOf(away, node.peer, newKey, 'outbound'), undefined, 'the ledger names its node');
  t.is(refusalOf(away, node.peer, newKey, 'inbound'), 'pair_differs');
  t.is(refusalOf(view(hand), node.peer, newKey, 'outbound'), 'pair_differs', 'in step');
  const body = {
    actor: Uint8Array.fromHex(guest.actor),
    key: Uint8Array.fromHex(guest.actor),
    reason: 'stolen',
  };
  const revoke = put(operator, 2, '', { kind: 'member.revoke/1', body });
  t.deepEqual(hand.verdicts([revoke]), ['applied']);
  t.is(refusalOf(view(hand), node.peer, guest.actor, undefined), 'key_revoked');
});

test('who is behind or alone takes those it was told of, and only where it dials', async (t) => {
  const hand = await ledger();
  const configured = new Set([other.peer, node.peer]);
  const linked = ['peer-0'];
  const ask = (more: Partial<PairView>, direction: 'inbound' | 'outbound' | undefined) =>
    refusalOf(view(hand, { configured, linked, ...more }), other.peer, stranger.actor, direction);
  t.is(ask({ isBehind: true }, 'outbound'), undefined);
  t.is(ask({ isBehind: true }, undefined), undefined, 'a link that is open stays');
  t.is(ask({ isBehind: true }, 'inbound'), 'not_on_ledger');
  t.is(ask({}, 'outbound'), 'not_on_ledger', 'in step it knows all members');
  t.is(ask({}, undefined), 'not_on_ledger', 'so such a link ends');
  t.is(ask({ linked: [] }, 'outbound'), undefined, 'alone there is no other way');
  t.is(ask({ isBehind: true, configured: new Set() }, 'outbound'), 'not_on_ledger');
  const behind = view(hand, { configured, isBehind: true });
  t.is(refusalOf(behind, other.peer, guest.actor, 'outbound'), 'pair_differs');
});

test('removed members are refused; one with a seat only when its epoch has ended', async (t) => {
  const hand = await ledger();
  const about = (actor: string) => ({ actor: Uint8Array.fromHex(actor), reason: 'gone' });
  const events = [guest.actor, ada].map((actor, i) =>
    put(operator, 10 + i, '', { kind: 'member.remove/1', body: about(actor) }),
  );
  t.deepEqual(hand.verdicts(events), ['applied', 'applied']);
  const configured = new Set([node.peer, 'peer-0']);
  const old = view(hand, { configured, isBehind: true });
  t.is(refusalOf(old, node.peer, guest.actor, 'outbound'), 'member_removed');
  t.is(refusalOf(old, 'peer-0', ada, 'inbound'), undefined, 'a quorum may need its signature');
  const { epoch, validators } = hand.fold.seats;
  const entered = view(hand, { committee: new Committee(epoch, validators) });
  t.is(refusalOf(entered, 'peer-0', ada, 'inbound'), 'member_removed');
});

test('a link to one whom the ledger does not know is judged again until it is known', async (t) => {
  const hand = await ledger();
  const clock = new VirtualClock(0);
  let reviews = 0;
  let actor = stranger.actor;
  const core = {
    rows: () => hand.fold.reducer.rowsOf('members'),
  };
  const network = {
    review: () => void (reviews += 1),
    peers: () => [{ peer: other.peer, actor, rtt_ms: undefined }],
  };
  const end = reviewUnknown(core, network, clock);
  await clock.run(5000);
  t.is(reviews, 2);
  actor = guest.actor;
  await clock.run(5000);
  t.is(reviews, 2, 'a member is judged when something of it is final');
  end();
});
