import { decodeBlock } from '#ledger/block.ts';
import { keyId } from '#ledger/cose.ts';
import type { Id } from '#ledger/ports.ts';
import { ROTATE_KIND } from '#ledger/rotation.ts';
import { VERDICTS } from '#ledger/verdicts.ts';
import { wholeNodes } from '#test/sim/finality.ts';
import type { MakeChecker } from './index.ts';

/**
 * In the log of the first honest node that has all of it an event counts where its key was its
 * actor's after the rotations before it, and gets `key_retired` where it was so earlier. In every
 * epoch the blocks of an honest node carry what the key of its seat covers.
 */
export const keys: MakeChecker = (world, report) => ({
  published(node, bytes) {
    const { core } = node;
    if (!core) return;
    const { header, entries } = decodeBlock(bytes, world.chain.id, core.replica.epochs);
    const committee = core.replica.epochs.ofEpoch(header.epoch);
    const seatKey = committee?.keyIdAt(header.author);
    for (const { sign1, event, id } of entries) {
      const { actor, key = actor } = event;
      if (!sign1 && key !== seatKey) report(`${node.name} carries ${id} bare for another key`);
    }
  },
  end() {
    const core = wholeNodes(world)[0]?.core;
    if (!core) return;
    const present = new Map<Id, Id>();
    const past = new Map<Id, Id>();
    for (const { seq, verdict, entry } of core.log.range(1, core.replica.fold.size)) {
      const { actor, key = actor, kind, body } = entry.event;
      const own = present.get(actor) ?? actor;
      const isOld = key !== own;
      if (isOld && past.get(key) !== actor) report(`event ${seq} has a key of nobody`);
      if (isOld !== (verdict === VERDICTS.key_retired)) {
        report(`event ${seq} by ${isOld ? 'an old' : 'the present'} key has verdict ${verdict}`);
      }
      if (kind !== ROTATE_KIND || verdict !== VERDICTS.applied) continue;
      past.set(own, actor);
      present.set(actor, keyId(body['key'] as Uint8Array));
    }
    for (const [actor, key] of present) {
      if (core.replica.fold.reducer.keyOf(actor) !== key) report(`${actor} has another key`);
    }
  },
});
