import { signatureOf, jobOf, keyId, publicKeyOf } from './cose.ts';
import { X0tError, fail } from './errors.ts';
import type { Body, Event } from './event.ts';
import { readSlot } from './header.ts';
import type { HeaderSlot } from './header.ts';
import { idOf } from './ids.ts';
import type { Id, SignatureJob } from './ports.ts';

/**
 * Evidence of equivocation (consensus.md 2.13): two headers of one slot, both signed by its author.
 * It stands by itself: the body brings the author's key, and both signatures are part of the
 * validity of the event, as its own is. So whoever verifies an event's signature (pool, intake,
 * audit) verifies these too, and a reducer, which has no engine, may rely on them. That the key
 * belongs to the author of that epoch is state, and is checked when the event is applied.
 */
export const EVIDENCE_KIND = 'evidence.equivocation/1';

/** The body; ids of the headers ascend, so that one pair has one form. */
export interface EvidenceBody {
  readonly headerA: Uint8Array;
  readonly sigA: Uint8Array;
  readonly headerB: Uint8Array;
  readonly sigB: Uint8Array;
  /** The author's COSE_Key. */
  readonly key: Uint8Array;
}

/** What a body of right form says. */
export interface Evidence extends HeaderSlot {
  /** SHA-256 of the key that signed both: that of the accused in this epoch's committee. */
  readonly key: Id;
}

/** A signed header, as accepted blocks keep it. */
export interface SignedHeader {
  readonly headerBytes: Uint8Array;
  readonly sign1: Uint8Array;
}

export function evidenceBody(a: SignedHeader, b: SignedHeader, key: Uint8Array): Body {
  const [first, second] = idOf(a.headerBytes) < idOf(b.headerBytes) ? [a, b] : [b, a];
  const body: EvidenceBody = {
    headerA: first.headerBytes,
    sigA: first.sign1,
    headerB: second.headerBytes,
    sigB: second.sign1,
    key,
  };
  return { ...body };
}

/** Reads a body; `undefined` where it is none. Signatures are not verified here. */
export function readEvidence(body: Body): Evidence | undefined {
  const { headerA, sigA, headerB, sigB, key } = body as unknown as EvidenceBody;
  const parts = [headerA, sigA, headerB, sigB, key];
  if (!parts.every((part) => part instanceof Uint8Array)) return undefined;
  try {
    publicKeyOf(key);
    signatureOf(sigA);
    signatureOf(sigB);
    const a = readSlot(headerA);
    const b = readSlot(headerB);
    const isOneSlot =
      a.chain === b.chain &&
      a.epoch === b.epoch &&
      a.committee === b.committee &&
      a.round === b.round &&
      a.author === b.author;
    if (!isOneSlot || idOf(headerA) >= idOf(headerB)) {
      fail('out_of_range', 'Evidence is two headers of one slot, by ascending id.');
    }
    return { ...a, key: keyId(key) };
  } catch (error) {
    if (error instanceof X0tError) return undefined;
    throw error;
  }
}

/** Both signatures of evidence; none for any other event (`inner-jobs.ts`). */
export function evidenceJobs({ kind, body }: Event): readonly SignatureJob[] {
  if (kind !== EVIDENCE_KIND || !readEvidence(body)) return [];
  const { headerA, sigA, headerB, sigB, key } = body as unknown as EvidenceBody;
  return [jobOf('block', headerA, sigA, key), jobOf('block', headerB, sigB, key)];
}
