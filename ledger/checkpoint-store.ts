import { decodeCertificate, encodeVote } from './certificate.ts';
import type { Certificate, Vote } from './certificate.ts';
import { decodeCheckpoint } from './checkpoint.ts';
import type { Checkpoint, CheckpointSlot } from './checkpoint.ts';
import { decode, encode } from './codec.ts';
import { Committee } from './committee.ts';
import { decodeValidators } from './genesis.ts';
import { bytesOf } from './ids.ts';
import { decodeNumber, encodeNumber, prefixRange, storeKeys } from './keys.ts';
import type { BlockStore, Id, StoreOp } from './ports.ts';

/** Own checkpoints that are read at start: those that no certificate covers yet are among them. */
const OWN_READ_MAX = 32;
/** Certificates from beyond the end of an epoch that are dropped at once. */
const BEYOND_MAX = 256;
/** Committees at hand, once they have their base: 128 validators are 250 KB. */
const COMMITTEES_MAX = 16;
/** Votes that are kept as evidence. */
const EVIDENCE_MAX = 256;

/** Two checkpoints of one slot: the own one, and what others signed. */
export interface Divergence extends CheckpointSlot {
  readonly own: Id;
  readonly theirs: Id;
}

/** What the certifier finds in the store at start. */
export interface HeldCheckpoints {
  readonly latest: Certificate | undefined;
  /** The newest own checkpoints, ascending. */
  readonly own: readonly Checkpoint[];
  readonly diverged: Divergence | undefined;
  readonly evidence: number;
}

/** The rows of checkpoints, certificates and evidence (`keys.ts`). */
export class CheckpointStore {
  readonly #store: BlockStore;
  readonly #committees = new Map<number, Committee>();
  #evidence: number;
  #latest: Certificate | undefined;
  /** The idle certificate that the next larger one replaces: the only one that is held. */
  #idle: Checkpoint | undefined;

  constructor(store: BlockStore, held: HeldCheckpoints) {
    this.#store = store;
    this.#evidence = held.evidence;
    this.#latest = held.latest;
    const newest = held.latest?.checkpoint;
    this.#idle = newest?.cut === 'idle' ? newest : undefined;
  }

  /** The certificate that covers most, of the newest epoch. */
  get latest(): Certificate | undefined {
    return this.#latest;
  }

  /** Takes up one that a snapshot has put into the store; false where the latest covers more. */
  adopt(certificate: Certificate): boolean {
    const { checkpoint } = certificate;
    if (!this.#isLater(checkpoint)) return false;
    this.#latest = certificate;
    if (checkpoint.cut === 'idle') this.#idle = checkpoint;
    return true;
  }

  /** Whether it covers more than the latest; nothing of an epoch covers more than its end. */
  #isLater({ epoch, size, cut }: Checkpoint): boolean {
    const latest = this.#latest?.checkpoint;
    if (!latest || epoch !== latest.epoch) return epoch > (latest?.epoch ?? -1);
    return cut === 'epoch' || (latest.cut !== 'epoch' && size >= latest.size);
  }

  static async read(store: BlockStore): Promise<HeldCheckpoints> {
    const last = (prefix: string, limit: number) => {
      return rows(store, { ...prefixRange(prefix), reverse: true, limit });
    };
    const [newest] = await last('h/cert/', 1);
    const own = (await last('h/own/', OWN_READ_MAX)).map(decodeCheckpoint).toReversed();
    const evidence = await rows(store, { ...prefixRange('h/evidence/'), limit: EVIDENCE_MAX });
    const mark = store.get(storeKeys.diverged);
    const diverged = mark && (decode(mark) as Divergence);
    // a rebuild may have mended what this node had computed
    const now = diverged && store.get(storeKeys.ownCheckpoint(diverged));
    const isMended = now !== undefined && decodeCheckpoint(now).id === diverged?.theirs;
    return {
      latest: newest && decodeCertificate(newest),
      own,
      diverged: isMended ? undefined : diverged,
      evidence: evidence.length,
    };
  }

  own(slot: CheckpointSlot): Checkpoint | undefined {
    const row = this.#store.get(storeKeys.ownCheckpoint(slot));
    return row && decodeCheckpoint(row);
  }

  certificate(slot: CheckpointSlot): Certificate | undefined {
    const row = this.#store.get(storeKeys.certificate(slot));
    return row && decodeCertificate(row);
  }

  /** Certificates that cover the final event `seq`, or begin after `size = seq - 1`, ascending. */
  async certificatesFrom(seq: number, limit: number): Promise<Certificate[]> {
    const range = { gte: storeKeys.certificatesFrom(seq), lt: prefixRange('h/cert/').lt, limit };
    return (await rows(this.#store, range)).map(decodeCertificate);
  }

  /** The certificate of exactly this size; a chained one before an idle one. */
  async certificateAt(size: number): Promise<Certificate | undefined> {
    const found = await this.certificatesFrom(size, 4);
    const fitting = found.filter(({ checkpoint }) => checkpoint.size === size);
    return fitting.find(({ checkpoint }) => checkpoint.cut !== 'idle') ?? fitting[0];
  }

  /** The certificate with which an epoch ended. */
  endOf(epoch: number): Certificate | undefined {
    const size = this.endSize(epoch);
    return size === undefined ? undefined : this.certificate({ epoch, size, cut: 'epoch' });
  }

  /** How many events are final at the end of an epoch, once that is certified. */
  endSize(epoch: number): number | undefined {
    const row = this.#store.get(storeKeys.epochEnd(epoch));
    return row && decodeNumber(row);
  }

  /** Whether an epoch has its certified end here. */
  isClosed(epoch: number): boolean {
    return this.endSize(epoch) !== undefined;
  }

  /**
   * The committee of a later epoch, once the one before it has ended here; it has its base once
   * that end is certified.
   */
  committee(epoch: number): Committee | undefined {
    const known = this.#committees.get(epoch);
    if (known) return known;
    const row = this.#store.get(storeKeys.committee(epoch));
    if (!row) return undefined;
    const base = this.endOf(epoch - 1)?.checkpoint.id;
    const found = new Committee(epoch, decodeValidators(decode(row)), base);
    if (base === undefined) return found;
    if (this.#committees.size >= COMMITTEES_MAX) this.#committees.clear();
    this.#committees.set(epoch, found);
    return found;
  }

  /**
   * Keeps a certificate; an idle one is kept until a larger one covers what it covers. The first
   * end of an epoch stays, and drops what its committee certified beyond it. Returns false where
   * nothing is kept: the epoch has its end, or an idle one is covered already.
   */
  async keep(certificate: Certificate): Promise<boolean> {
    const { checkpoint, bytes } = certificate;
    const { epoch, size, cut } = checkpoint;
    const isEnd = cut === 'epoch';
    const isLater = this.#isLater(checkpoint);
    if (isEnd && this.endSize(epoch) !== undefined) return false;
    if (cut === 'idle' && !isLater) return false;
    const key = storeKeys.certificate(checkpoint);
    const ops: StoreOp[] = [{ type: 'put', key, value: bytes }];
    if (isEnd) {
      ops.push({ type: 'put', key: storeKeys.epochEnd(epoch), value: encodeNumber(size) });
      ops.push(...(await this.#beyond(checkpoint)));
    }
    let idle = this.#idle;
    if (idle && (idle.size < size || (isEnd && idle.epoch <= epoch))) {
      ops.push({ type: 'del', key: storeKeys.certificate(idle) });
      idle = undefined;
    }
    await this.#store.write(ops, { sync: false });
    this.#idle = cut === 'idle' ? checkpoint : idle;
    if (isLater) this.#latest = certificate;
    return true;
  }

  /** What the committee certified beyond the end of its epoch. */
  async #beyond({ epoch, size }: Checkpoint): Promise<StoreOp[]> {
    const found = await this.certificatesFrom(size + 1, BEYOND_MAX);
    return found
      .filter(({ checkpoint }) => checkpoint.epoch <= epoch)
      .map(({ checkpoint }) => ({ type: 'del', key: storeKeys.certificate(checkpoint) }));
  }

  /**
   * Claims the slot for this checkpoint, synced, before it is signed. Returns the id that was
   * claimed before, if it is another.
   */
  async claim(checkpoint: Checkpoint): Promise<Id | undefined> {
    const key = storeKeys.signedCheckpoint(checkpoint);
    const before = this.#store.get(key)?.toHex();
    if (before !== undefined) return before === checkpoint.id ? undefined : before;
    await this.#store.write([{ type: 'put', key, value: bytesOf(checkpoint.id) }], { sync: true });
    return undefined;
  }

  /** Keeps votes as evidence, with the mark of a divergence; synced. */
  async accuse(votes: readonly Vote[], divergence?: Divergence): Promise<void> {
    const ops: StoreOp[] = [];
    for (const vote of votes) {
      if (this.#evidence >= EVIDENCE_MAX && !divergence) break;
      this.#evidence += 1;
      const { checkpoint, author } = vote;
      const key = storeKeys.evidence(checkpoint, checkpoint.id, author);
      ops.push({ type: 'put', key, value: encodeVote(vote) });
    }
    if (divergence) {
      ops.push({ type: 'put', key: storeKeys.diverged, value: encode({ ...divergence }) });
    }
    if (ops.length > 0) await this.#store.write(ops, { sync: true });
  }
}

async function rows(
  store: BlockStore,
  range: Parameters<BlockStore['range']>[0],
): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  for await (const [, value] of store.range(range)) found.push(value);
  return found;
}
