import { Committee } from '#ledger/committee.ts';
import type { Validator } from '#ledger/committee.ts';
import { openChain } from '#ledger/chain.ts';
import type { Chain } from '#ledger/chain.ts';
import { coseKeyOf, keyId } from '#ledger/cose.ts';
import { Core } from '#ledger/core.ts';
import type { CoreConfig } from '#ledger/core.ts';
import { encodeGenesis } from '#ledger/genesis.ts';
import type { BlockStore, Clock, Id, Log, Network, Signer, Verifier } from '#ledger/ports.ts';
import type { Self } from '#ledger/held-keys.ts';
import { loadEngine } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';
import { DEFAULT_CONFIG } from '#node/config.ts';
import { systemEntropy } from '#node/system.ts';
import { schemaFor } from '#node/schema.ts';
import { genesisSchema } from '#projections/index.ts';

/** Networks for tests: keys, a genesis with fixed times, and the chain that follows. */

/** An actor with a real ML-DSA-65 key. */
export interface TestActor {
  readonly actor: Id;
  readonly coseKey: Uint8Array;
  readonly signer: Signer;
}

export async function makeActor(): Promise<TestActor> {
  const { publicKey, secretKey } = await generateKeyPair();
  const coseKey = coseKeyOf(publicKey);
  const engine = await loadEngine('liboqs');
  return { actor: keyId(coseKey), coseKey, signer: engine.createSigner(secretKey, publicKey) };
}

export interface TestNet {
  readonly chain: Chain;
  readonly validators: readonly TestActor[];
  readonly operators: readonly TestActor[];
}

/** 2026-01-01T00:00:00Z. */
export const CREATED_MS = 1_767_225_600_000;

/**
 * A network of `validators` and `operators` with fresh keys; peers are named `peer-0` and so on.
 */
export async function makeNet(validators: number, operators = 1, name = 'test'): Promise<TestNet> {
  const actors = await Promise.all(Array.from({ length: validators + operators }, makeActor));
  const seats = actors.slice(0, validators);
  const committee: Validator[] = seats.map(({ actor, coseKey }, i) => ({
    actor,
    coseKey,
    peer: `peer-${i}`,
    stake: 1,
  }));
  const genesis = encodeGenesis({
    name,
    committee,
    operators: actors.slice(validators).map(({ actor }) => actor),
    created_ms: CREATED_MS,
    ...genesisSchema(),
    policy: 'members/1',
    salt: new Uint8Array(32).fill(7),
  });
  const chain = openChain(genesis);
  return {
    chain: { ...chain, committee: new Committee(0, committee) },
    validators: seats,
    operators: actors.slice(validators),
  };
}

/** A log that keeps nothing. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

function nothing(): void {}

/** The actor as a node of the network. */
export function selfOf(_net: TestNet, { actor, coseKey, signer }: TestActor): Self {
  return { actor, coseKey, signer };
}

/** Verifies in the calling thread, at once. */
export async function directVerifier(): Promise<Verifier> {
  const engine = await loadEngine('liboqs');
  return {
    engine: engine.engine,
    verify: (jobs) => Promise.resolve(jobs.map((job) => engine.verify(job))),
    close: () => Promise.resolve(),
  };
}

/** A core with the defaults of a node, attached to `network` but not started. */
export async function openCore(
  net: TestNet,
  actor: TestActor,
  ports: { network: Network; store: BlockStore; clock: Clock; verifier?: Verifier; log?: Log },
  config: Partial<CoreConfig> = {},
): Promise<Core> {
  const { network, store, clock } = ports;
  const verifier = ports.verifier ?? (await directVerifier());
  const all = {
    network,
    store,
    clock,
    verifier,
    entropy: systemEntropy,
    log: ports.log ?? silentLog,
  };
  const core = await Core.open(
    net.chain,
    schemaFor(net.chain.genesis),
    selfOf(net, actor),
    { ...DEFAULT_CONFIG, ...config },
    all,
  );
  core.attach();
  return core;
}
