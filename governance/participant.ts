import { encode } from '#ledger/codec.ts';
import { keyId } from '#ledger/cose.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body, Entry } from '#ledger/event.ts';
import type { Id, Signer } from '#ledger/ports.ts';

/** The participant's SDK: events that a person or a service signs, wherever their key is. */

export interface Participant {
  /** SHA-256 of the inception COSE_Key. */
  readonly actor: Id;
  /** The present one: another than the first once it was rotated. */
  readonly coseKey: Uint8Array;
  readonly signer: Signer;
}

/** What the participant says, and the place that it takes in one of its lanes. */
export interface Statement {
  /** CID of the genesis, as hex digits of its digest. */
  readonly chain: Id;
  readonly lane: number;
  /** Used once in its lane; at most 1,023 below the highest used one. */
  readonly seq: number;
  /** `name.verb/version`. */
  readonly kind: string;
  readonly body: Body;
  /** The participant's wall clock, milliseconds since the Unix epoch. */
  readonly wall_ms: number;
  /** The event expires when a commit is later than this. */
  readonly notAfter_ms?: number;
  readonly deps?: readonly Id[];
}

/** Builds and signs an event. Throws `event_too_large` or `wrong_type`. */
export function signStatement(participant: Participant, statement: Statement): Promise<Entry> {
  const { wall_ms, ...rest } = statement;
  const { actor, coseKey, signer } = participant;
  const key = keyId(coseKey);
  const event = { ...rest, actor, ...(key !== actor && { key }), hlc: [wall_ms, 0] as const };
  return signEvent(event, signer);
}

/** What `POST /v1/events` takes: DAG-CBOR of `[entry, COSE_Key]`. */
export function submissionOf(entry: Pick<Entry, 'bytes'>, coseKey: Uint8Array): Uint8Array {
  return encode([entry.bytes, coseKey]);
}
