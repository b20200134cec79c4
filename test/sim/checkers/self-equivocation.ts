import { decode, splitByteStrings } from '#ledger/codec.ts';
import { idOf } from '#ledger/ids.ts';
import type { MakeChecker } from './index.ts';

interface Sent {
  readonly id: string;
  readonly by: string;
  readonly setBacks: number;
}

/**
 * Over all its lives an honest node sends one block for a slot, wherever it was cut off. So does
 * one whose disk was set back, as long as it is not set back once more: in epochs that begin after
 * that, there is nothing that it could have forgotten.
 */
export const selfEquivocation: MakeChecker = (_world, report) => {
  const slots = new Map<string, Sent>();
  return {
    published({ name, setBacks, isCloned }, block) {
      if (isCloned) return;
      const [header = block] = splitByteStrings(block);
      const { epoch, round, author } = decode(header) as Record<string, number>;
      const slot = `${epoch}/${round}/${author}`;
      const id = idOf(header);
      const before = slots.get(slot);
      slots.set(slot, { id, by: name, setBacks });
      if (!before || before.id === id) return;
      // what it sent before its disk was set back, it may not know
      if (before.by === name && before.setBacks < setBacks) return;
      report(`${name} sent ${id} for ${slot}, ${before.by} had sent ${before.id}`);
    },
  };
};
