import test from 'ava';
import { sealBlock } from '#ledger/block.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body, Entry } from '#ledger/event.ts';
import { readMember } from '#projections/index.ts';
import { invite, joinBody, seededPeer } from '#test/support/invites.ts';
import { Rogue } from '#test/support/rogue.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import type { TestActor } from '#test/support/cluster.ts';

/** Joins on their way through blocks of several validators. */

function signed(chain: string, who: TestActor, seq: number, kind: string, body: Body) {
  const event = { chain, actor: who.actor, lane: 7, seq, kind, body, hlc: [0, 0] as const };
  return signEvent(event, who.signer);
}

function operatorOf({ net }: SimCluster): TestActor {
  const [operator] = net.operators;
  if (!operator) throw new Error('no operator');
  return operator;
}

async function submit(cluster: SimCluster, at: number, entry: Entry, key: Uint8Array) {
  const { core } = cluster.at(at);
  await cluster.during(core.submit(entry.bytes, key));
  return (await cluster.during(core.waitFinal(entry.id, 10_000)))?.verdict;
}

test('an invite and a join become final on all nodes, and one invite lets in one', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 41 });
  const { chain } = cluster.net;
  const operator = operatorOf(cluster);
  const later = { notAfter_ms: cluster.clock.wall_ms() + 600_000 };
  const invited = invite(chain.id, operator.actor, 'sim', ['observer'], later);
  const made = await signed(chain.id, operator, 1, 'member.invite/1', { ...invited.body });
  t.is(await submit(cluster, 0, made, operator.coseKey), 0);
  const guests = [seededActor('sim a'), seededActor('sim b')];
  const joins = await Promise.all(guests.map(async (guest, i) => {
    const body = await joinBody(chain.id, invited, guest, seededPeer(`sim ${i}`));
    return signed(chain.id, guest, 1, 'member.join/1', body);
  }));
  // two nodes take one each, before either is final
  const [a, b] = joins as [Entry, Entry];
  await cluster.during(Promise.all([
    cluster.at(1).core.submit(a.bytes, guests[0]?.coseKey as Uint8Array),
    cluster.at(2).core.submit(b.bytes, guests[1]?.coseKey as Uint8Array),
  ]));
  t.true(await cluster.until(() => cluster.haveFinal(2), 10_000));
  await cluster.run(3000);
  const states = [0, 1, 2, 3].map((i) => {
    const rows = cluster.at(i).core.rows('members', 'final');
    return guests.map(({ actor }) => readMember(rows, actor)?.state ?? 'none').join();
  });
  t.is(new Set(states).size, 1, states.join(' '));
  t.deepEqual((states[0] ?? '').split(',').toSorted(), ['joining', 'none']);
  for (const i of [0, 1, 2, 3]) {
    t.is(cluster.at(i).core.replica.fold.size, 2, 'the other one is void');
    t.is(cluster.at(i).core.replica.pool.size, 0, 'and waits nowhere');
  }
  await cluster.stop();
});

test('a block with a join whose proof is of another is invalid', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 42 }, [3]);
  const rogue = new Rogue(cluster, 3);
  const a = await rogue.seal(1, 'a');
  if (!a) throw new Error('no quorum');
  const { chain } = cluster.net;
  const operator = operatorOf(cluster);
  const later = { notAfter_ms: cluster.clock.wall_ms() + 600_000 };
  const invited = invite(chain.id, operator.actor, 'block', ['observer'], later);
  const made = await signed(chain.id, operator, 1, 'member.invite/1', { ...invited.body });
  t.is(await submit(cluster, 0, made, operator.coseKey), 0);
  const [guest, thief] = [seededActor('block guest'), seededActor('block thief')];
  const seen = await joinBody(chain.id, invited, guest, seededPeer('block guest'));
  const own = await joinBody(chain.id, invited, thief, seededPeer('block thief'));
  const stolen = await signed(chain.id, thief, 1, 'member.join/1', {
    ...own, proof: seen['proof'],
  });
  await t.throwsAsync(
    cluster.during(cluster.at(0).core.submit(stolen.bytes, thief.coseKey)),
    { code: 'bad_event_signature' },
  );
  const { signer } = cluster.net.validators[3] as TestActor;
  const block = await sealBlock(a.header, [stolen], [thief.coseKey], signer);
  await t.throwsAsync(rogue.give(block, [0]), { message: /signature does not fit/ });
  await cluster.stop();
});
