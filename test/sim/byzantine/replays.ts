import type { Entry } from '#ledger/event.ts';
import { compareBytes } from '#ledger/ids.ts';
import { storeKeys } from '#ledger/keys.ts';
import { signingKeyId } from '#ledger/event.ts';
import type { Habit } from './habits.ts';
import type { Treason } from './treason.ts';

/** Its blocks carry what others signed long ago, and the same event several times. */
export const replays: Habit = {
  payload(treason) {
    const { core, random } = treason;
    const { size } = core.replica.fold;
    const entries: Entry[] = [];
    const { from } = core.log;
    const tries = size < from ? 0 : 4;
    for (let i = 0; i < tries; i++) {
      const final = core.log.at(random.between(from, size));
      if (final?.entry.sign1) entries.push(final.entry, final.entry);
    }
    const own = treason.event('again');
    entries.push(own, own);
    const keys = new Map<string, Uint8Array>();
    for (const { event, sign1 } of entries) {
      const id = signingKeyId(event);
      if (!sign1 || id === treason.committee.keyIdAt(treason.author)) continue;
      const key = keyOf(treason, id);
      if (key) keys.set(id, key);
    }
    const usable = entries.filter(
      ({ event, sign1 }) =>
        !sign1 ||
        keys.has(signingKeyId(event)) ||
        signingKeyId(event) === treason.committee.keyIdAt(treason.author),
    );
    return { entries: usable, keys: [...keys.values()].toSorted(compareBytes) };
  },
};

function keyOf(treason: Treason, id: string): Uint8Array | undefined {
  const member = treason.committee.validators.find(({ actor }) => actor === id);
  return member?.coseKey ?? treason.stored(storeKeys.coseKey(id));
}

/**
 * Takes what clients gave it into two blocks for one slot, shows both to all and is silent from
 * then on: nobody builds on them, and they seem to carry what others hold too.
 */
export const hoarding: Habit = {
  isSteadfast: true,
  skips: ({ core, own }) => own.length > 0 || core.replica.pool.size < 2,
  payload(treason) {
    const pending = [...treason.core.replica.pool.values()].slice(0, 8);
    const keys = new Map<string, Uint8Array>();
    const ownKey = treason.committee.keyIdAt(treason.author);
    for (const { entry, coseKey } of pending) {
      const id = signingKeyId(entry.event);
      if (coseKey && id !== ownKey) keys.set(id, coseKey);
    }
    return {
      entries: pending.filter(({ coseKey }) => coseKey).map(({ entry }) => entry),
      keys: [...keys.values()].toSorted(compareBytes),
    };
  },
  async spread(treason, block) {
    const draft = treason.draftOf(block);
    const twin = await treason.seal({ ...draft, ts_ms: draft.ts_ms + 1 }, []);
    const to = treason.peers();
    return [
      { block: twin, to },
      { block, to },
    ];
  },
};
