import { decode, encode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { StoreOp } from '#ledger/ports.ts';
import type { Readable } from '#ledger/rows.ts';

/**
 * Where the log of a node begins that does not hold all of it: it was pruned, or joined by a
 * snapshot. The numbers are those of a certified checkpoint, which is kept.
 */
export interface Pruned {
  /** Size of the checkpoint: events up to this number are not held. */
  readonly events: number;
  /** Commits up to this index are not held with their blocks. */
  readonly commit: number;
  /** Final events up to this number are not remembered by id either. */
  readonly rows: number;
}

/** `undefined` for a store with the whole log. */
export function readPruned(store: Readable): Pruned | undefined {
  const row = store.get(storeKeys.pruned);
  if (!row) return undefined;
  const [events, commit, rows] = decode(row) as readonly [number, number, number];
  return { events, commit, rows };
}

export function prunedOp({ events, commit, rows }: Pruned): StoreOp {
  return { type: 'put', key: storeKeys.pruned, value: encode([events, commit, rows]) };
}

/** Throws `pruned` for an event that this node does not hold any more. */
export function assertHeld(store: Readable, seq: number): void {
  const events = readPruned(store)?.events ?? 0;
  if (seq <= events) failPruned(events + 1, { seq });
}

/** Throws `pruned` where the whole log is needed. */
export function assertArchive(store: Readable): void {
  const pruned = readPruned(store);
  if (pruned) failPruned(pruned.events + 1);
}

function failPruned(from: number, data: Readonly<Record<string, number>> = {}): never {
  const message = `This node holds the log from number ${from} on: ask one that keeps all of it.`;
  fail('pruned', message, { from, ...data });
}
