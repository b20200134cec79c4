import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto';
import { openChain } from '#ledger/chain.ts';
import { coseKeyOf, keyId } from '#ledger/cose.ts';
import { encodeGenesis } from '#ledger/genesis.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { PUBLIC_KEY_BYTES } from '#ledger/limits.ts';
import { genesisSchema } from '#projections/index.ts';
import { CREATED_MS } from './cluster.ts';
import type { TestActor, TestNet } from './cluster.ts';

/** PKCS#8 with the `seed` choice of RFC 9881: 32 bytes follow. */
const SEED_PREFIX = Buffer.from('3034020100300b060960864801650304031204228020', 'hex');

/** The ML-DSA-65 actor of a name: the same keys in every run, so ids and leaders are the same. */
export function seededActor(name: string): TestActor {
  const der = Buffer.concat([SEED_PREFIX, hash('sha256', `x0t test key ${name}`, 'buffer')]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const publicKey = Uint8Array.from(spki.subarray(spki.length - PUBLIC_KEY_BYTES));
  const coseKey = coseKeyOf(publicKey);
  const signer = {
    engine: 'openssl, from a seed',
    publicKey,
    sign: (message: Uint8Array) => Promise.resolve(Uint8Array.from(sign(null, message, key))),
  };
  return { actor: keyId(coseKey), coseKey, signer };
}

/** What a genesis lists; with `policy` it is another one than `members/1`. */
export type ActiveSchema = ReturnType<typeof genesisSchema> & Partial<Pick<Genesis, 'policy'>>;

/** As `makeNet`, with keys and salt that follow from the names. */
export function seededNet(
  validators: number,
  operators = 1,
  name = 'test',
  schema: ActiveSchema = genesisSchema(),
): TestNet {
  const seats = Array.from({ length: validators }, (_, i) => seededActor(`${name} validator ${i}`));
  const others = Array.from({ length: operators }, (_, i) => seededActor(`${name} operator ${i}`));
  return netOf(seats, others, name, schema);
}

/** The network of these validators and operators; peers are named `peer-0` and so on. */
export function netOf(
  seats: readonly TestActor[],
  others: readonly TestActor[],
  name: string,
  schema: ActiveSchema = genesisSchema(),
): TestNet {
  const chain = openChain(
    encodeGenesis({
      name,
      committee: seats.map(({ actor, coseKey }, i) => ({
        actor,
        coseKey,
        peer: `peer-${i}`,
        stake: 1,
      })),
      operators: others.map(({ actor }) => actor),
      created_ms: CREATED_MS,
      policy: 'members/1',
      ...schema,
      salt: new Uint8Array(32).fill(7),
    }),
  );
  return { chain, validators: seats, operators: others };
}
