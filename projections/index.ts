import type { Genesis } from '#ledger/genesis.ts';
import type { Schema } from '#ledger/reducer.ts';
import { kv } from './kv.ts';
import { members } from './members.ts';

/**
 * The projections that run in this version: one reducer each over the final log, droppable and
 * rebuilt from it. A new one is added here, and in the genesis of a network that uses it.
 */
export const schema: Schema = { projections: [kv, members], members };

/** What a new genesis lists: the active kinds and projection versions, sorted. */
export function genesisSchema(): Pick<Genesis, 'kinds' | 'projections'> {
  return {
    kinds: schema.projections.flatMap(({ kinds }) => kinds.map(({ kind }) => kind)).toSorted(),
    projections: schema.projections.map(({ name, version }) => [name, version] as const),
  };
}

export { decodeRow, readKey } from './kv.ts';
export { listInvites, listMembers, readInvite, readMember } from './members.ts';
export type { Member } from './members.ts';
