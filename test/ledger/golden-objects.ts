import { encodeBlock, sealBlock } from '#ledger/block.ts';
import type { Draft } from '#ledger/block.ts';
import { encodeCommit } from '#ledger/commit.ts';
import { toBeSigned } from '#ledger/cose.ts';
import { encodeEvent, entryOf } from '#ledger/event.ts';
import type { Event } from '#ledger/event.ts';
import { Fold } from '#ledger/fold.ts';
import { finalLeaf } from '#ledger/log-tree.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import { makeCommit } from '#ledger/commit.ts';
import { leafHash, rootOf } from '#ledger/merkle.ts';
import { leaderSchedule } from '#ledger/leaders.ts';
import type { Signer } from '#ledger/ports.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { genesisBeforeEpochs, schemaBeforeEpochs as schema } from '#test/support/members-1.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** What `golden.json` holds: bytes in base64, ids and hashes in hex, signatures made once. */
export interface Golden {
  readonly comment: string;
  readonly signatures: Readonly<Record<'event' | 'block', string>>;
  readonly values: Readonly<Record<string, string | number | readonly (string | number)[]>>;
}

export const net = seededNet(4, 1, 'golden', genesisBeforeEpochs);
export const [author, other] = net.validators as [
  (typeof net.validators)[number],
  (typeof net.validators)[number],
];
export const operator = net.operators[0] as (typeof net.operators)[number];
const { chain } = net;
const { committee } = chain;

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const fromBase64 = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text, 'base64'));

/** All optional fields. The signing key is another than the inception key. */
export const fullEvent: Event = {
  chain: chain.id,
  actor: operator.actor,
  key: other.actor,
  onBehalfOf: 'spiffe://example.org/ns/x/sa/y',
  lane: 65_535,
  seq: Number.MAX_SAFE_INTEGER,
  kind: 'kv.put/1',
  body: { key: 'käse', value: Uint8Array.of(0, 1, 254, 255), type: 'text/plain', ifSeq: 0 },
  hlc: [2 ** 48 - 1, 65_535],
  notAfter_ms: CREATED_MS + 1,
  deps: ['00'.repeat(32), 'ff'.repeat(32)],
};

export const signedEvent: Event = {
  chain: chain.id,
  actor: operator.actor,
  onBehalfOf: author.actor,
  lane: 1,
  seq: 7,
  kind: 'kv.put/1',
  body: { key: 'a', value: Uint8Array.of(1) },
  hlc: [CREATED_MS, 3],
};

export const bareEvent: Event = {
  chain: chain.id,
  actor: author.actor,
  lane: 0,
  seq: 0,
  kind: 'kv.delete/1',
  body: { key: 'a' },
  hlc: [CREATED_MS, 0],
};

export const draft: Draft = {
  chain: chain.id,
  epoch: 0,
  committee: committee.id,
  round: 1,
  author: 0,
  ts_ms: CREATED_MS + 5,
  parents: [0, 1, 2, 3].map((one) => ({
    round: 0,
    author: one,
    id: genesisBlockId(chain.id, committee, one),
  })),
  vote: { index: 3, id: 'cd'.repeat(32) },
};

/** A signer that gives the stored signature: signatures are randomised, so a fresh one differs. */
function replaying(signature: Uint8Array): Signer {
  return { ...author.signer, sign: () => Promise.resolve(signature) };
}

/** Every value but the signatures, which go into what holds them. */
export async function goldenValues(
  signatures: Readonly<Record<'event' | 'block', Uint8Array>>,
): Promise<Golden['values']> {
  const { sign1Of } = await import('#ledger/cose.ts');
  const signed = entryOf(signedEvent, sign1Of(signatures.event));
  const bare = entryOf(bareEvent);
  const keys = [operator.coseKey];
  const block = await sealBlock(draft, [signed, bare], keys, replaying(signatures.block));
  const { vote: _vote, ...without } = draft;
  const plain = await sealBlock(without, [], [], replaying(signatures.block));
  const commitParts = {
    index: 1,
    epoch: 0,
    previous: chain.id,
    leader: { ...block.ref, round: 2 },
    blocks: [block.ref, { ...block.ref, round: 2 }],
    ts_ms: CREATED_MS + 9,
  };
  const commit = makeCommit(commitParts);
  const fold = new Fold(new MemoryStore(), chain.genesis, schema);
  const atStart = fold.summary();
  fold.apply(commit, [block]);
  const after = fold.summary();
  const leader = leaderSchedule(chain.id, committee);
  const leaves = Array.from({ length: 9 }, (_, i) => leafHash(Uint8Array.from({ length: i })));
  return {
    genesis: base64(chain.genesisBytes),
    chainId: chain.id,
    committeeId: committee.id,
    coseKey: base64(author.coseKey),
    actor: author.actor,
    genesisBlocks: [0, 1, 2, 3].map((one) => genesisBlockId(chain.id, committee, one)),
    eventWithAll: base64(encodeEvent(fullEvent)),
    eventWithAllId: entryOf(fullEvent).id,
    signedEntry: base64(signed.bytes),
    signedEntryId: signed.id,
    bareEntry: base64(bare.bytes),
    bareEntryId: bare.id,
    eventToBeSigned: base64(toBeSigned('event', signed.eventBytes)),
    shortToBeSigned: base64(toBeSigned('hello', Uint8Array.of(0x80))),
    emptyToBeSigned: base64(toBeSigned('rotation', new Uint8Array(0))),
    header: base64(block.headerBytes),
    blockId: block.ref.id,
    sealedBlock: base64(encodeBlock(block)),
    emptyBlockHeader: base64(plain.headerBytes),
    emptyBlockId: plain.ref.id,
    commit: base64(encodeCommit(commitParts)),
    commitId: commit.id,
    finalLeaf: Buffer.from(finalLeaf('ab'.repeat(32), 256)).toString('hex'),
    roots: Array.from({ length: 10 }, (_, n) =>
      Buffer.from(rootOf(leaves.slice(0, n))).toString('hex'),
    ),
    leaders: Array.from({ length: 16 }, (_, round) => leader(round)),
    stateAtStart: atStart.stateRoot,
    stateAfter: after.stateRoot,
    logAfter: after.logRoot,
    sizeAfter: after.size,
  };
}
