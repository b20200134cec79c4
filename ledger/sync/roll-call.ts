import type { Clock, Network, PeerName } from '#ledger/ports.ts';
import type { Replica } from '#ledger/replica.ts';
import type { Frontier } from './messages.ts';

/** Once a peer has told, the others have so long; a halted one must not hold this node up. */
const PATIENCE_MS = 2000;

/**
 * Whether peers have told what they hold of this node's blocks, so that a slot which its store has
 * lost is seen before it is used again (consensus.md 2.12). All that are linked are heard, since
 * one that is behind as well knows of nothing; one at least must stand in the same epoch. Asked
 * anew in every epoch: a store that was set back to an earlier one enters it again. Blocks that no
 * linked peer holds stay unseen.
 */
export class RollCall {
  readonly #replica: Replica;
  readonly #network: Pick<Network, 'peers'>;
  readonly #clock: Pick<Clock, 'monotonic_ms' | 'after'>;
  #epoch = -1;
  readonly #told = new Set<PeerName>();
  /** When the first peer of this epoch told; none has before. */
  #first_ms: number | undefined;
  #isOver = false;
  #cancel: (() => void) | undefined;

  constructor(
    replica: Replica,
    network: Pick<Network, 'peers'>,
    clock: Pick<Clock, 'monotonic_ms' | 'after'>,
  ) {
    this.#replica = replica;
    this.#network = network;
    this.#clock = clock;
  }

  stop(): void {
    this.#cancel?.();
  }

  get isOver(): boolean {
    const { epoch, size } = this.#replica.committee;
    if (size === 1) return true;
    if (this.#epoch !== epoch || this.#first_ms === undefined) return false;
    this.#isOver ||=
      this.#clock.monotonic_ms() - this.#first_ms >= PATIENCE_MS || this.#haveAllTold();
    return this.#isOver;
  }

  /**
   * Links come up one by one, so all that are there are enough only where they make a quorum with
   * this node: any quorum that built on a lost block has one of them.
   */
  #haveAllTold(): boolean {
    const { author, committee } = this.#replica;
    const peers = this.#network.peers();
    const seats = new Set(peers.flatMap(({ actor }) => committee.indexOf(actor) ?? []));
    if (author !== undefined) seats.add(author);
    const isQuorum = committee.stakeOf(seats) >= committee.quorum;
    return isQuorum && peers.every(({ peer }) => this.#told.has(peer));
  }

  /**
   * What a peer has told. One that knows an own block which is not known here has to tell again
   * when that block has come.
   */
  note(peer: PeerName, { epoch, newest }: Frontier): void {
    const { author: self, committee } = this.#replica;
    if (this.#epoch !== committee.epoch) this.#begin(committee.epoch);
    if (this.#isOver || epoch > this.#epoch) return;
    if (epoch === this.#epoch) {
      if (newest.some((ref) => ref.author === self && !this.#replica.isKnown(ref))) return;
      this.#first_ms ??= this.#clock.monotonic_ms();
      this.#cancel ??= this.#clock.after(PATIENCE_MS, () => this.#replica.wake());
    }
    this.#told.add(peer);
    if (!this.isOver) return;
    this.#cancel?.();
    this.#replica.wake();
  }

  #begin(epoch: number): void {
    this.#epoch = epoch;
    this.#told.clear();
    this.#first_ms = undefined;
    this.#isOver = false;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
