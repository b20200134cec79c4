import { decodeCertificate, voteJob } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import { decode, splitByteStrings } from '#ledger/codec.ts';
import type { Committee } from '#ledger/committee.ts';
import { decodeEpochStart } from '#ledger/epochs.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { SimNode } from '#test/sim/node.ts';
import type { MakeChecker } from './index.ts';

const FIRST = storeKeys.epoch(0).slice(0, 2);

/**
 * All honest nodes enter the same epochs, each with the same committee on the same certified end of
 * the one before, and stand in the same one at last. A block is published only by who has a seat in
 * its epoch, and holds the certificate with which that begins.
 */
export const epochs: MakeChecker = (world, report) => {
  const committees = new Map<number, Committee>([[0, world.chain.committee]]);
  const certificates = new Map<string, Certificate>();

  /** A quorum is all but the f that may fail; counted here anew. */
  const isQuorum = ({ signatures }: Certificate, { size }: Committee): boolean => {
    const authors = new Set(signatures.map(({ author }) => author));
    return authors.size >= size - Math.floor((size - 1) / 3);
  };

  const enters = ({ name }: SimNode, epoch: number, row: Uint8Array): void => {
    const { committee, certificate: bytes } = decodeEpochStart(epoch, row);
    const certificate = decodeCertificate(bytes);
    const { checkpoint } = certificate;
    const text = `epoch ${epoch} of ${name}`;
    const before = committees.get(epoch - 1);
    const known = committees.get(epoch) ?? committee;
    committees.set(epoch, known);
    if (known.id !== committee.id) report(`${text} has another committee than others'`);
    if (known.base !== committee.base) report(`${text} begins at another end than others'`);
    const isEnd = checkpoint.cut === 'epoch' && checkpoint.epoch === epoch - 1;
    if (!isEnd || checkpoint.id !== committee.base || checkpoint.nextCommittee !== committee.id) {
      report(`${text} begins with the certificate of something else`);
    }
    if (!before || !isQuorum(certificate, before)) report(`${text} begins without a quorum`);
    certificates.set(bytes.toHex(), certificate);
  };

  return {
    wrote(node, ops) {
      if (!node.isHonest) return;
      for (const op of ops) {
        if (op.type !== 'put' || !op.key.startsWith(FIRST)) continue;
        enters(node, Number.parseInt(op.key.slice(FIRST.length), 16), op.value);
      }
    },
    published({ name, who, store }, block) {
      const [header = block] = splitByteStrings(block);
      const { epoch = 0, round, author = 0 } = decode(header) as Record<string, number>;
      const row = store?.get(storeKeys.epoch(epoch));
      const text = `${name} seals in round ${round} of epoch ${epoch}`;
      if (epoch > 0 && !row) report(`${text} before it holds how that begins`);
      const committee = row ? decodeEpochStart(epoch, row).committee : world.chain.committee;
      if (committee.validators[author]?.actor !== who.actor) report(`${text} without a seat`);
    },
    async end() {
      const stands = new Set<string>();
      for (const { core } of world.honest) {
        if (!core) continue;
        const { committee, orderer } = core.replica;
        stands.add(`${committee.epoch}${orderer.isEnded ? ' that has ended' : ''}`);
      }
      if (stands.size > 1) report(`honest nodes stand in epochs ${[...stands].join(', ')}`);
      for (const { checkpoint, signatures } of certificates.values()) {
        const committee = committees.get(checkpoint.epoch);
        if (!committee) continue;
        const jobs = signatures.map((one) => voteJob({ checkpoint, ...one }, committee));
        if (!(await world.verifier.verify(jobs)).includes(false)) continue;
        report(`the end of epoch ${checkpoint.epoch} has a signature that does not hold`);
      }
    },
  };
};
