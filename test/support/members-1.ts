import { encode } from '#ledger/codec.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { Schema } from '#ledger/reducer.ts';
import { kv } from '#projections/kv.ts';
import type { Id } from '#ledger/ports.ts';
import type { Membership, Projection, Rows } from '#ledger/projection.ts';

/** The projection `members/1` of networks made before epochs: what golden states hold. */
interface Member {
  readonly actor: Id;
  readonly roles: readonly ('validator' | 'operator')[];
  /** Index in the committee, for a validator. */
  readonly author?: number;
  /** The validator's libp2p peer id. */
  readonly peer?: string;
}

/** The row `list` holds all actors in the order of the genesis; `actor/<hex>` holds one. */
const LIST = 'list';
const ofActor = (actor: Id): string => `actor/${actor}`;

/**
 * Who belongs to the network: the committee and the operators of the genesis. No event changes it
 * in version 1. Rows: `list` → [actor...], `actor/<64 hex digits>` → {roles, author?, peer?}.
 */
const members: Projection & Membership = {
  name: 'members',
  version: 1,
  kinds: [],

  start(genesis: Genesis, rows: Rows): void {
    const found = new Map<Id, Member>();
    for (const [author, { actor, peer }] of genesis.committee.entries()) {
      found.set(actor, { actor, roles: ['validator'], author, peer });
    }
    for (const actor of genesis.operators) {
      const known = found.get(actor);
      found.set(
        actor,
        known ? { ...known, roles: ['validator', 'operator'] } : { actor, roles: ['operator'] },
      );
    }
    for (const { actor, ...rest } of found.values()) rows.put(ofActor(actor), encode(rest));
    rows.put(LIST, encode([...found.keys()].map(bytesOf)));
  },

  apply: () => 'unknown_kind',

  isMember: (actor, rows) => rows.get(ofActor(actor)) !== undefined,

  endCommit: () => false,

  isConvicted: () => false,

  seats: () => ({ epoch: 0, validators: [] }),
};


/** The schema of such a network. */
export const schemaBeforeEpochs: Schema = { projections: [kv, members], members };

/** What its genesis lists. */
export const genesisBeforeEpochs: Pick<Genesis, 'kinds' | 'projections'> = {
  kinds: ['kv.delete/1', 'kv.put/1'],
  projections: [['kv', 1], ['members', 1]],
};
