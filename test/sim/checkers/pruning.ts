import { decodeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { decode } from '#ledger/codec.ts';
import { decodeNumber, storeKeys } from '#ledger/keys.ts';
import { readPruned } from '#ledger/snapshot/pruned.ts';
import type { Retention } from '#ledger/snapshot/pruner.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { World } from '#test/sim/world.ts';
import { leftovers, prunable } from './below.ts';
import { halves } from './halves.ts';
import type { MakeChecker } from './index.ts';

function retentionOf(world: World, { index }: SimNode): Retention {
  const { config, configs } = world.scenario;
  return configs?.[index]?.retention ?? config.retention ?? 'archive';
}

/**
 * A node drops what is older than its retention and certified, all of it, and nothing else; an
 * archive drops nothing. A store that is opened is whole: what it was before a snapshot, or what
 * the snapshot made of it.
 */
export const pruning: MakeChecker = (world, report) => {
  /** The states that honest nodes computed at their cuts, by number of events. */
  const cuts = new Map<number, Checkpoint>();
  /** The last mark of pruning that a node wrote, and in which of its lives. */
  const marked = new Map<string, { readonly life: number; readonly events: number }>();
  /** Whether the mark is in the store, and no snapshot has come since. */
  const isMarked = ({ name, incarnation, store }: SimNode): boolean => {
    const mark = marked.get(name);
    if (mark?.life !== incarnation || !store) return false;
    return readPruned(store)?.events === mark.events;
  };
  const joined = new Set<string>();

  const noteMark = (node: SimNode): void => {
    const { name, core, store } = node;
    const pruned = store && readPruned(store);
    const retention = retentionOf(world, node);
    if (!pruned || !core) return;
    if (retention === 'archive') report(`${name} is an archive and prunes`);
    else if (core.replica.fold.size - pruned.events < retention.events) {
      report(`${name} keeps ${core.replica.fold.size - pruned.events} events`);
    }
    const from = storeKeys.certificatesFrom(pruned.events);
    const isCertified = [...store.rows.keys()].some((key) => key.startsWith(from));
    if (!isCertified) report(`${name} pruned up to ${pruned.events}, which is not certified`);
  };

  return {
    wrote(node, ops) {
      if (!node.isHonest) return;
      for (const op of ops) {
        if (op.type === 'put' && op.key.startsWith('h/own/')) {
          const checkpoint = decodeCheckpoint(op.value);
          cuts.set(checkpoint.size, checkpoint);
        }
        if (op.type === 'put' && op.key === storeKeys.pruned) {
          const [events] = decode(op.value) as readonly [number];
          marked.set(node.name, { life: node.incarnation, events });
        }
        // the mark that comes with a snapshot is none of pruning
        if (op.type !== 'del' || op.key !== storeKeys.installing) continue;
        joined.add(node.name);
        marked.delete(node.name);
      }
    },
    opened(node) {
      if (!node.store) return;
      for (const what of halves(node.store.rows, cuts)) report(`${node.name} opens ${what}`);
    },
    sample() {
      for (const node of world.honest) {
        if (isMarked(node)) noteMark(node);
      }
    },
    end() {
      for (const node of world.honest) {
        const { name, core, store } = node;
        if (!core || !store) continue;
        const retention = retentionOf(world, node);
        const pruned = readPruned(store);
        if (retention === 'archive') {
          if (pruned && !joined.has(name)) report(`${name}, an archive, pruned its log`);
        } else {
          const more = prunable(store.rows, core.replica.fold.size, retention.events);
          if (more !== undefined) report(`${name} could prune up to ${more} and does not`);
          // what a crash leaves goes with the next time
          if (pruned && isMarked(node)) {
            const [left] = leftovers(store.rows, pruned);
            if (left !== undefined) report(`${name} still holds ${left}`);
          }
        }
        readAll(node, report);
      }
    },
  };
};

/** Every event from the first one that is held on can be read. */
function readAll({ name, core, store }: SimNode, report: (detail: string) => void): void {
  if (!core || !store) return;
  const { from } = core.log;
  const { size } = core.replica.fold;
  try {
    let count = 0;
    for (const { entry, seq } of core.log.range(from, size)) {
      count += 1;
      const number = store.get(storeKeys.finalOfEvent(entry.id));
      if (!number || decodeNumber(number) < seq) report(`${name} does not know ${entry.id}`);
    }
    if (count !== size - from + 1) report(`${name} holds ${count} events from ${from} to ${size}`);
  } catch (error) {
    report(`${name}: ${String(error)}`);
  }
}
