import { formCertificate } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import { sign1Of, toBeSigned } from '#ledger/cose.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { genesisBeforeEpochs } from '#test/support/members-1.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** What `checkpoint-golden.json` holds: bytes in base64, ids in hex, signatures made once. */
export interface CheckpointGolden {
  readonly comment: string;
  /** Raw ML-DSA-65 signatures of validators 0, 2 and 3 over the periodic checkpoint. */
  readonly signatures: readonly string[];
  readonly values: Readonly<Record<string, string>>;
}

export const net = seededNet(4, 1, 'golden', genesisBeforeEpochs);
export const AUTHORS = [0, 2, 3];

export const periodic = makeCheckpoint({
  chain: net.chain.id,
  epoch: 0,
  cut: 'periodic',
  size: 4711,
  root: 'a1'.repeat(32),
  state: 'b2'.repeat(32),
  commit: { index: 99, id: 'c3'.repeat(32) },
  ts_ms: CREATED_MS + 10_000,
  prev: net.chain.id,
});

export const end = makeCheckpoint({
  ...periodic,
  epoch: 7,
  cut: 'epoch',
  size: Number.MAX_SAFE_INTEGER,
  nextCommittee: net.chain.committee.id,
  prev: periodic.id,
});

export const idle = makeCheckpoint({ ...periodic, cut: 'idle', size: 4712, prev: periodic.id });

/** What a validator's key signs. */
export const signedBytes = toBeSigned('checkpoint', periodic.bytes);

/** Every value, around the stored signatures. */
export function checkpointValues(signatures: readonly Uint8Array[]): Record<string, string> {
  const signed = signatures.map((signature, i) => ({
    author: AUTHORS[i] ?? 0,
    sign1: sign1Of(signature),
  }));
  const certificate = formCertificate(periodic, signed.toReversed(), net.chain.committee);
  return {
    periodic: periodic.bytes.toBase64(),
    periodicId: periodic.id,
    end: end.bytes.toBase64(),
    endId: end.id,
    idle: idle.bytes.toBase64(),
    idleId: idle.id,
    toBeSigned: signedBytes.toBase64(),
    certificate: certificate?.bytes.toBase64() ?? '',
  };
}
