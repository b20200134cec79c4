import { blocksFrom } from '#ledger/archive.ts';
import { manifestOf } from '#ledger/audit/manifest.ts';
import { Refold } from '#ledger/audit/refold.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { wholeNodes } from '#test/sim/finality.ts';
import type { SimNode } from '#test/sim/node.ts';
import { randomOf } from '#test/sim/random.ts';
import type { World } from '#test/sim/world.ts';
import type { MakeChecker } from './index.ts';

/** Nodes whose logs are audited. */
const NODES = 2;

/**
 * The stored blocks, taken in the order of their rounds as an audit does, give the commits and the
 * state that the node came to in the order of their arrival. Signatures are left to audits.
 */
export const audit: MakeChecker = (world, report) => ({
  async end() {
    const random = randomOf(world.scenario.seed, 'audit');
    for (const node of random.some([...wholeNodes(world)], NODES)) {
      try {
        await refolded(world, node);
      } catch (error) {
        report(`${node.name}: ${String(error)}`);
      }
    }
  },
});

async function refolded({ chain, schema }: World, { core, store }: SimNode): Promise<void> {
  if (!core || !store) return;
  const { fold, orderer, committee } = core.replica;
  const { last } = orderer.state;
  const refold = new Refold(chain, schema, last);
  const rows = new MemoryStore(store.rows);
  for (;;) {
    for await (const block of blocksFrom(rows, 1, chain.id, refold.committee)) {
      const { ref, header, entries } = block;
      refold.accept({
        ref,
        place: { kind: 'header', block: ref.id },
        parents: header.parents,
        ts_ms: header.ts_ms,
        hasPayload: entries.length > 0,
        entries: () => entries,
      });
    }
    if (refold.committee.epoch === committee.epoch) break;
    refold.nextEpoch();
  }
  refold.finish(manifestOf(chain.id, fold.summary(), last, { blocks: 0, keys: 0 }));
}
