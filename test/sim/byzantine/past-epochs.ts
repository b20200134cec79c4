import type { Draft } from '#ledger/block.ts';
import { encodeVote, signCheckpoint } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { Committee } from '#ledger/committee.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import type { Habit } from './habits.ts';
import type { Treason } from './treason.ts';

/** What a traitor does where epochs end. */

function madeUp(treason: Treason): string {
  return treason.random.below(2 ** 31).toString(16).padStart(64, '0');
}

/**
 * A twin in an epoch that has ended: whoever is in the next one takes nothing of it, and for those
 * who are late it comes to what decides the end.
 */
async function late(treason: Treason): Promise<void> {
  const { past, random } = treason;
  if (past.length === 0) return;
  const draft = treason.draftOf(random.pick(past));
  const twin = await treason.seal({ ...draft, ts_ms: draft.ts_ms + 3 }, [treason.event('past')]);
  treason.send(twin, treason.peers());
}

/** A checkpoint where the epoch has ended; none before. */
function endOf({ core }: Treason): Checkpoint | undefined {
  const { committee, fold, orderer } = core.replica;
  if (!orderer.isEnded) return undefined;
  const { epoch } = committee;
  return core.certifier.store.own({ epoch, size: fold.size, cut: 'epoch' });
}

/** A block of the next epoch before that is certified, on the true end of this one or another. */
async function early(treason: Treason): Promise<void> {
  const { core, committee, random, who } = treason;
  const end = endOf(treason);
  if (!end) return;
  const base = random.chance(0.5) ? end.id : madeUp(treason);
  const next = new Committee(committee.epoch + 1, core.replica.fold.seats.validators, base);
  const author = next.indexOf(who.actor);
  if (author === undefined) return;
  const others = next.validators.keys().filter((index) => index !== author);
  const draft: Draft = {
    chain: core.chain.id,
    epoch: next.epoch,
    committee: next.id,
    round: 1,
    author,
    ts_ms: end.ts_ms,
    parents: [author, ...others].map((index) => ({
      round: 0,
      author: index,
      id: genesisBlockId(core.chain.id, next, index),
    })),
  };
  treason.send(await treason.seal(draft, [treason.event('early')]), treason.peers());
}

/** A vote for another state at the end of the epoch. */
async function lie(treason: Treason): Promise<void> {
  const end = endOf(treason);
  const author = treason.committee.indexOf(treason.who.actor);
  if (!end || author === undefined) return;
  const checkpoint = makeCheckpoint({ ...end, state: madeUp(treason) });
  const vote = await signCheckpoint(checkpoint, author, treason.who.signer);
  treason.network.tell(treason.peers(), 'checkpoint', encodeVote(vote));
}

export const pastEpochs: Habit = {
  async tick(treason) {
    // what can be done at the end only, whenever it can
    await early(treason);
    await lie(treason);
    await late(treason);
  },
};
