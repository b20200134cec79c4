import { encode } from './codec.ts';
import type { Committee } from './committee.ts';
import { bytesOf, linkOf, sha256 } from './ids.ts';
import type { Id } from './ports.ts';

/**
 * The leader of every round of an epoch: a permutation of the committee, repeated (consensus.md
 * 2.6). The permutation is a Fisher-Yates shuffle whose draws are 48-bit words of SHA-256(seed ‖
 * counter); words that would favour a remainder are thrown away.
 */
export function leaderSchedule(chain: Id, committee: Committee): (round: number) => number {
  const seed = encode({
    t: 'leaders',
    chain: linkOf(chain),
    epoch: committee.epoch,
    committee: bytesOf(committee.id),
  });
  const order = committee.validators.map((_, index) => index);
  const draw = words(seed);
  for (let i = order.length - 1; i > 0; i--) {
    const j = draw(i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return (round) => order[round % order.length] as number;
}

const WORD = 2 ** 48;

function words(seed: Uint8Array): (bound: number) => number {
  let counter = 0;
  return (bound) => {
    for (;;) {
      const digest = sha256(encode([seed, counter]));
      counter += 1;
      const view = new DataView(digest.buffer, digest.byteOffset);
      const word = view.getUint32(0) * 0x1_0000 + view.getUint16(4);
      if (word < WORD - (WORD % bound)) return word % bound;
    }
  };
}
