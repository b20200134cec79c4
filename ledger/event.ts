import { SIGN1_BYTES, jobOf, sign, signatureOf } from './cose.ts';
import { decode, encode, itemEnd } from './codec.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { bytesOf, compareBytes, concatBytes, idOf, idOfLink, linkOf } from './ids.ts';
import { EVENT_BYTES_MAX, EVENT_DEPS_MAX } from './limits.ts';
import { leafHash } from './merkle.ts';
import type { Hash } from './merkle.ts';
import type { Id, SignatureJob, Signer } from './ports.ts';

/** Events and the entries that carry them (wire.md, "Event"). */

/** A body is a map whose schema belongs to the kind (`kinds.ts`). */
export type Body = Readonly<Record<string, unknown>>;

/** One statement by an actor, as the code holds it. Times are milliseconds since the Unix epoch. */
export interface Event {
  readonly chain: Id;
  readonly actor: Id;
  /** SHA-256 of the signing COSE_Key when it is not the inception key. */
  readonly key?: Id;
  /** Actor (64 hex digits) or SPIFFE ID for which a node speaks. */
  readonly onBehalfOf?: string;
  readonly lane: number;
  readonly seq: number;
  /** `name.verb/version`. */
  readonly kind: string;
  readonly body: Body;
  /** Hybrid logical clock: 48 bits of milliseconds and a 16-bit counter. */
  readonly hlc: readonly [number, number];
  readonly notAfter_ms?: number;
  readonly deps?: readonly Id[];
}

/** An event with its bytes and its signature, as a block or a pool holds it. */
export interface Entry {
  readonly id: Id;
  readonly event: Event;
  /** The canonical event. */
  readonly eventBytes: Uint8Array;
  /** COSE_Sign1, or none where the author of the block is the actor. */
  readonly sign1: Uint8Array | undefined;
  /** The canonical `[event, [signature...]]`: a leaf of the payload tree. */
  readonly bytes: Uint8Array;
}

const KNOWN = new Set([
  't',
  'v',
  'chain',
  'actor',
  'key',
  'onBehalfOf',
  'lane',
  'seq',
  'kind',
  'body',
  'hlc',
  'notAfter_ms',
  'deps',
]);
const KIND = /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+\/[1-9][0-9]{0,3}$/;
const SPIFFE_ID_CHARS_MAX = 2048;

/** The canonical bytes of an event; throws `event_too_large`. */
export function encodeEvent(event: Event): Uint8Array {
  const bytes = encode({
    t: 'event',
    v: 1,
    chain: chainLink(event.chain),
    actor: bytesOf(event.actor),
    ...(event.key !== undefined && { key: bytesOf(event.key) }),
    ...(event.onBehalfOf !== undefined && { onBehalfOf: encodePrincipal(event.onBehalfOf) }),
    lane: event.lane,
    seq: event.seq,
    kind: event.kind,
    body: event.body,
    hlc: event.hlc,
    ...(event.notAfter_ms !== undefined && { notAfter_ms: event.notAfter_ms }),
    ...(event.deps !== undefined && { deps: event.deps.map(linkOf) }),
  });
  return withinSize(bytes);
}

/** The link of the last chain: a node writes events of one. */
let lastChain: { readonly id: Id; readonly link: ReturnType<typeof linkOf> } | undefined;

function chainLink(id: Id): ReturnType<typeof linkOf> {
  if (lastChain?.id !== id) lastChain = { id, link: linkOf(id) };
  return lastChain.link;
}

/** Reads an event; throws coded errors for anything that wire.md does not allow. */
export function decodeEvent(bytes: Uint8Array): Event {
  withinSize(bytes);
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'event');
  field.assertTag(fields, 'event');
  const kind = field.textOfField(fields, 'kind', 64);
  if (!KIND.test(kind)) {
    fail('out_of_range', 'A kind is written name.verb/version.', { field: 'kind' });
  }
  const hlc = field.listOf(fields['hlc'], 'hlc', 2);
  const body = fields['body'];
  if (
    typeof body !== 'object' ||
    body === null ||
    Array.isArray(body) ||
    body instanceof Uint8Array
  ) {
    fail('wrong_type', 'body is a map.', { field: 'body' });
  }
  const actor = field.digestOf(fields, 'actor');
  if ('key' in fields && field.digestOf(fields, 'key') === actor) {
    fail('out_of_range', 'key is left out where it is the inception key: one event has one id.', {
      field: 'key',
    });
  }
  return {
    chain: field.linkOfField(fields, 'chain'),
    actor,
    ...('key' in fields && { key: field.digestOf(fields, 'key') }),
    ...('onBehalfOf' in fields && { onBehalfOf: decodePrincipal(fields['onBehalfOf']) }),
    lane: field.integerOf(fields, 'lane', 0, 0xffff),
    seq: field.integerOf(fields, 'seq', 0, Number.MAX_SAFE_INTEGER),
    kind,
    body: body as Body,
    hlc: [
      field.asInteger(hlc[0], 'hlc', 0, 2 ** 48 - 1),
      field.asInteger(hlc[1], 'hlc', 0, 0xffff),
    ],
    ...('notAfter_ms' in fields && {
      notAfter_ms: field.integerOf(fields, 'notAfter_ms', 0, Number.MAX_SAFE_INTEGER),
    }),
    ...('deps' in fields && {
      deps: field.listOf(fields['deps'], 'deps', EVENT_DEPS_MAX).map(idOfLink),
    }),
  };
}

function withinSize(bytes: Uint8Array): Uint8Array {
  if (bytes.length > EVENT_BYTES_MAX) {
    fail(
      'event_too_large',
      `An event has at most ${EVENT_BYTES_MAX} bytes: put a hash of large data into it.`,
      {
        bytes: bytes.length,
      },
    );
  }
  return bytes;
}

function encodePrincipal(principal: string): Uint8Array | string {
  return principal.startsWith('spiffe://') ? principal : bytesOf(principal);
}

function decodePrincipal(value: unknown): string {
  if (value instanceof Uint8Array) return field.asDigest(value, 'onBehalfOf');
  const fits =
    typeof value === 'string' &&
    value.startsWith('spiffe://') &&
    value.length <= SPIFFE_ID_CHARS_MAX;
  if (!fits) {
    fail('wrong_type', 'onBehalfOf is an actor of 32 bytes or a SPIFFE ID.', {
      field: 'onBehalfOf',
    });
  }
  return value;
}

const ENTRY_HEAD = Uint8Array.of(0x82);
const UNSIGNED_TAIL = Uint8Array.of(0x80);
/** One-element array, byte string of 3,320 bytes. */
const SIGNED_TAIL_HEAD = Uint8Array.of(0x81, 0x59, SIGN1_BYTES >> 8, SIGN1_BYTES & 255);

/** The entry of an event and its COSE_Sign1; `eventBytes` are its canonical bytes. */
export function entryOf(event: Event, sign1?: Uint8Array, eventBytes = encodeEvent(event)): Entry {
  const tail = sign1 ? [SIGNED_TAIL_HEAD, sign1] : [UNSIGNED_TAIL];
  const bytes = concatBytes([ENTRY_HEAD, eventBytes, ...tail]);
  return { id: idOf(eventBytes), event, eventBytes, sign1, bytes };
}

/**
 * Reads `[event, [signature]]` or `[event, []]`; throws coded errors. Its parts are views into
 * `bytes`.
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes[0] !== 0x82) {
    fail('not_canonical', 'An entry is a pair of an event and its signatures.', { at: 0 });
  }
  const signedAt = bytes.length - SIGN1_BYTES - SIGNED_TAIL_HEAD.length;
  const mayBeBare = bytes[bytes.length - 1] === 0x80;
  // a value inside an unsigned event may look like the head of a signature: then the event's own
  // end decides
  const isSigned =
    signedAt > 1 &&
    compareBytes(bytes.subarray(signedAt, signedAt + SIGNED_TAIL_HEAD.length), SIGNED_TAIL_HEAD) ===
      0 &&
    (!mayBeBare || itemEnd(bytes, 1) === signedAt);
  if (!isSigned && !mayBeBare) {
    fail('bad_signature_form', 'An entry has no or one signature, a COSE_Sign1 with ML-DSA-65.');
  }
  const eventBytes = bytes.subarray(1, isSigned ? signedAt : bytes.length - 1);
  const sign1 = isSigned ? bytes.subarray(bytes.length - SIGN1_BYTES) : undefined;
  if (sign1) signatureOf(sign1);
  return { id: idOf(eventBytes), event: decodeEvent(eventBytes), eventBytes, sign1, bytes };
}

/** Builds and signs an event with the actor's inception key. */
export async function signEvent(
  event: Event,
  signer: Signer,
  eventBytes = encodeEvent(event),
): Promise<Entry> {
  return entryOf(event, await sign(signer, 'event', eventBytes), eventBytes);
}

/** The key that must have signed: its SHA-256. */
export function signingKeyId(event: Event): Id {
  return event.key ?? event.actor;
}

/**
 * Whose share of a node's room an event takes: an actor's by each of its keys, so that whoever
 * found one that was rotated away uses up nothing of its owner's.
 */
export function partyOf(event: Event): string {
  return `${event.actor}/${signingKeyId(event)}`;
}

/**
 * The check of an entry's own signature with its COSE_Key; the caller has matched the key to
 * `signingKeyId`.
 */
export function entryJob(entry: Entry, coseKey: Uint8Array): SignatureJob {
  if (!entry.sign1) {
    fail('unsigned', 'Only the author of a block carries events without a signature.', {
      id: entry.id,
    });
  }
  return jobOf('event', entry.eventBytes, entry.sign1, coseKey);
}

/** The entry's leaf in the payload tree. */
export function entryLeaf(entry: Entry): Hash {
  return leafHash(entry.bytes);
}
