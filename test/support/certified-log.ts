import { encodeVote, signCheckpoint } from '#ledger/certificate.ts';
import { Certifier } from '#ledger/certifier.ts';
import { CheckpointStore } from '#ledger/checkpoint-store.ts';
import type { Entry } from '#ledger/event.ts';
import { Fold } from '#ledger/fold.ts';
import type { Verifier } from '#ledger/ports.ts';
import { ReceiptMaker } from '#ledger/receipt-maker.ts';
import { schema } from '#projections/index.ts';
import { ChainBuilder } from './chain-builder.ts';
import { silentLog } from './cluster.ts';
import type { TestActor, TestNet } from './cluster.ts';
import type { MemoryStore } from './memory-store.ts';
import { VirtualClock } from './virtual-clock.ts';

/** A log whose end is certified, in a store in memory, as an observer's node would hold it. */
export interface CertifiedLog {
  readonly net: TestNet;
  readonly store: MemoryStore;
  readonly certifier: Certifier;
  readonly maker: ReceiptMaker;
  /** Every entry that was put into a block. */
  readonly entries: readonly Entry[];
}

/** A certifier on a store that belongs to nobody in the committee. */
export async function observerCertifier(
  net: TestNet,
  store: MemoryStore,
  verifier: Pick<Verifier, 'verify'>,
): Promise<Certifier> {
  const clock = new VirtualClock(0);
  const self = net.operators[0] as TestActor;
  const host = { publish: nothing, haltFinality: nothing, mayVote: () => false };
  const held = await CheckpointStore.read(store);
  return new Certifier(net.chain, self, { clock, store, verifier, log: silentLog }, host, held);
}

/** `rounds` rounds with `perBlock` events in each block: signed ones of operators and bare ones. */
export async function certifiedLog(
  net: TestNet,
  rounds: number,
  perBlock: number,
  verifier: Pick<Verifier, 'verify'>,
): Promise<CertifiedLog> {
  const builder = await ChainBuilder.start(net);
  const entries: Entry[] = [];
  let seq = 0;
  for (let round = 0; round < rounds; round++) {
    const payloads: Entry[][] = [];
    for (const validator of net.validators) {
      const payload: Entry[] = [];
      for (let i = 0; i < perBlock; i++) {
        const operator = net.operators[seq % net.operators.length] as TestActor;
        seq += 1;
        // every seventh is expired, every third rides in its author's block
        const change = seq % 7 === 0 ? { notAfter_ms: 1 } : {};
        payload.push(
          seq % 3 === 0
            ? builder.bareEvent(validator, seq, change)
            : await builder.event(operator, seq, change),
        );
      }
      payloads.push(payload);
      entries.push(...payload);
    }
    await builder.addRound((author) => payloads[author] ?? []);
  }
  for (let round = 0; round < 5; round++) await builder.addRound();
  const { store } = builder;
  const fold = new Fold(store, net.chain.genesis, schema);
  await store.write(fold.cutIdle());
  const certifier = await observerCertifier(net, store, verifier);
  const { own } = await CheckpointStore.read(store);
  for (const checkpoint of own) {
    for (const author of [3, 1, 0]) {
      const { signer } = net.validators[author] as TestActor;
      await certifier.take(encodeVote(await signCheckpoint(checkpoint, author, signer)));
    }
  }
  const maker = new ReceiptMaker(net.chain.id, store, certifier);
  return { net, store, certifier, maker, entries };
}

function nothing(): void {}
