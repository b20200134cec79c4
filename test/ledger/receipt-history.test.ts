import test from 'ava';
import { decodeCertificate, formCertificate, signCheckpoint } from '#ledger/certificate.ts';
import type { Certificate, Vote } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import { Committee } from '#ledger/committee.ts';
import { decodeConsistency, encodeConsistency } from '#ledger/consistency.ts';
import type { Trusted } from '#ledger/consistency.ts';
import { LogTree } from '#ledger/log-tree.ts';
import { verifyReceipt } from '#ledger/receipt-check.ts';
import { decodeReceipt, encodeReceipt } from '#ledger/receipt.ts';
import type { EpochLink, Receipt } from '#ledger/receipt.ts';
import { codeOf } from '#ledger/errors.ts';
import { certifiedLog } from '#test/support/certified-log.ts';
import { directVerifier } from '#test/support/cluster.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { seededActor, seededNet } from '#test/support/seeded-actor.ts';

/** One log, cut here into two epochs: the second has a committee of strangers to the genesis. */
const verifier = await directVerifier();
const net = seededNet(4, 2, 'history');
const { genesisBytes } = net.chain;
const log = await certifiedLog(net, 4, 5, verifier);
const tree = new LogTree(log.store);
const last = log.certifier.latest as Certificate;
const TOTAL = last.checkpoint.size;
const END = 30;

const seats = ['x', 'y', 'z', 'w'].map((name) => seededActor(`history ${name}`));
const committeeOf = (epoch: number, actors: readonly TestActor[]): Committee =>
  new Committee(
    epoch,
    actors.map(({ actor, coseKey }, i) => ({ actor, coseKey, peer: `peer-${i}`, stake: 1 })),
  );
const second = committeeOf(1, seats);

async function certify(
  checkpoint: Checkpoint,
  committee: Committee,
  actors: readonly TestActor[],
): Promise<Certificate> {
  const votes: Vote[] = [];
  for (const [author, { signer }] of actors.entries()) {
    votes.push(await signCheckpoint(checkpoint, author, signer));
  }
  return formCertificate(checkpoint, votes, committee) as Certificate;
}

const rootAt = (size: number): string => tree.rootAt(size).toHex();
const at = (size: number, change: Partial<Checkpoint> = {}): Checkpoint =>
  makeCheckpoint({ ...last.checkpoint, cut: 'periodic', size, root: rootAt(size), ...change });

const first = net.chain.committee;
const epochEnd = at(END, { cut: 'epoch', nextCommittee: second.id });
const endCertificate = await certify(epochEnd, first, net.validators);
const later = await certify(at(TOTAL, { epoch: 1, prev: epochEnd.id }), second, seats);
const early = await certify(at(20), first, net.validators);
const link: EpochLink = { certificate: endCertificate.bytes, next: second.validators };

/** The receipt of a final event under a certificate of either epoch. */
async function receiptAt(seq: number, { checkpoint, bytes }: Certificate): Promise<Receipt> {
  const { epoch, size } = checkpoint;
  const row = log.store.get(`f/${seq.toString(16).padStart(12, '0')}`);
  const id = row?.slice(0, 32).toHex() ?? '';
  const receipt = decodeReceipt(await log.maker.receipt(id));
  const path = tree.inclusion(seq - 1, size);
  return { ...receipt, path, certificate: bytes, epochs: epoch === 1 ? [link] : [] };
}

const check = async (receipt: Receipt, trusted?: Trusted): Promise<string> => {
  try {
    const options = trusted ? { trusted } : {};
    await verifyReceipt(encodeReceipt(receipt), genesisBytes, verifier, options);
    return 'ok';
  } catch (error) {
    return codeOf(error);
  }
};
const proof = (from: number, to: number): Uint8Array =>
  encodeConsistency({ chain: net.chain.id, from, to, path: tree.consistency(from, to) });

test('a receipt of a later epoch leads from the genesis over every committee', async (t) => {
  t.true(TOTAL > END && END > 20);
  const receipt = await receiptAt(45, later);
  const proven = await verifyReceipt(encodeReceipt(receipt), genesisBytes, verifier);
  t.is(proven.checkpoint.epoch, 1);
  t.deepEqual(proven.signers, seats.slice(0, 3).map(({ actor }) => actor));
  t.is(await check(await receiptAt(7, later)), 'ok', 'an old event under a new certificate');

  t.is(await check({ ...receipt, epochs: [] }), 'foreign_committee');
  t.is(await check({ ...receipt, epochs: [link, link] }), 'foreign_committee');
  const others = { ...link, next: first.validators };
  t.is(await check({ ...receipt, epochs: [others] }), 'bad_committee_chain');
  const periodic = { ...link, certificate: early.bytes };
  t.is(await check({ ...receipt, epochs: [periodic] }), 'bad_committee_chain');
  const forged = await certify(epochEnd, committeeOf(0, seats), seats);
  const usurped = { ...link, certificate: forged.bytes };
  t.is(await check({ ...receipt, epochs: [usurped] }), 'bad_checkpoint_signature');
});

test('a change at any position of the chain of committees is found', async (t) => {
  const bytes = encodeReceipt(await receiptAt(45, later));
  const slack: number[] = [];
  for (let i = 0; i < bytes.length; i += 61) {
    const wrong = bytes.slice();
    wrong[i] = (bytes[i] as number) ^ (1 << (i % 8));
    try {
      await verifyReceipt(wrong, genesisBytes, verifier);
      slack.push(i);
    } catch {
      // as it must be
    }
  }
  t.deepEqual(slack, []);
});

test('a receipt fits its own network only', async (t) => {
  const other = seededNet(4, 2, 'other');
  const bytes = encodeReceipt(await receiptAt(5, early));
  const run = verifyReceipt(bytes, other.chain.genesisBytes, verifier);
  await t.throwsAsync(run, { code: 'foreign_chain' });
});

test('a trusted checkpoint fits receipts of its history', async (t) => {
  const trusts = (certificate: Certificate, consistency?: Uint8Array): Trusted => ({
    certificate: certificate.bytes,
    ...(consistency && { consistency }),
  });
  const old = await receiptAt(5, early);
  const young = await receiptAt(45, later);
  t.is(await check(old, trusts(early)), 'ok', 'the same one');
  t.is(await check(young, trusts(early)), 'ok', 'the log has grown');
  t.is(await check(young, trusts(endCertificate)), 'ok');
  t.is(await check(young, trusts(later)), 'ok');
  t.is(await check(old, trusts(later)), 'receipt_before_trusted');
  t.is(await check(old, trusts(later, proof(20, TOTAL))), 'ok');
  t.is(await check(young, trusts(early, proof(20, TOTAL))), 'ok');
  t.is(await check(old, trusts(endCertificate, proof(20, END))), 'ok');
  t.is(await check(old, trusts(later, proof(20, END))), 'bad_consistency');
  t.is(await check(old, trusts(later, proof(19, TOTAL))), 'bad_consistency');
  const wrong = decodeConsistency(proof(20, TOTAL));
  const path = [...wrong.path].toReversed();
  t.is(await check(old, trusts(later, encodeConsistency({ ...wrong, path }))), 'bad_consistency');
});

test('a forged history does not fit a checkpoint that was seen before', async (t) => {
  // keys of the first committee were stolen after it had left: another second epoch is signed
  const thieves = ['p', 'q', 'r', 's'].map((name) => seededActor(`history ${name}`));
  const usurpers = committeeOf(1, thieves);
  const end = at(END, { cut: 'epoch', nextCommittee: usurpers.id });
  const forgedEnd = await certify(end, first, net.validators);
  const certificate = await certify(at(TOTAL, { epoch: 1, prev: end.id }), usurpers, thieves);
  const genuine = await receiptAt(45, later);
  const forged = {
    ...genuine,
    certificate: certificate.bytes,
    epochs: [{ certificate: forgedEnd.bytes, next: usurpers.validators }],
  };
  t.is(await check(forged), 'ok', 'from the genesis alone it cannot be told');
  t.is(await check(forged, { certificate: later.bytes }), 'trusted_differs');
  t.is(await check(forged, { certificate: endCertificate.bytes }), 'trusted_differs');
  const split = await certify(at(20, { root: 'dd'.repeat(32) }), first, net.validators);
  t.is(await check(await receiptAt(5, early), { certificate: split.bytes }), 'trusted_differs');
  // the log went on in the first epoch beyond where this receipt says that it ended
  for (const cut of ['periodic', 'idle'] as const) {
    for (const size of [END + 1, TOTAL]) {
      const beyond = await certify(at(size, { cut }), first, net.validators);
      t.is(await check(genuine, { certificate: beyond.bytes }), 'trusted_differs');
    }
  }
  const cut = decodeCertificate(later.bytes);
  t.is(cut.checkpoint.size, TOTAL);
});
