import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { openChain } from '#ledger/chain.ts';
import type { Chain } from '#ledger/chain.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Validator } from '#ledger/committee.ts';
import { MEMBERS_POLICY, encodeGenesis } from '#ledger/genesis.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { equalBytes, textOf } from '#ledger/ids.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { BlockStore, Id, StoreOp } from '#ledger/ports.ts';
import { generatePeerKey, peerNameOf } from '#p2p/index.ts';
import { genesisSchema } from '#projections/index.ts';
import { ensureTokens } from '#node/auth/tokens.ts';
import { claimedText, notedStarts } from './claimed-file.ts';
import { checkConfig } from './config-check.ts';
import type { PartialConfig } from './config.ts';
import { dataPaths, isInitialised } from './data-paths.ts';
import { assertNotRebuilding } from './rebuild.ts';
import { createKeyFile, readKeyFile } from './keys.ts';
import type { ActorKey } from './keys.ts';
import { Keyring, keyFilesIn } from './keyring.ts';
import { isSealedFile, readSecret, writeNewSecret } from './private-file.ts';
import { replaceFile, writeNewFile } from './private-file.ts';
import type { PassphraseSource } from './passphrase.ts';
import { systemEntropy } from './system.ts';

export { dataPaths, isInitialised } from './data-paths.ts';

/** The format of the store; raised when an older program could not read it any more. */
const FORMAT = 1;

/** A node's own keys, as a new data directory gets them. */
export interface NodeKeys extends ActorKey {
  readonly peerKey: Uint8Array;
  /** The libp2p peer id. */
  readonly peer: string;
}

/** What a data directory holds beside the store. */
export interface DataDir extends NodeKeys {
  readonly chain: Chain;
  readonly config: PartialConfig;
  /** The node's further keys. */
  readonly keyring: Keyring;
  /** Whether its keys are encrypted on the disk. */
  readonly isSealed: boolean;
}

/**
 * Makes a node's keys in a new directory, encrypted where a passphrase is given; throws `not_empty`
 * where something is there.
 */
export async function createNodeKeys(
  directory: string,
  passphrase?: PassphraseSource,
): Promise<NodeKeys> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await readdir(directory)).length > 0) {
    fail('not_empty', 'The directory is not empty: choose another.', { directory });
  }
  const paths = dataPaths(directory);
  const key = await createKeyFile(paths.key, passphrase);
  const peerKey = await generatePeerKey();
  await writeNewSecret(paths.peerKey, peerKey, passphrase);
  return { ...key, peerKey, peer: peerNameOf(peerKey) };
}

type Active = Pick<Genesis, 'kinds' | 'projections' | 'policy'>;
const WITHOUT_POLICIES: Active = { ...genesisSchema(), policy: MEMBERS_POLICY };

/**
 * The genesis object of a new network. `active`: what runs in it; `newGenesisSchema` of `schema.ts`
 * has policies on the ledger.
 */
export function makeGenesis(
  name: string,
  validators: readonly NodeKeys[],
  operators: readonly Id[],
  now_ms: number,
  active: Active = WITHOUT_POLICIES,
): Uint8Array {
  const committee: Validator[] = validators.map(({ actor, coseKey, peer }) => ({
    actor,
    coseKey,
    peer,
    stake: 1,
  }));
  return encodeGenesis({
    name,
    committee,
    operators,
    created_ms: now_ms,
    ...active,
    salt: systemEntropy.bytes(32),
  });
}

/** Completes a directory that has its keys with tokens: from then on a node can start in it. */
export async function finishDataDir(
  directory: string,
  genesis: Uint8Array,
  config: PartialConfig,
): Promise<void> {
  const paths = dataPaths(directory);
  const text = `${JSON.stringify(config, undefined, 2)}\n`;
  await writeFile(paths.config, text, { mode: 0o600, flush: true });
  await ensureTokens(directory, systemEntropy);
  await writeNewFile(paths.genesis, genesis);
}

/**
 * Reads what is beside the store; throws `not_initialised`, `config_malformed`, `config_invalid`
 * and the codes of the files.
 */
export async function readDataDir(
  directory: string,
  passphrase?: PassphraseSource,
): Promise<DataDir> {
  const paths = dataPaths(directory);
  if (!isInitialised(directory)) {
    fail(
      'not_initialised',
      'There is no node here: run `npx x0t init`, or name its directory with --data.',
      { directory },
    );
  }
  const chain = openChain(await readFile(paths.genesis));
  const config = await readConfig(paths.config);
  const key = await readKeyFile(paths.key, config.crypto?.engine, passphrase);
  const peerKey = await readSecret(paths.peerKey, passphrase);
  const { actor } = key;
  const keyring = new Keyring(paths.keys, actor, config.crypto?.engine, passphrase);
  await keyring.refresh();
  const files = [paths.key, paths.peerKey, ...(await keyFilesIn(paths.keys))];
  // what cannot be read shows nothing to anybody
  const areSealed = await Promise.all(files.map((file) => isSealedFile(file).catch(() => true)));
  const isSealed = !areSealed.includes(false);
  return { ...key, peerKey, peer: peerNameOf(peerKey), chain, config, keyring, isSealed };
}

async function readConfig(file: string): Promise<PartialConfig> {
  if (!existsSync(file)) return {};
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new X0tError(
      'config_malformed',
      'config.json is no JSON: mend it or remove it.',
      { file },
      { cause },
    );
  }
  return checkConfig(value, file);
}

/** How often a node was started on this store; the file beside it holds the same or one less. */
const STARTS = 'a/starts';

/**
 * Claims the store for a node that is about to run. Returns false when a store was here before and
 * is gone, or was set back to a copy from before its last start: a validator must not seal then,
 * since it cannot know what it has signed (consensus.md 2.12); that is remembered in the store.
 * Throws what `claimStore` throws, and `rebuild_interrupted`.
 */
export async function claimForRunning(
  store: BlockStore,
  chain: Chain,
  claimed: string,
): Promise<boolean> {
  assertNotRebuilding(store);
  const isNew = store.get(storeKeys.format) === undefined;
  await claimStore(store, chain, isNew && existsSync(claimed));
  const noted = await notedStarts(claimed);
  const starts = Number(new TextDecoder().decode(store.get(STARTS)) || 0);
  const now = Math.max(noted, starts) + 1;
  const ops: StoreOp[] = [
    { type: 'put', key: STARTS, value: new TextEncoder().encode(`${now}`) },
  ];
  if (starts < noted) ops.push({ type: 'put', key: storeKeys.lost, value: Uint8Array.of(1) });
  // the store first: a crash between the two must not make it look old
  await store.write(ops, { sync: true });
  await replaceFile(claimed, claimedText(now));
  return store.get(storeKeys.lost) === undefined;
}

/**
 * Marks a fresh store with its format and network (`isLost`: and that it replaces one), or checks
 * the marks. Throws `data_dir_newer`,
 * `data_dir_other_network` or `store_corrupt`.
 */
export async function claimStore(store: BlockStore, chain: Chain, isLost = false): Promise<void> {
  const format = store.get(storeKeys.format);
  if (!format) {
    for await (const [key] of store.range({ gte: '', lt: '~', limit: 1 })) {
      fail('store_corrupt', 'The store has lost its mark: take a copy from a peer.', { key });
    }
    const marks: StoreOp[] = [
      { type: 'put', key: storeKeys.format, value: Uint8Array.of(FORMAT) },
      { type: 'put', key: storeKeys.genesis, value: chain.genesisBytes },
    ];
    if (isLost) marks.push({ type: 'put', key: storeKeys.lost, value: Uint8Array.of(1) });
    await store.write(marks, { sync: true });
    return;
  }
  if ((format[0] ?? 0) > FORMAT) {
    fail('data_dir_newer', 'A newer program wrote this store: use that one.', {
      format: format[0] ?? 0,
      known: FORMAT,
    });
  }
  const genesis = store.get(storeKeys.genesis);
  if (!genesis) fail('store_corrupt', 'The store has lost its genesis: take a copy from a peer.');
  if (!equalBytes(genesis, chain.genesisBytes)) {
    fail('data_dir_other_network', 'The store belongs to another network than genesis.cbor.', {
      chain: textOf(chain.id),
    });
  }
}
