import type { Thresholds } from './committee.ts';
import type { Ref } from './header.ts';

/**
 * The commit rule: Mysticeti-C (Babel et al., 2024) with waves of three rounds, pipelined, and
 * blame by slot (consensus.md 2.7). A pure function of the DAG: every node that holds the same
 * blocks decides the same, and a node that holds fewer decides a prefix. Ids are opaque texts.
 *
 * A leader block at round r is voted for by the blocks of round r + 1 that have it as parent, and
 * certified by a block of round r + 2 that has a quorum of such votes as parents.
 */

/** What the rule reads of a block. */
export interface Vertex extends Ref {
  readonly parents: readonly Ref[];
}

export interface DagView<B extends Vertex = Vertex> {
  /** Highest round of any block; 0 when there is none. */
  readonly top: number;
  /** The blocks of a round in any order, twins included. */
  round(round: number): Iterable<B>;
  /** The blocks of a slot: none, one, or twins. */
  slot(round: number, author: number): readonly B[];
  get(id: string): B | undefined;
}

export interface RuleConfig {
  readonly thresholds: Thresholds;
  stakeOf(author: number): number;
  /** The leaders of a round in rank order; none where a round has no leader. */
  leadersOf(round: number): readonly number[];
}

export interface Slot {
  readonly round: number;
  readonly author: number;
}

export type Decision =
  | (Slot & {
      readonly status: 'commit';
      readonly via: 'direct' | 'indirect';
      readonly block: Vertex;
    })
  | (Slot & { readonly status: 'skip'; readonly via: 'direct' | 'indirect' })
  | (Slot & { readonly status: 'undecided' });

/**
 * The distance from a leader to the blocks that may certify it, and from there to its first anchor.
 */
const WAVE = 3;

export class CommitRule {
  readonly #view: DagView;
  readonly #config: RuleConfig;
  /** Which block of a slot a block certifies, by certifying block and leader: computed once. */
  readonly #certified = new Map<string, string | undefined>();

  constructor(view: DagView, config: RuleConfig) {
    this.#view = view;
    this.#config = config;
  }

  /**
   * Every slot after `cursor` up to the top in order, decided top-down (consensus.md 4, pitfall 2).
   */
  decisions(cursor: Slot | undefined): readonly Decision[] {
    const slots = this.#slotsAfter(cursor);
    const decided: Decision[] = [];
    for (const slot of slots.toReversed()) {
      const direct = this.direct(slot);
      decided.unshift(direct.status === 'undecided' ? this.#indirect(slot, decided) : direct);
    }
    return decided;
  }

  /**
   * The decided slots that follow `cursor` without a gap; the last of them, skipped or not, is the
   * next cursor.
   */
  decide(cursor: Slot | undefined): readonly Decision[] {
    const all = this.decisions(cursor);
    const gap = all.findIndex(({ status }) => status === 'undecided');
    return gap < 0 ? all : all.slice(0, gap);
  }

  /** Forgets what was computed for blocks up to a round: they are decided. */
  forgetUpTo(round: number): void {
    for (const key of this.#certified.keys()) {
      if (Number.parseInt(key, 10) <= round) this.#certified.delete(key);
    }
  }

  #slotsAfter(cursor: Slot | undefined): Slot[] {
    const slots: Slot[] = [];
    const first = cursor?.round ?? 1;
    for (let round = Math.max(first, 1); round <= this.#view.top; round++) {
      const leaders = this.#config.leadersOf(round);
      const from = round === cursor?.round ? leaders.indexOf(cursor.author) + 1 : 0;
      for (const author of leaders.slice(from)) slots.push({ round, author });
    }
    return slots;
  }

  /** What the two rounds after the slot say by themselves. */
  direct(slot: Slot): Decision {
    const { quorum } = this.#config.thresholds;
    const blamers = new Set<number>();
    for (const block of this.#view.round(slot.round + 1)) {
      if (!voteOf(block, slot)) blamers.add(block.author);
    }
    if (this.#stake(blamers) >= quorum) return { ...slot, status: 'skip', via: 'direct' };
    const candidates = this.#view.slot(slot.round, slot.author);
    if (candidates.length === 0) return { ...slot, status: 'undecided' };
    const certifiers = new Map<string, Set<number>>();
    for (const block of this.#view.round(slot.round + 2)) {
      const id = this.#certifiedBy(block, slot);
      if (id === undefined) continue;
      const authors = certifiers.get(id) ?? new Set();
      certifiers.set(id, authors.add(block.author));
    }
    for (const block of candidates) {
      const authors = certifiers.get(block.id);
      if (authors && this.#stake(authors) >= quorum) {
        return { ...slot, status: 'commit', via: 'direct', block };
      }
    }
    return { ...slot, status: 'undecided' };
  }

  /** What the first later leader that is not skipped says: is there a certificate in its past? */
  #indirect(slot: Slot, above: readonly Decision[]): Decision {
    const anchor = above.find(
      ({ round, status }) => round >= slot.round + WAVE && status !== 'skip',
    );
    if (anchor?.status !== 'commit') return { ...slot, status: 'undecided' };
    const certified = new Set<string>();
    for (const block of this.#past(anchor.block, slot.round + 2)) {
      const id = this.#certifiedBy(block, slot);
      if (id !== undefined) certified.add(id);
    }
    const candidates = this.#view
      .slot(slot.round, slot.author)
      .filter(({ id }) => certified.has(id));
    const [block] = candidates;
    if (!block) return { ...slot, status: 'skip', via: 'indirect' };
    if (candidates.length > 1) throw new TwoCertificates(slot);
    return { ...slot, status: 'commit', via: 'indirect', block };
  }

  /** The blocks of `round` in the past of `from`: a breadth-first walk that visits a block once. */
  *#past(from: Vertex, round: number): Iterable<Vertex> {
    const seen = new Set<string>();
    const queue: Ref[] = [from];
    for (let ref = queue.pop(); ref; ref = queue.pop()) {
      if (ref.round < round || seen.has(ref.id)) continue;
      seen.add(ref.id);
      const block = this.#view.get(ref.id);
      if (!block) continue;
      if (block.round === round) yield block;
      else queue.push(...block.parents);
    }
  }

  /**
   * The block of the slot for which `block`, two rounds later, holds a quorum of votes; at most one
   * can exist.
   */
  #certifiedBy(block: Vertex, slot: Slot): string | undefined {
    const key = `${block.round}/${block.id}/${slot.author}`;
    if (this.#certified.has(key)) return this.#certified.get(key);
    const votes = new Map<string, Set<number>>();
    for (const ref of block.parents) {
      if (ref.round !== slot.round + 1) continue;
      const voter = this.#view.get(ref.id);
      const id = voter && voteOf(voter, slot);
      if (id === undefined) continue;
      const authors = votes.get(id) ?? new Set();
      votes.set(id, authors.add(ref.author));
    }
    let certified: string | undefined;
    for (const [id, authors] of votes) {
      if (this.#stake(authors) >= this.#config.thresholds.quorum) certified = id;
    }
    this.#certified.set(key, certified);
    return certified;
  }

  #stake(authors: ReadonlySet<number>): number {
    let sum = 0;
    for (const author of authors) sum += this.#config.stakeOf(author);
    return sum;
  }
}

/** The block of the slot that `block`, one round later, votes for. */
function voteOf(block: Vertex, slot: Slot): string | undefined {
  return block.parents.find(({ round, author }) => round === slot.round && author === slot.author)
    ?.id;
}

/**
 * Two certified blocks in one slot: more than f validators sign against the rules. Finality must
 * halt; accepting goes on (consensus.md 2.7 and pitfall 4).
 */
export class TwoCertificates extends Error {
  readonly slot: Slot;

  constructor(slot: Slot) {
    super(`two certified blocks at round ${slot.round} of author ${slot.author}`);
    this.name = 'TwoCertificates';
    this.slot = slot;
  }
}
