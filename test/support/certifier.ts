import { decodeVote } from '#ledger/certificate.ts';
import type { Vote } from '#ledger/certificate.ts';
import { Certifier } from '#ledger/certifier.ts';
import type { Chain } from '#ledger/chain.ts';
import { CheckpointStore } from '#ledger/checkpoint-store.ts';
import type { Checkpoint } from '#ledger/checkpoint.ts';
import type { Signer } from '#ledger/ports.ts';
import { directVerifier, silentLog } from './cluster.ts';
import type { TestActor } from './cluster.ts';
import { DurableStore } from './durable-store.ts';
import { VirtualClock } from './virtual-clock.ts';

/** A certifier by itself, and what it did. */
export interface MadeCertifier {
  readonly certifier: Certifier;
  readonly store: DurableStore;
  /** What it sent, as votes. */
  readonly sent: Vote[];
  readonly halts: number[];
  readonly signed: number[];
}

/** Makes certifiers that begin with these rows; `onSign` runs while a signature is made. */
export type CertifierMaker = (
  who: TestActor,
  rows?: Iterable<readonly [string, Uint8Array]>,
  onSign?: (store: DurableStore) => void,
) => Promise<MadeCertifier>;

export async function certifiersOf(chain: Chain): Promise<CertifierMaker> {
  const verifier = await directVerifier();
  return async (who, rows = [], onSign = () => undefined) => {
    const clock = new VirtualClock(0);
    const store = new DurableStore(clock, 0, rows);
    const made = {
      sent: [] as Vote[],
      halts: [] as number[],
      signed: [] as number[],
    };
    const signer: Signer = {
      ...who.signer,
      sign: (message) => {
        made.signed.push(message.length);
        onSign(store);
        return who.signer.sign(message);
      },
    };
    const certifier = new Certifier(
      chain,
      { actor: who.actor, coseKey: who.coseKey, signer },
      { clock, store, verifier, log: silentLog },
      {
        publish: (vote) => made.sent.push(decodeVote(vote)),
        haltFinality: () => made.halts.push(1),
        mayVote: () => true,
      },
      await CheckpointStore.read(store),
    );
    return { certifier, store, ...made };
  };
}

/** Hands a cut over and waits until it was worked on. */
export async function cut({ certifier }: MadeCertifier, checkpoint: Checkpoint): Promise<void> {
  certifier.cut([checkpoint]);
  await certifier.settled();
}
