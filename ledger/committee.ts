import { encode } from './codec.ts';
import { keyId } from './cose.ts';
import { fail } from './errors.ts';
import { bytesOf, idOf } from './ids.ts';
import { COMMITTEE_MAX } from './limits.ts';
import type { Id, PeerName } from './ports.ts';

/** A validator as the genesis (or the event that changed the committee) names it. */
export interface Validator {
  readonly actor: Id;
  readonly coseKey: Uint8Array;
  readonly peer: PeerName;
  /** Weight in quorums; 1 in version 1. */
  readonly stake: number;
}

/**
 * Quorum Q = total - f and validity V = f + 1 with f = floor((total - 1) / 3) (consensus.md 2.1).
 */
export interface Thresholds {
  readonly total: number;
  readonly quorum: number;
  readonly validity: number;
}

export function thresholdsOf(total: number): Thresholds {
  const faulty = Math.floor((total - 1) / 3);
  return { total, quorum: total - faulty, validity: faulty + 1 };
}

/** Finds the committee of an epoch; `undefined` where this node does not know it. */
export interface Committees {
  ofEpoch(epoch: number): Committee | undefined;
}

/** The ordered validators of one epoch. Authors are indexes into it. */
export class Committee implements Thresholds, Committees {
  readonly epoch: number;
  /** The last checkpoint of the epoch before, on which this one stands; none in epoch 0. */
  readonly base: Id | undefined;
  readonly validators: readonly Validator[];
  /** SHA-256 over the canonical list: the header's `committee`. */
  readonly id: Id;
  readonly total: number;
  readonly quorum: number;
  readonly validity: number;
  readonly #indexOfActor: ReadonlyMap<Id, number>;
  readonly #keyIds: readonly Id[];

  constructor(epoch: number, validators: readonly Validator[], base?: Id) {
    if (validators.length < 1 || validators.length > COMMITTEE_MAX) {
      fail('bad_committee', `A committee has 1 to ${COMMITTEE_MAX} validators.`, {
        size: validators.length,
      });
    }
    this.epoch = epoch;
    this.base = base;
    this.validators = validators;
    this.#indexOfActor = new Map(validators.map(({ actor }, index) => [actor, index]));
    if (this.#indexOfActor.size !== validators.length) {
      fail('bad_committee', 'A validator stands in it twice.');
    }
    this.#keyIds = validators.map(({ coseKey }) => keyId(coseKey));
    this.id = idOf(encode(encodeValidators(validators)));
    const { total, quorum, validity } = thresholdsOf(
      validators.reduce((sum, { stake }) => sum + stake, 0),
    );
    this.total = total;
    this.quorum = quorum;
    this.validity = validity;
  }

  /** Itself, for code that meets blocks of one epoch only. */
  ofEpoch(epoch: number): this | undefined {
    return epoch === this.epoch ? this : undefined;
  }

  get size(): number {
    return this.validators.length;
  }

  at(author: number): Validator {
    return (
      this.validators[author] ?? fail('unknown_author', 'No validator has this index.', { author })
    );
  }

  /** SHA-256 of the validator's COSE_Key. */
  keyIdAt(author: number): Id {
    return (
      this.#keyIds[author] ?? fail('unknown_author', 'No validator has this index.', { author })
    );
  }

  indexOf(actor: Id): number | undefined {
    return this.#indexOfActor.get(actor);
  }

  stakeOf(authors: Iterable<number>): number {
    let sum = 0;
    for (const author of authors) sum += this.at(author).stake;
    return sum;
  }
}

/** The canonical form, shared by the genesis object and the committee's id. */
export function encodeValidators(validators: readonly Validator[]): readonly object[] {
  return validators.map(({ actor, coseKey, peer, stake }) => ({
    actor: bytesOf(actor),
    cosekey: coseKey,
    peer,
    stake,
  }));
}
