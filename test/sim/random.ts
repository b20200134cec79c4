import { hash } from 'node:crypto';
import { seeded } from '#test/support/fake-link.ts';

/** Draws from one seeded stream; streams of different names do not disturb each other. */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** An integer in [0, count). */
  below(count: number): number;
  /** An integer from `min` to `max`, both included. */
  between(min: number, max: number): number;
  chance(share: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** `count` different items, in random order. */
  some<T>(items: readonly T[], count: number): T[];
}

export function randomOf(seed: number, name: string): Random {
  const digest = hash('sha256', `${seed}/${name}`, 'buffer');
  const next = seeded(digest.readUInt32LE(0));
  const below = (count: number): number => Math.floor(next() * count);
  return {
    next,
    below,
    between: (min, max) => min + below(max - min + 1),
    chance: (share) => next() < share,
    pick: (items) => items[below(items.length)] as (typeof items)[number],
    some: (items, count) => {
      const left = [...items];
      const taken: typeof left = [];
      while (taken.length < count && left.length > 0) {
        taken.push(...left.splice(below(left.length), 1));
      }
      return taken;
    },
  };
}
