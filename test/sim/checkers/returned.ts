import { decode, splitByteStrings } from '#ledger/codec.ts';
import { idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { RETURN_KIND } from '#ledger/returning.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { MakeChecker } from './index.ts';

/** When a node first knew that it has lost its store, since it was set back or has returned. */
interface Loss {
  readonly setBacks: number;
  readonly epoch: number;
  isOver: boolean;
}

/**
 * A validator that knows that it has lost its store seals again only in an epoch that began after
 * one in which it said so: the event is final there.
 */
export const returned: MakeChecker = (world, report) => {
  const losses = new Map<string, Loss>();
  /** The epochs in which it said so, by actor. */
  const told = new Map<Id, Map<Id, number>>();
  const sent = new Set<Id>();

  const look = (node: SimNode): void => {
    const { core, name, setBacks } = node;
    if (!core) return;
    const known = losses.get(name);
    const { hasForgotten, committee } = core.replica;
    if (!hasForgotten) {
      if (known) known.isOver = true;
    } else if (!known || known.isOver || known.setBacks < setBacks) {
      losses.set(name, { setBacks, epoch: committee.epoch, isOver: false });
    }
  };

  return {
    sample() {
      for (const node of world.nodes) if (node.isAmnesiac) look(node);
    },
    finals({ core }, events) {
      for (const { entry } of events) {
        if (entry.event.kind !== RETURN_KIND || !core) continue;
        const { actor } = entry.event;
        const epochs = told.get(actor) ?? new Map<Id, number>();
        told.set(actor, epochs);
        // a turn folds commits of one epoch, and tells of them while it stands there
        if (!epochs.has(entry.id)) epochs.set(entry.id, core.replica.committee.epoch);
      }
    },
    published({ name, who, setBacks }, block) {
      const [header = block] = splitByteStrings(block);
      const id = idOf(header);
      if (sent.has(id)) return;
      sent.add(id);
      const loss = losses.get(name);
      if (!loss || loss.setBacks < setBacks) return;
      const { epoch = 0 } = decode(header) as Record<string, number>;
      const said = [...(told.get(who.actor)?.values() ?? [])];
      if (said.some((at) => at >= loss.epoch && at < epoch)) return;
      const when = said.length > 0 ? `in epoch ${said.join()}` : 'never';
      report(`${name} seals in epoch ${epoch}: its loss in ${loss.epoch} was told ${when}`);
    },
  };
};
