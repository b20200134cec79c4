import { decodeCertificate, verifyCertificate } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import type { Chain } from '#ledger/chain.ts';
import { decode } from '#ledger/codec.ts';
import { Committee } from '#ledger/committee.ts';
import { codeOf, fail } from '#ledger/errors.ts';
import { decodeValidators } from '#ledger/genesis.ts';
import { prefixRange, storeKeys } from '#ledger/keys.ts';
import { LogTree } from '#ledger/log-tree.ts';
import type { BlockStore, SignatureJob } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';

type Store = Pick<BlockStore, 'get' | 'range'>;

/** Every stored certificate is signed by its committee and says what the log gives. */
export async function checkCertificates(store: Store, chain: Chain, size: number): Promise<void> {
  const engine = await loadEngine('liboqs');
  const verify = async (jobs: readonly SignatureJob[]) => jobs.map((job) => engine.verify(job));
  const tree = new LogTree(store);
  for await (const [row, value] of store.range(prefixRange('h/cert/'))) {
    try {
      const certificate = decodeCertificate(value);
      const { checkpoint } = certificate;
      if (row !== storeKeys.certificate(checkpoint)) damaged('its row names another');
      await verifyCertificate(certificate, committeeOf(store, chain, checkpoint.epoch), { verify });
      // certificates come from peers too, ahead of the own log
      if (checkpoint.size <= size) checkAgainst(store, tree, certificate);
    } catch (error) {
      const message = 'A stored certificate is damaged, or is not what the log gives.';
      fail('audit_row_differs', message, { kind: 'row', row, reason: codeOf(error) });
    }
  }
}

function checkAgainst(store: Store, tree: LogTree, { checkpoint }: Certificate): void {
  const own = store.get(storeKeys.ownCheckpoint(checkpoint));
  if (tree.rootAt(checkpoint.size).toHex() !== checkpoint.root) damaged('another root');
  if (own && Buffer.compare(own, checkpoint.bytes) !== 0) damaged('another checkpoint');
}

function committeeOf(store: Store, { genesis }: Chain, epoch: number): Committee {
  if (epoch === 0) return new Committee(0, genesis.committee);
  const row = store.get(storeKeys.committee(epoch));
  return row ? new Committee(epoch, decodeValidators(decode(row))) : damaged('no such epoch');
}

function damaged(why: string): never {
  fail('store_corrupt', `A stored certificate does not fit: ${why}.`);
}
