import { encodeVote, signCheckpoint } from '#ledger/certificate.ts';
import type { Certificate, Signed, Vote } from '#ledger/certificate.ts';
import { makeCheckpoint } from '#ledger/checkpoint.ts';
import type { Checkpoint, CheckpointParts } from '#ledger/checkpoint.ts';
import { encode } from '#ledger/codec.ts';
import type { Habit } from './habits.ts';
import type { Treason } from './treason.ts';

/** Votes and certificates that no honest validator makes. */

/** What false checkpoints say: the same for all traitors, so that they agree when they lie. */
const LIES: readonly Partial<CheckpointParts>[] = [
  { state: 'ee'.repeat(32) },
  { root: 'dd'.repeat(32) },
  { commit: { index: 1, id: 'cc'.repeat(32) } },
  { prev: 'bb'.repeat(32) },
  { ts_ms: 1 },
];
const FLOOD = 60;
/** Who gossips what is no vote is banned for it, and then nobody hears its other lies. */
const FORGED_SHARE = 0.04;

/** Checkpoints that others vote on now, or will: of the slots that matter. */
function real({ core }: Treason): Checkpoint[] {
  const { certifier, replica, chain } = core;
  const { size, logRoot: root, stateRoot: state } = replica.fold.summary();
  const { index, id, ts_ms } = replica.orderer.state.last;
  const found = [certifier.uncertified, certifier.latest?.checkpoint].filter((one) => !!one);
  if (size === 0) return found;
  const { epoch } = replica.committee;
  const parts = { chain: chain.id, epoch, size, root, state, commit: { index, id }, ts_ms };
  const prev = certifier.latest?.checkpoint.prev ?? chain.id;
  return [...found, makeCheckpoint({ ...parts, cut: 'idle', prev })];
}

function oneOf(treason: Treason): Checkpoint | undefined {
  const found = real(treason);
  return found.length > 0 ? treason.random.pick(found) : undefined;
}

function lie(treason: Treason, checkpoint: Checkpoint): Checkpoint {
  return makeCheckpoint({ ...checkpoint, ...treason.random.pick(LIES) });
}

function signed({ author, who }: Treason, checkpoint: Checkpoint): Promise<Vote> {
  return signCheckpoint(checkpoint, author, who.signer);
}

function tell({ network }: Treason, votes: readonly Vote[], peers: readonly string[]): void {
  for (const vote of votes) network.tell(peers, 'checkpoint', encodeVote(vote));
}

type Trick = (treason: Treason, checkpoint: Checkpoint) => Promise<void>;

const VALID: readonly Trick[] = [
  /** For a false log or state. */
  async (treason, checkpoint) => {
    tell(treason, [await signed(treason, lie(treason, checkpoint))], treason.peers());
  },
  /** The true one to some and a false one to the others. */
  async (treason, checkpoint) => {
    const peers = treason.peers();
    const some = treason.random.some(peers, peers.length >> 1);
    tell(treason, [await signed(treason, checkpoint)], some);
    const others = peers.filter((peer) => !some.includes(peer));
    tell(treason, [await signed(treason, lie(treason, checkpoint))], others);
  },
  /** For sizes that do not exist, or long past ones. */
  async (treason, checkpoint) => {
    const size = treason.random.pick([1, checkpoint.size + 1, checkpoint.size + 50_000, 2 ** 40]);
    const cut = treason.random.pick(['idle', 'periodic'] as const);
    const { nextCommittee: _none, ...parts } = checkpoint;
    const nowhere = makeCheckpoint({ ...parts, size, cut });
    tell(treason, [await signed(treason, nowhere)], treason.peers());
  },
  /** For an end of this epoch that nobody decided, and for epochs that there are not. */
  async (treason, checkpoint) => {
    const epoch = checkpoint.epoch + treason.random.pick([0, 0, 1, 9000]);
    const nextCommittee = 'aa'.repeat(32);
    const end = makeCheckpoint({ ...checkpoint, epoch, cut: 'epoch', nextCommittee });
    tell(treason, [await signed(treason, end)], treason.peers());
  },
  /** More than anybody keeps. */
  async (treason, checkpoint) => {
    const { nextCommittee: _none, ...parts } = checkpoint;
    for (let i = 0; i < FLOOD; i++) {
      const size = checkpoint.size + treason.random.below(2 * FLOOD);
      const flood = makeCheckpoint({ ...parts, size, cut: 'idle', ts_ms: i });
      tell(treason, [await signed(treason, flood)], treason.peers());
    }
  },
  /** What others signed, again. */
  (treason) => {
    tell(treason, treason.core.certifier.votesToGive(128), treason.peers());
    return Promise.resolve();
  },
];

const INVALID: readonly Trick[] = [
  /** In the names of all validators, and of one that there is not. */
  async (treason, checkpoint) => {
    const vote = await signed(treason, lie(treason, checkpoint));
    const authors = Array.from({ length: treason.committee.size + 1 }, (_, author) => author);
    tell(treason, authors.map((author) => ({ ...vote, author })), treason.peers());
  },
  async (treason, checkpoint) => {
    const foreign = makeCheckpoint({ ...checkpoint, chain: 'ab'.repeat(32) });
    tell(treason, [await signed(treason, foreign)], treason.peers());
  },
  /** No vote at all. */
  (treason, checkpoint) => {
    treason.network.tell(treason.peers(), 'checkpoint', checkpoint.bytes);
    return Promise.resolve();
  },
];

export const forgedVotes: Habit = {
  async tick(treason) {
    const checkpoint = oneOf(treason);
    if (!checkpoint) return;
    const tricks = treason.random.chance(FORGED_SHARE) ? INVALID : VALID;
    await treason.random.pick(tricks)(treason, checkpoint);
  },
  answer(treason, protocol) {
    if (protocol !== 'checkpoints' || treason.random.chance(0.85)) return undefined;
    return votesOf(treason);
  },
};

async function* votesOf(treason: Treason): AsyncGenerator<Uint8Array> {
  for (const checkpoint of real(treason)) {
    yield encodeVote(await signed(treason, lie(treason, checkpoint)));
  }
}

function certificate(checkpoint: Checkpoint, signatures: readonly Signed[]): Uint8Array {
  return encode({
    t: 'certificate',
    v: 1,
    checkpoint: checkpoint.bytes,
    signatures: signatures.map(({ author, sign1 }) => [author, sign1]),
  });
}

type Forge = (treason: Treason, own: Vote, held: Certificate | undefined) => Uint8Array;

/** The same signer as often as it takes. */
const signerTwice: Forge = ({ committee }, own) =>
  certificate(
    own.checkpoint,
    many(committee.quorum, () => own),
  );

/** How a certificate of something false, or of something true, can be no certificate. */
const CERTIFICATES: readonly Forge[] = [
  /** Too few signatures. */
  (_treason, own) => certificate(own.checkpoint, [own]),
  (_treason, own, held) =>
    held ? certificate(held.checkpoint, held.signatures.slice(1)) : certificate(own.checkpoint, []),
  /** In the names of all, signed by one. */
  ({ committee }, own) =>
    certificate(own.checkpoint, many(committee.quorum, (author) => ({ ...own, author }))),
  /** By some that sit in no committee. */
  ({ committee: { quorum, size } }, own) =>
    certificate(
      own.checkpoint,
      many(quorum, (i) => ({ ...own, author: i === 0 ? own.author : size + i })),
    ),
  /** Signatures for something else. */
  (_treason, own, held) => certificate(own.checkpoint, held?.signatures ?? [own]),
  /** One signature more than it takes: it would have two forms. */
  (_treason, own, held) => {
    const last = held?.signatures.at(-1) ?? own;
    const more = { ...last, author: last.author + 1 };
    return certificate(held?.checkpoint ?? own.checkpoint, [...(held?.signatures ?? []), more]);
  },
  (_treason, own, held) =>
    certificate(held?.checkpoint ?? own.checkpoint, held?.signatures.toReversed() ?? []),
];

function many(count: number, of: (index: number) => Signed): Signed[] {
  return Array.from({ length: count }, (_, index) => of(index));
}

async function forged(treason: Treason): Promise<Uint8Array | undefined> {
  const checkpoint = oneOf(treason);
  if (!checkpoint) return undefined;
  const own = await signed(treason, lie(treason, checkpoint));
  // hardly anything but a signer that counts twice would pass where signatures are verified
  const trick = treason.random.pick([signerTwice, treason.random.pick(CERTIFICATES)]);
  return trick(treason, own, treason.core.certifier.latest);
}

async function* certificates(treason: Treason): AsyncGenerator<Uint8Array> {
  if (treason.random.chance(0.1)) yield encode(['nonsense']);
  const bytes = await forged(treason);
  if (bytes) yield bytes;
}

export const forgedCertificates: Habit = {
  /** Gossip takes votes only. */
  async tick(treason) {
    if (!treason.random.chance(FORGED_SHARE)) return;
    const bytes = await forged(treason);
    if (bytes) treason.network.tell(treason.peers(), 'checkpoint', bytes);
  },
  answer(treason, protocol) {
    if (protocol !== 'checkpoints' || treason.random.chance(0.1)) return undefined;
    return treason.random.chance(0.1) ? nothing() : certificates(treason);
  },
};

async function* nothing(): AsyncGenerator<Uint8Array> {}
