import { decodeCertificate, verifyCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { Checkpoint } from './checkpoint.ts';
import { decode } from './codec.ts';
import { Committee } from './committee.ts';
import { verifyTrusted } from './consistency.ts';
import type { Trusted } from './consistency.ts';
import { jobOf, keyId } from './cose.ts';
import { fail } from './errors.ts';
import { decodeEntry, entryJob, entryLeaf, signingKeyId } from './event.ts';
import type { Entry } from './event.ts';
import * as field from './fields.ts';
import { chainOf, decodeGenesis } from './genesis.ts';
import { decodeHeader } from './header.ts';
import { bytesOf } from './ids.ts';
import { finalLeaf } from './log-tree.ts';
import { verifyInclusion } from './merkle-proof.ts';
import type { Id, Verifier } from './ports.ts';
import { decodeReceipt } from './receipt.ts';
import type { Authorship, EpochLink, Receipt } from './receipt.ts';

/** What a receipt proves, once all of it holds. */
export interface Proven {
  readonly chain: Id;
  /** The network's name in the genesis. */
  readonly network: string;
  readonly entry: Entry;
  /** `actor`: by its own signature; `block`: by the signature of its actor's block. */
  readonly signedBy: 'actor' | 'block';
  /** SHA-256 of the COSE_Key that signed. */
  readonly key: Id;
  readonly seq: number;
  readonly verdict: number;
  readonly checkpoint: Checkpoint;
  /** Actors of the validators that signed the checkpoint. */
  readonly signers: readonly Id[];
  /** Validators of the certificate's committee. */
  readonly committeeSize: number;
}

/**
 * Verifies a receipt against nothing but the genesis object: committees, certificate, inclusion,
 * authorship. With `trusted` also that it belongs to the history of a checkpoint that the verifier
 * has seen before (`consistency.ts`). Throws a coded error for whatever does not hold; changing any
 * byte of a receipt makes it throw.
 */
export async function verifyReceipt(
  bytes: Uint8Array,
  genesisBytes: Uint8Array,
  verifier: Pick<Verifier, 'verify'>,
  { trusted }: { readonly trusted?: Trusted } = {},
): Promise<Proven> {
  const chain = chainOf(genesisBytes);
  const genesis = decodeGenesis(genesisBytes);
  const receipt = decodeReceipt(bytes);
  const first = new Committee(0, genesis.committee);
  const { committees, ends } = await walkEpochs(receipt.epochs, first, chain, verifier);
  const certificate = decodeCertificate(receipt.certificate);
  const { checkpoint, signatures } = certificate;
  assertChain(checkpoint, chain);
  const committee = committees.at(-1) as Committee;
  await verifyCertificate(certificate, committee, verifier);
  const entry = decodeEntry(receipt.entry);
  if (entry.event.chain !== chain) foreign('event');
  const { key, signedBy } = await verifyAuthorship(entry, receipt, committees, chain, verifier);
  const { seq, verdict, path } = receipt;
  const root = bytesOf(checkpoint.root);
  const leaf = finalLeaf(entry.id, verdict);
  if (!verifyInclusion(leaf, seq - 1, checkpoint.size, path, root)) {
    fail('receipt_not_included', "The path does not lead from the event to the log's root.", {
      seq,
      size: checkpoint.size,
    });
  }
  if (trusted) await verifyTrusted(trusted, checkpoint, { committees, ends, chain }, verifier);
  return {
    chain,
    network: genesis.name,
    entry,
    signedBy,
    key,
    seq,
    verdict,
    checkpoint,
    signers: signatures.map(({ author }) => committee.at(author).actor),
    committeeSize: committee.size,
  };
}

/**
 * From the genesis committee to that of the last link, each named by the certificate before it.
 * Throws `foreign_chain`, `bad_committee_chain` and the codes of certificates.
 */
export async function walkEpochs(
  links: readonly EpochLink[],
  first: Committee,
  chain: Id,
  verifier: Pick<Verifier, 'verify'>,
): Promise<{ readonly committees: readonly Committee[]; readonly ends: readonly Certificate[] }> {
  const committees = [first];
  const ends: Certificate[] = [];
  for (const { certificate: bytes, next } of links) {
    const committee = committees.at(-1) as Committee;
    const end = decodeCertificate(bytes);
    const { checkpoint } = end;
    assertChain(checkpoint, chain);
    await verifyCertificate(end, committee, verifier);
    const following = new Committee(committee.epoch + 1, next, checkpoint.id);
    if (checkpoint.cut !== 'epoch' || checkpoint.nextCommittee !== following.id) {
      fail('bad_committee_chain', 'An epoch does not end with the committee that follows it.', {
        epoch: committee.epoch,
      });
    }
    committees.push(following);
    ends.push(end);
  }
  return { committees, ends };
}

function assertChain(checkpoint: Checkpoint, chain: Id): void {
  if (checkpoint.chain !== chain) foreign('checkpoint');
}

function foreign(what: string): never {
  fail('foreign_chain', `The ${what} is of another network than the genesis.`, { what });
}

interface Signature {
  readonly key: Id;
  readonly signedBy: Proven['signedBy'];
}

async function verifyAuthorship(
  entry: Entry,
  { authorship }: Receipt,
  committees: readonly Committee[],
  chain: Id,
  verifier: Pick<Verifier, 'verify'>,
): Promise<Signature> {
  if (!('key' in authorship)) return verifyBlock(entry, authorship, committees, chain, verifier);
  const { key } = authorship;
  const name = keyId(key);
  if (name !== signingKeyId(entry.event)) {
    fail('bad_key', 'The key is not the one that the event names.', { id: entry.id });
  }
  const [isValid] = await verifier.verify([entryJob(entry, key)]);
  if (isValid !== true) {
    fail('bad_event_signature', 'The signature does not fit the event and the key.', {
      id: entry.id,
    });
  }
  return { key: name, signedBy: 'actor' };
}

/** The entry stands unsigned in a block that its actor, a validator, signed. */
async function verifyBlock(
  entry: Entry,
  { header: bytes, sign1, index, path }: Exclude<Authorship, { readonly key: Uint8Array }>,
  committees: readonly Committee[],
  chain: Id,
  verifier: Pick<Verifier, 'verify'>,
): Promise<Signature> {
  const epoch = epochOf(bytes);
  const committee =
    committees[epoch] ?? fail('foreign_committee', 'A block of another epoch.', { epoch });
  const header = decodeHeader(bytes, chain, committee);
  const author = committee.at(header.author);
  const { event, sign1: own, id } = entry;
  const isOwnKey = signingKeyId(event) === committee.keyIdAt(header.author);
  if (own || !isOwnKey || event.actor !== author.actor) {
    fail('unsigned', 'Only the author of a block carries events without a signature.', { id });
  }
  const [isValid] = await verifier.verify([jobOf('block', bytes, sign1, author.coseKey)]);
  if (isValid !== true) {
    fail('bad_block_signature', "The author's signature does not fit the block.");
  }
  // leaf 0 is the key table
  if (!verifyInclusion(entryLeaf(entry), index + 1, header.count + 1, path, header.root)) {
    fail('receipt_not_included', 'The block does not carry the event.', { id });
  }
  return { key: committee.keyIdAt(header.author), signedBy: 'block' };
}

/** Read ahead of all checks, to find the committee that the header is checked against. */
function epochOf(header: Uint8Array): number {
  const value = decode(header);
  const fields = typeof value === 'object' && value !== null ? value : {};
  return field.integerOf(fields as field.Fields, 'epoch', 0, Number.MAX_SAFE_INTEGER);
}
