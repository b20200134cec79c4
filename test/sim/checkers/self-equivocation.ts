import { decode, splitByteStrings } from '#ledger/codec.ts';
import { idOf } from '#ledger/ids.ts';
import type { MakeChecker } from './index.ts';

/** Over all its lives an honest node sends one block for a slot, wherever it was cut off. */
export const selfEquivocation: MakeChecker = (_world, report) => {
  const slots = new Map<string, string>();
  return {
    published(node, block) {
      const [header = block] = splitByteStrings(block);
      const { epoch, round, author } = decode(header) as Record<string, number>;
      if (author !== node.author || node.isAmnesiac || node.isCloned) return;
      const slot = `${epoch}/${round}/${author}`;
      const id = idOf(header);
      const before = slots.get(slot) ?? id;
      slots.set(slot, before);
      if (before !== id) report(`${node.name} sent ${before} and ${id} for ${slot}`);
    },
  };
};
