import { CID } from 'multiformats/cid';
import type { Entry, Event } from '#ledger/event.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import { textOf } from '#ledger/ids.ts';
import type { EventState } from '#ledger/log-reader.ts';
import type { Id } from '#ledger/ports.ts';
import { verdictName } from '#ledger/verdicts.ts';

/**
 * Events as JSON: ids of objects are CIDs, actors and keys 64 hex digits (SHA-256 of a COSE_Key).
 */

export interface EventJson {
  readonly id: string;
  readonly state: 'accepted' | 'final';
  readonly signed: boolean;
  readonly seq?: number;
  readonly verdict?: string;
  readonly commit?: number;
  readonly ts_ms?: number;
  readonly block?: { readonly id: string; readonly round: number; readonly author: number };
  readonly event: object;
}

export function renderState(known: EventState): EventJson {
  return known.state === 'final' ? renderFinal(known.final) : renderAccepted(known.entry);
}

export function renderAccepted(entry: Entry): EventJson {
  return {
    id: textOf(entry.id),
    state: 'accepted',
    signed: entry.sign1 !== undefined,
    event: renderEvent(entry.event),
  };
}

export function renderFinal({ seq, verdict, entry, commit, ts_ms, block }: FinalEvent): EventJson {
  return {
    id: textOf(entry.id),
    state: 'final',
    signed: entry.sign1 !== undefined,
    seq,
    verdict: verdictName(verdict),
    commit,
    ts_ms,
    block: { id: textOf(block.id), round: block.round, author: block.author },
    event: renderEvent(entry.event),
  };
}

function renderEvent({ chain, deps, body, ...rest }: Event): object {
  return {
    chain: textOf(chain),
    ...rest,
    body: jsonSafe(body),
    ...(deps && { deps: deps.map(textOf) }),
  };
}

/** A decoded DAG-CBOR value with bytes as `{"$bytes": base64}` and links as `{"$link": CID}`. */
export function jsonSafe(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return { $bytes: value.toBase64() };
  const cid = CID.asCID(value);
  if (cid) return { $link: cid.toString() };
  if (Array.isArray(value)) return value.map(jsonSafe);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, jsonSafe(inner)]));
}

/** Where an event can be asked for. */
export function linksOf(id: Id): { readonly event: string } {
  return { event: `/v1/events/${textOf(id)}` };
}
