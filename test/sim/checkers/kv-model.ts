import { readKey } from '#projections/index.ts';
import { wholeNodes } from '#test/sim/finality.ts';
import type { MakeChecker } from './index.ts';

/** A key of the model: what stands there, and since which number. */
interface Held {
  readonly value: string;
  readonly seq: number;
}

interface KvBody {
  readonly key: string;
  readonly value?: Uint8Array;
  readonly ifSeq?: number;
}

/**
 * The key-value pairs and the verdicts of their events are what a model of a few lines says, fed
 * with the log of the first honest node that has all of it.
 */
export const kvModel: MakeChecker = (world, report) => ({
  end() {
    const core = wholeNodes(world)[0]?.core;
    if (!core) return;
    const model = new Map<string, Held>();
    const keys = new Set<string>();
    for (const { seq, verdict, entry } of core.log.range(1, core.replica.fold.size)) {
      const { kind } = entry.event;
      if (!kind.startsWith('kv.') || (verdict !== 0 && verdict !== 256)) continue;
      const { key, value, ifSeq } = entry.event.body as unknown as KvBody;
      keys.add(key);
      const isMet = ifSeq === undefined || ifSeq === (model.get(key)?.seq ?? 0);
      if (isMet !== (verdict === 0)) report(`event ${seq} has the verdict ${verdict}`);
      if (!isMet) continue;
      if (kind === 'kv.delete/1') model.delete(key);
      else model.set(key, { value: value?.toHex() ?? '', seq });
    }
    for (const key of keys) {
      const row = readKey(core.rows('kv', 'final'), key);
      const shown = row && `${row.seq} ${row.value.toHex()}`;
      const held = model.get(key);
      const wanted = held && `${held.seq} ${held.value}`;
      if (shown !== wanted) report(`${key} is ${shown ?? 'not there'}, not ${wanted ?? 'gone'}`);
    }
  },
});
