import { makeCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { decodeCertificate, verifyCertificate } from './certificate.ts';
import type { Chain } from './chain.ts';
import { Committee } from './committee.ts';
import { fail } from './errors.ts';
import type { EpochStart } from './epochs.ts';
import type { Fold } from './fold.ts';
import { textOf } from './ids.ts';
import type { OrdererState } from './orderer.ts';
import type { Id, Verifier } from './ports.ts';

/**
 * The end of an epoch, as the log alone gives it: the committee that decided its last commit, who
 * sits in the next, and the checkpoint that the former certifies. The next epoch's blocks at round
 * 0 name that checkpoint, so nothing of it can be made or checked before.
 */
export interface EpochEnd {
  readonly committee: Committee;
  readonly next: ConstructorParameters<typeof Committee>[1];
  readonly checkpoint: Checkpoint;
}

/** What the fold stands for after the last commit of an epoch. */
export function epochEndOf(
  chain: Pick<Chain, 'id'>,
  committee: Committee,
  fold: Pick<Fold, 'seats' | 'summary'>,
  last: OrdererState['last'],
): EpochEnd {
  const { validators } = fold.seats;
  const { size, logRoot, stateRoot } = fold.summary();
  const { epoch } = committee;
  const checkpoint = makeCheckpoint({
    chain: chain.id,
    epoch,
    cut: 'epoch',
    size,
    root: logRoot,
    state: stateRoot,
    commit: { index: last.index, id: last.id },
    ts_ms: last.ts_ms,
    nextCommittee: new Committee(epoch + 1, validators).id,
    prev: committee.base ?? chain.id,
  });
  return { committee, next: validators, checkpoint };
}

/** The committee of the next epoch, once its base is certified. */
export function nextCommittee({ committee, next }: EpochEnd, base: Id): Committee {
  return new Committee(committee.epoch + 1, next, base);
}

/**
 * Checks a certificate of an epoch's end and makes the start of the next out of it. Throws
 * `checkpoint_differs` where a quorum signed another end than this node computes, and the codes of
 * a certificate.
 */
export async function epochStartFrom(
  end: EpochEnd,
  bytes: Uint8Array,
  verifier: Pick<Verifier, 'verify'>,
): Promise<EpochStart> {
  const certificate = decodeCertificate(bytes);
  await verifyCertificate(certificate, end.committee, verifier);
  const { id, epoch, cut } = certificate.checkpoint;
  if (id !== end.checkpoint.id) {
    fail('checkpoint_differs', 'A quorum signed another end of the epoch than the log gives here.', {
      epoch,
      cut,
      signed: textOf(id),
      computed: textOf(end.checkpoint.id),
    });
  }
  return { committee: nextCommittee(end, id), certificate: bytes };
}
