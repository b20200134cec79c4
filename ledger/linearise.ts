import { fail } from './errors.ts';
import type { Ref } from './header.ts';
import type { DagView, Vertex } from './rule.ts';

/**
 * The order of what a committed leader brings (consensus.md 2.8): its ancestors above the
 * garbage-collection round that no earlier commit has, by round, author and digest. The digest
 * matters for twins only.
 */

/**
 * Blocks up to this round are out of reach for the commit that follows a leader at
 * `previousLeaderRound`.
 */
export function gcRoundAfter(previousLeaderRound: number, gcDepth: number): number {
  return Math.max(0, previousLeaderRound - gcDepth);
}

/**
 * The leader and its ancestors with round > `gcRound` that are not yet linearised, sorted. Throws
 * `dag_hole` when one of them is not held: the caller accepted a block without its parents.
 */
export function linearise<B extends Vertex>(
  view: Pick<DagView<B>, 'get'>,
  leader: B,
  gcRound: number,
  isLinearised: (id: string) => boolean,
): B[] {
  const found: B[] = [];
  const seen = new Set<string>();
  const queue: Ref[] = [leader];
  for (let ref = queue.pop(); ref; ref = queue.pop()) {
    if (ref.round <= gcRound || ref.round === 0 || seen.has(ref.id) || isLinearised(ref.id)) {
      continue;
    }
    seen.add(ref.id);
    const block =
      view.get(ref.id) ??
      fail('dag_hole', 'A block above the horizon is not held.', { id: ref.id });
    found.push(block);
    queue.push(...block.parents);
  }
  return found.toSorted(compareRefs);
}

/** By round, author and digest; ids compare as texts, which for hex is the order of the digests. */
export function compareRefs(a: Ref, b: Ref): number {
  return a.round - b.round || a.author - b.author || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/**
 * The time of a commit: the stake-weighted median of the timestamps of the leader's parents one
 * round back, never before the previous commit. Of an even count it is the lower one (wire.md,
 * "Clocks").
 */
export function commitTime_ms(
  previous_ms: number,
  parents: readonly { readonly ts_ms: number; readonly stake: number }[],
): number {
  const sorted = parents.toSorted((a, b) => a.ts_ms - b.ts_ms);
  const total = sorted.reduce((sum, { stake }) => sum + stake, 0);
  let below = 0;
  for (const { ts_ms, stake } of sorted) {
    below += stake;
    if (below * 2 >= total) return Math.max(previous_ms, ts_ms);
  }
  return fail('no_quorum', 'A leader has parents one round back.');
}
