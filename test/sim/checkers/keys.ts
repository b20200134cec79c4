import { decodeBlock } from '#ledger/block.ts';
import { keyId } from '#ledger/cose.ts';
import type { Id } from '#ledger/ports.ts';
import { REKEY_KIND, REVOKE_KIND, ROTATE_KIND } from '#ledger/rotation.ts';
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
    const revoked = new Set<Id>();
    for (const { seq, verdict, entry } of core.log.range(1, core.replica.fold.size)) {
      const { actor, key = actor, kind, body } = entry.event;
      const own = present.get(actor) ?? actor;
      const isOld = key !== own;
      if (revoked.has(key)) report(`event ${seq} is signed with a revoked key`);
      if (isOld && past.get(key) !== actor) report(`event ${seq} has a key of nobody`);
      // an operator may name the old key of whom it seats
      const isOthers = kind === 'committee.change/1' && !isOld;
      if (!isOthers && isOld !== (verdict === VERDICTS.key_retired)) {
        report(`event ${seq} by ${isOld ? 'an old' : 'the present'} key has verdict ${verdict}`);
      }
      if (verdict !== VERDICTS.applied) continue;
      if (kind === REVOKE_KIND) revoked.add((body['key'] as Uint8Array).toHex());
      if (kind !== ROTATE_KIND && kind !== REKEY_KIND) continue;
      const holder = kind === ROTATE_KIND ? actor : (body['actor'] as Uint8Array).toHex();
      past.set(present.get(holder) ?? holder, holder);
      present.set(holder, keyId(body['key'] as Uint8Array));
    }
    for (const [actor, key] of present) {
      const { reducer } = core.replica.fold;
      const isHere = reducer.standingOf(actor) !== undefined && !revoked.has(key);
      if (isHere && reducer.keyOf(actor) !== key) report(`${actor} has another key`);
    }
  },
});
