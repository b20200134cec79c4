import { isMainThread, parentPort, workerData, Worker } from 'node:worker_threads';
import { signStatement, submissionOf } from '#governance/participant.ts';
import { coseKeyOf, keyId } from '#ledger/cose.ts';
import type { Id } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';

/** Load that is signed before it is sent, by many actors, on both cores. */

/** Makes keys; secrets stay in this process and its workers. */
export interface LoadActor {
  readonly actor: Id;
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

export async function makeActors(count: number): Promise<readonly LoadActor[]> {
  const actors: LoadActor[] = [];
  for (let i = 0; i < count; i++) {
    const pair = await generateKeyPair();
    actors.push({ actor: keyId(coseKeyOf(pair.publicKey)), ...pair });
  }
  return actors;
}

/** One submission as the API takes it, `[entry, COSE_Key]`, and the event's id. */
export interface Signed {
  readonly id: Id;
  readonly body: Uint8Array;
}

interface Job {
  readonly chain: Id;
  readonly actors: readonly LoadActor[];
  /** Sequence number of the first event of every actor. */
  readonly firstSeq: number;
  readonly perActor: number;
  readonly valueBytes: number;
}

/** Makes an event of about 200 bytes. */
export const VALUE_BYTES = 32;

/**
 * Signs `count` events in turn of their actors, each about 200 bytes long without its signature.
 */
export async function presign(
  chain: Id,
  actors: readonly LoadActor[],
  count: number,
  firstSeq: number,
): Promise<readonly Signed[]> {
  const perActor = Math.ceil(count / actors.length);
  const half = Math.ceil(actors.length / 2);
  const parts = [actors.slice(0, half), actors.slice(half)].filter(({ length }) => length > 0);
  const signed = await Promise.all(
    parts.map((part) =>
      inWorker({ chain, actors: part, firstSeq, perActor, valueBytes: VALUE_BYTES }),
    ),
  );
  // actors alternate, so that every node gets all of them
  const lists = signed.flat();
  const mixed: Signed[] = [];
  for (let i = 0; i < perActor; i++) for (const list of lists) mixed.push(list[i] as Signed);
  return mixed.slice(0, count);
}

function inWorker(job: Job): Promise<readonly (readonly Signed[])[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: job });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

async function signAll({
  chain,
  actors,
  firstSeq,
  perActor,
  valueBytes,
}: Job): Promise<Signed[][]> {
  const engine = await loadEngine('liboqs');
  const lists: Signed[][] = [];
  for (const { actor, publicKey, secretKey } of actors) {
    const signer = engine.createSigner(secretKey, publicKey);
    const coseKey = coseKeyOf(publicKey);
    const list: Signed[] = [];
    for (let i = 0; i < perActor; i++) {
      const seq = firstSeq + i;
      const entry = await signStatement(
        { actor, coseKey, signer },
        {
          chain,
          lane: 0,
          seq,
          kind: 'kv.put/1',
          body: {
            key: `${actor.slice(0, 6)}/${seq % 100}`,
            value: new Uint8Array(valueBytes).fill(seq & 255),
          },
          wall_ms: Date.now(),
        },
      );
      list.push({ id: entry.id, body: submissionOf(entry, coseKey) });
    }
    signer.close();
    lists.push(list);
  }
  return lists;
}

if (!isMainThread) parentPort?.postMessage(await signAll(workerData as Job));
