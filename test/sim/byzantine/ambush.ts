import type { Block, Draft } from '#ledger/block.ts';
import type { Ref } from '#ledger/header.ts';
import type { PeerName } from '#ledger/ports.ts';
import type { Habit, Sending } from './habits.ts';
import type { Treason } from './treason.ts';

/**
 * Asleep most of the time, so that nobody waits for it; then, as a leader, it shows its block to
 * all but one, and in the next round votes for it to them and twice against it to that one. Where
 * twins count twice, the one skips what the others commit.
 */

function victimOf(treason: Treason): PeerName | undefined {
  return treason.peers().toSorted().at(-1);
}

function isLeader({ core, author }: Treason, round: number): boolean {
  return core.replica.orderer.leaderOf(round) === author;
}

/** The same parents, with an older own block than the one that leads. */
function against(treason: Treason, { parents, round }: Draft): readonly Ref[] {
  const below = parents.filter((parent, i) => i > 0 && parent.round === round - 1);
  const { committee, own, author, core } = treason;
  if (committee.stakeOf(below.map((parent) => parent.author)) < committee.quorum) return parents;
  const older = own.findLast(({ ref }) => ref.round < round - 1)?.ref;
  const [genesis] = core.replica.orderer.dag.slot(0, author);
  const first = older ?? genesis;
  return first ? [{ round: first.round, author, id: first.id }, ...parents.slice(1)] : parents;
}

async function doubled(treason: Treason, block: Block): Promise<Sending[]> {
  const victim = victimOf(treason);
  const draft = treason.draftOf(block);
  const parents = against(treason, draft);
  const sendings: Sending[] = [{ block, to: treason.peers().filter((peer) => peer !== victim) }];
  for (const later_ms of [1, 2]) {
    const twin = await treason.seal({ ...draft, parents, ts_ms: draft.ts_ms + later_ms }, []);
    sendings.push({ block: twin, to: victim === undefined ? [] : [victim] });
  }
  return sendings;
}

export const ambush: Habit = {
  skips(treason, round) {
    const last = treason.own.at(-1)?.ref.round ?? 0;
    if (isLeader(treason, round)) return round - last < 10;
    if (last !== round - 1 || !isLeader(treason, last)) return true;
    // it can vote against itself only where the others are a quorum
    const { core, committee, author } = treason;
    const others = new Set(core.replica.orderer.dag.authors(last));
    others.delete(author);
    return committee.stakeOf(others) < committee.quorum;
  },
  spread(treason, block) {
    if (!isLeader(treason, block.ref.round)) return doubled(treason, block);
    const victim = victimOf(treason);
    return Promise.resolve([{ block, to: treason.peers().filter((peer) => peer !== victim) }]);
  },
};
