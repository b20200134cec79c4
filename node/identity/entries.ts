import type { Id } from '#ledger/ports.ts';
import type { RegistrationEntry } from '#projections/identity-entries.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import type { CallerFacts } from './attest.ts';
import type { Bundle } from './bundle.ts';
import type { Vouching } from './vouching.ts';

/**
 * What the provider serves from: immutable, replaced as a whole. `bundle` is that of the own trust
 * domain. Entries are in the order in which a workload gets them; its first is its default. Those
 * of other nodes' hosts are left out; `vouching` knows all.
 */
export interface IdentitySnapshot {
  readonly trustDomain: SpiffeId;
  readonly entries: readonly RegistrationEntry[];
  readonly bundle: Bundle;
  readonly federated: readonly Bundle[];
  readonly vouching: Pick<Vouching, 'assert' | 'knows'>;
}

/** Where snapshots come from: the ledger's projection. */
export interface IdentityState {
  readonly current: IdentitySnapshot;
  /** Called after `current` was replaced. The returned function ends it. */
  subscribe(listener: () => void): () => void;
}

/** Whether the node of this actor issues what the entry names. */
export function holdsOn({ nodes }: RegistrationEntry, actor: Id): boolean {
  return nodes.length === 0 || nodes.includes(actor);
}

/** Whether the entry is the caller's. A fact that is not known fits no selector. */
export function fits(entry: RegistrationEntry, facts: CallerFacts): boolean {
  return entry.selectors.every(({ type, value }) => facts[type] === value);
}

/** Whether the entry may be the caller's once its program is hashed. */
export function needsDigest(entry: RegistrationEntry, facts: CallerFacts): boolean {
  return (
    entry.selectors.some(({ type }) => type === 'sha256') &&
    entry.selectors.every(({ type, value }) => type === 'sha256' || facts[type] === value)
  );
}
