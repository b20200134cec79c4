import { decodeCertificate, verifyCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { Checkpoint } from './checkpoint.ts';
import { decode, encode } from './codec.ts';
import type { Committee } from './committee.ts';
import { codeOf, fail } from './errors.ts';
import * as field from './fields.ts';
import { bytesOf, linkOf } from './ids.ts';
import { verifyConsistency } from './merkle-proof.ts';
import type { Hash } from './merkle.ts';
import type { Id, Verifier } from './ports.ts';
import { decodePath } from './receipt.ts';

/**
 * Consistency proofs, and checkpoints that a verifier has seen before: keys of validators that have
 * left may be stolen later and sign another history from the genesis on; whoever keeps the newest
 * checkpoint that it saw is not fooled by one.
 */

/** That the log of `to` events begins with the log of `from` events. */
export interface Consistency {
  readonly chain: Id;
  readonly from: number;
  readonly to: number;
  readonly path: readonly Hash[];
}

const KNOWN = new Set(['t', 'v', 'chain', 'from', 'to', 'path']);

export function encodeConsistency({ chain, from, to, path }: Consistency): Uint8Array {
  return encode({ t: 'consistency', v: 1, chain: linkOf(chain), from, to, path });
}

/** Reads a proof; it is not verified. Throws coded errors. */
export function decodeConsistency(bytes: Uint8Array): Consistency {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'consistency proof');
  field.assertTag(fields, 'consistency');
  const from = field.integerOf(fields, 'from', 1, Number.MAX_SAFE_INTEGER);
  return {
    chain: field.linkOfField(fields, 'chain'),
    from,
    to: field.integerOf(fields, 'to', from, Number.MAX_SAFE_INTEGER),
    path: decodePath(fields['path']),
  };
}

/** A certificate that the verifier trusts, and a proof where the receipt is older than it. */
export interface Trusted {
  readonly certificate: Uint8Array;
  readonly consistency?: Uint8Array;
}

/** What the receipt's own chain of committees showed. */
export interface Shown {
  readonly committees: readonly Committee[];
  /** How each epoch but the last ended. */
  readonly ends: readonly Certificate[];
  readonly chain: Id;
}

/**
 * Checks that a receipt's checkpoint and the trusted one belong to one history. Throws
 * `trusted_differs`, or `receipt_before_trusted` where a consistency proof is needed to tell.
 */
export async function verifyTrusted(
  trusted: Trusted,
  checkpoint: Checkpoint,
  { committees, ends, chain }: Shown,
  verifier: Pick<Verifier, 'verify'>,
): Promise<void> {
  const certificate = decodeCertificate(trusted.certificate);
  const seen = certificate.checkpoint;
  if (seen.chain !== chain) differs('it is of another network');
  const committee = committees[seen.epoch];
  if (committee) {
    await verifyCertificate(certificate, committee, verifier).catch((error: unknown) =>
      differs(`its signatures are not of this committee (${codeOf(error)})`),
    );
    const end = ends[seen.epoch];
    if (end && seen.cut === 'epoch' && end.checkpoint.id !== seen.id) {
      differs('its epoch ended otherwise');
    }
    if (end && end.checkpoint.size < seen.size) differs('its epoch ended before it');
  }
  const proof = trusted.consistency && decodeConsistency(trusted.consistency);
  const [older, newer] = seen.size < checkpoint.size ? [seen, checkpoint] : [checkpoint, seen];
  if (older.size === newer.size) {
    if (older.root !== newer.root || older.state !== newer.state) differs('another log');
  } else if (proof) verifyProof(proof, older, newer);
  else if (seen === newer) {
    const { size: from } = older;
    const { size: to } = newer;
    fail(
      'receipt_before_trusted',
      'The receipt is older than the trusted checkpoint: add a consistency proof between them.',
      { from, to, path: `/v1/checkpoints/${to}/consistency?from=${from}` },
    );
  }
}

function verifyProof(proof: Consistency, older: Checkpoint, newer: Checkpoint): void {
  const { chain, from, to, path } = proof;
  if (chain !== older.chain || from !== older.size || to !== newer.size) {
    fail('bad_consistency', 'The consistency proof is between other checkpoints.', { from, to });
  }
  if (!verifyConsistency(from, bytesOf(older.root), to, bytesOf(newer.root), path)) {
    fail('bad_consistency', 'The consistency proof does not lead from one log to the other.', {
      from,
      to,
    });
  }
}

function differs(why: string): never {
  fail('trusted_differs', `The receipt does not belong to the trusted history: ${why}.`);
}
