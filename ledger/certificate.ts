import { decodeCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { decode, encode } from './codec.ts';
import type { Committee } from './committee.ts';
import { jobOf, sign, signatureOf } from './cose.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { COMMITTEE_MAX } from './limits.ts';
import type { SignatureJob, Signer, Verifier } from './ports.ts';

/**
 * Votes on checkpoints, and certificates: a checkpoint with the first signatures by author order
 * that make a quorum. One certificate has one form: no signature more, none twice, all valid.
 */

/** A validator's COSE_Sign1 over a checkpoint. */
export interface Signed {
  /** Index in the committee of the checkpoint's epoch. */
  readonly author: number;
  readonly sign1: Uint8Array;
}

/** A vote as it travels: `[checkpoint, author, sign1]`. */
export interface Vote extends Signed {
  readonly checkpoint: Checkpoint;
}

export interface Certificate {
  readonly checkpoint: Checkpoint;
  /** Ascending by author; without the last one they are no quorum. */
  readonly signatures: readonly Signed[];
  readonly bytes: Uint8Array;
}

/** Signs a checkpoint as a validator. The caller has persisted that it does (wire.md). */
export async function signCheckpoint(
  checkpoint: Checkpoint,
  author: number,
  signer: Signer,
): Promise<Vote> {
  return { checkpoint, author, sign1: await sign(signer, 'checkpoint', checkpoint.bytes) };
}

export function encodeVote({ checkpoint, author, sign1 }: Vote): Uint8Array {
  return encode([checkpoint.bytes, author, sign1]);
}

/** Reads a vote; its signature is not verified. Throws coded errors. */
export function decodeVote(bytes: Uint8Array): Vote {
  const parts = field.listOf(decode(bytes), 'vote', 3);
  return { checkpoint: decodeCheckpoint(asBytes(parts[0])), ...signedOf(parts.slice(1)) };
}

/** The check of one signature; throws `unknown_author`. */
export function voteJob({ checkpoint, author, sign1 }: Vote, committee: Committee): SignatureJob {
  return jobOf('checkpoint', checkpoint.bytes, sign1, committee.at(author).coseKey);
}

/**
 * The certificate out of valid votes for one checkpoint, one for each author, in any order;
 * `undefined` while they are no quorum.
 */
export function formCertificate(
  checkpoint: Checkpoint,
  votes: Iterable<Signed>,
  committee: Committee,
): Certificate | undefined {
  const signatures: Signed[] = [];
  let stake = 0;
  for (const { author, sign1 } of [...votes].toSorted((a, b) => a.author - b.author)) {
    signatures.push({ author, sign1 });
    stake += committee.at(author).stake;
    if (stake >= committee.quorum) {
      return { checkpoint, signatures, bytes: encodeCertificate(checkpoint, signatures) };
    }
  }
  return undefined;
}

const KNOWN = new Set(['t', 'v', 'checkpoint', 'signatures']);

function encodeCertificate(checkpoint: Checkpoint, signatures: readonly Signed[]): Uint8Array {
  return encode({
    t: 'certificate',
    v: 1,
    checkpoint: checkpoint.bytes,
    signatures: signatures.map(({ author, sign1 }) => [author, sign1]),
  });
}

/** Reads a certificate; its signatures are not verified. Throws coded errors. */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'certificate');
  field.assertTag(fields, 'certificate');
  const checkpoint = decodeCheckpoint(asBytes(fields['checkpoint']));
  const signatures = field
    .listOf(fields['signatures'], 'signatures', COMMITTEE_MAX)
    .map((one) => signedOf(field.listOf(one, 'signature', 2)));
  return { checkpoint, signatures, bytes: new Uint8Array(bytes) };
}

/**
 * Checks that the certificate is the committee's: epoch, order, a quorum and none too many, every
 * signature. Throws `foreign_committee`, `bad_certificate` or `bad_checkpoint_signature`.
 */
export async function verifyCertificate(
  { checkpoint, signatures }: Certificate,
  committee: Committee,
  verifier: Pick<Verifier, 'verify'>,
): Promise<void> {
  const { epoch } = checkpoint;
  if (epoch !== committee.epoch) {
    fail('foreign_committee', 'A certificate of another epoch than its committee.', { epoch });
  }
  let stake = 0;
  let previous = -1;
  for (const { author } of signatures) {
    if (author <= previous || author >= committee.size || stake >= committee.quorum) {
      fail('bad_certificate', 'Signatures stand by author, once, and no more than a quorum.');
    }
    previous = author;
    stake += committee.at(author).stake;
  }
  if (stake < committee.quorum) {
    fail('bad_certificate', 'The signatures are no quorum of the committee.', {
      stake,
      quorum: committee.quorum,
    });
  }
  const jobs = signatures.map((one) => voteJob({ checkpoint, ...one }, committee));
  if ((await verifier.verify(jobs)).includes(false)) {
    fail('bad_checkpoint_signature', 'A signature does not fit the checkpoint and its author.', {
      size: checkpoint.size,
    });
  }
}

function signedOf([author, sign1]: readonly unknown[]): Signed {
  const bytes = new Uint8Array(asBytes(sign1));
  signatureOf(bytes);
  return { author: field.asInteger(author, 'author', 0, COMMITTEE_MAX - 1), sign1: bytes };
}

function asBytes(value: unknown): Uint8Array {
  return value instanceof Uint8Array
    ? value
    : fail('wrong_type', 'A byte string is expected here.');
}
