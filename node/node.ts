import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { Core } from '#ledger/core.ts';
import { X0tError, codeOf } from '#ledger/errors.ts';
import { textOf } from '#ledger/ids.ts';
import type { Self } from '#ledger/held-keys.ts';
import { loadEngine } from '#native/engine.ts';
import { quickVerifier } from '#native/quick-verifier.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';
import { isQuorumReachable, statusOf } from '#node/api/index.ts';
import type { NodeStatus } from '#node/api/index.ts';
import { createNetwork } from '#p2p/index.ts';
import type { AskAccess, ManagedNetwork, NetworkOptions } from '#p2p/index.ts';
import { LazyIdentity } from '#node/identity/lazy.ts';
import type { SpiffeTrust } from '#node/auth/svid-callers.ts';
import { ensureTokens } from '#node/auth/tokens.ts';
import { limitationsOf, readiness } from './condition.ts';
import { mergeConfig } from './config.ts';
import type { NodeConfig, PartialConfig } from './config.ts';
import { createMetrics } from './metrics.ts';
import type { NodeMetrics } from './metrics.ts';
import type { PassphraseSource } from './passphrase.ts';
import { claimForRunning, dataPaths, readDataDir } from './data-dir.ts';
import type { DataDir } from './data-dir.ts';
import { helloAuth } from './hello.ts';
import { joinDesk } from '#node/membership/join-desk.ts';
import { sayFirstWord } from '#node/membership/first-word.ts';
import { readPendingJoin } from '#node/membership/join-file.ts';
import { Joiner } from '#node/membership/joiner.ts';
import { assertOwnKeys, followOwnKeys, helloKeys, presentKey } from './own-keys.ts';
import { registerNetworkMetrics } from './network-metrics.ts';
import { NodeApi } from './node-api.ts';
import { peersIn } from '#node/membership/addresses.ts';
import { pairAccess, reviewUnknown } from '#node/membership/pairs.ts';
import type { PairView } from '#node/membership/pairs.ts';
import { isolationAccess } from '#node/posture/access.ts';
import { PostureService } from '#node/posture/service.ts';
import { schemaFor } from './schema.ts';
import { LevelStore } from './store.ts';
import manifest from '#manifest' with { type: 'json' };
import { systemClock, systemEntropy } from './system.ts';
import {
  membershipOf, refusalBy, standingLimitations, standingReasons,
} from '#node/membership/standing.ts';
import { reachValidators } from './validators.ts';

/** A part that does not close in this time holds up the others no longer. */
const CLOSE_MS_MAX = 10_000;
const VERSION: string = manifest.version;
/** Before the ledger is open nothing is linked. */
const NO_ROWS = { get: () => undefined };

/** A running node. */
export interface Node {
  readonly core: Core;
  readonly network: ManagedNetwork;
  readonly api: FastifyInstance;
  readonly config: NodeConfig;
  /** For audits while it runs. */
  readonly store: Pick<LevelStore, 'frozen'>;
  /** What `/metrics` shows; more can be registered. */
  readonly metrics: NodeMetrics;
  /** Base URL of the API, with the port that was taken. */
  readonly url: string;
  status(): NodeStatus;
  /** Whose SVIDs it believes; `undefined` where it knows of no trust domain. */
  trust(): Promise<SpiffeTrust | undefined>;
  /** The own member as the ledger has it, and how its joining goes on. */
  joining(): Pick<Joiner, 'member' | 'progress'>;
  /** Resolves when the node has ended; rejects when a failure ended it. */
  readonly ended: Promise<void>;
  /** Stops cleanly: no new work, then network, ledger, store. Idempotent. */
  stop(): Promise<void>;
}

export interface NodeOptions {
  /** The data directory, as `x0t init` makes it. */
  readonly directory: string;
  /** Wins over `config.json`. */
  readonly config?: PartialConfig;
  readonly log?: Logger;
  /** For encrypted keys; by default from the environment (`passphraseSource`). */
  readonly passphrase?: PassphraseSource;
  /** What is wrong or not yet known, besides what the node itself sees. */
  readonly overseer?: Overseer;
  /** What the process could not do for its keys, in sentences: a limitation, and a warning. */
  readonly exposures?: readonly string[];
}

/** Somebody who watches the node from within its process, such as an auditor. */
export interface Overseer {
  /** Shown with the node's own alarms. */
  alarms(): NodeStatus['alarms'];
  /** Why the node is not ready, in sentences; none when it is. */
  reasons(): readonly string[];
}

/**
 * The composition root: opens a data directory and runs a node in this process. Whatever fails on
 * the way up is closed again. Throws the coded errors of the data directory, the store, the network
 * and the API's port.
 */
export async function startNode({
  directory,
  config: options = {},
  log: given,
  overseer,
  passphrase,
  exposures = [],
}: NodeOptions): Promise<Node> {
  const data = await readDataDir(directory, passphrase);
  const config = mergeConfig(data.config, options);
  // results of commands go to stdout
  const log =
    given ??
    pino(
      { level: config.log, base: null, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination(2),
    );
  const closers: (() => Promise<unknown>)[] = [];
  try {
    return await assemble(directory, data, config, log, closers, overseer, exposures);
  } catch (error) {
    for (const close of closers.toReversed()) await close().catch(() => undefined);
    throw error;
  }
}

async function assemble(
  directory: string,
  data: DataDir,
  config: NodeConfig,
  log: Logger,
  closers: (() => Promise<unknown>)[],
  overseer: Overseer | undefined,
  exposures: readonly string[],
): Promise<Node> {
  for (const exposure of exposures) log.warn({}, exposure);
  const { chain } = data;
  const store = await LevelStore.open(dataPaths(directory).store);
  // links are made only after the core is open
  const opened: { core?: Core } = {};
  closers.push(() => {
    // a link that has not ended yet asks no closed store
    delete opened.core;
    return store.close();
  });
  const remembers = await claimForRunning(store, chain, dataPaths(directory).claimed);
  if (!remembers) {
    const what = 'the store was lost or set back';
    log.error({}, `${what}: this node follows, since it cannot know what it has signed`);
  }
  // what ends the node, whenever it happens
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  const pool = await createVerifierPool({ ...config.crypto, failed: broken.reject });
  const verifier = quickVerifier(pool, await loadEngine(config.crypto.engine), systemClock);
  closers.push(() => verifier.close());
  const self: Self = {
    actor: data.actor,
    coseKey: data.coseKey,
    signer: data.signer,
    otherKey: (id) => data.keyring.get(id),
  };
  const pending = await readPendingJoin(directory);
  const configured = peersIn([...config.p2p.bootstrap, ...(pending?.addrs ?? [])]);
  const pairs: PairView = {
    get rows() {
      return opened.core?.rows('members', 'final') ?? NO_ROWS;
    },
    get committee() {
      return opened.core?.replica.committee ?? chain.committee;
    },
    get isBehind() {
      return opened.core?.antiEntropy.isInStep !== true;
    },
    get linked() {
      return network.peers().map(({ peer }) => peer);
    },
    configured,
  };
  const pairOf = pairAccess(() => pairs);
  const access: AskAccess = (peer, proven, direction) => {
    if (!opened.core) return { isAdmitted: false, code: 'starting' };
    // a link from before the ledger knew its key goes on, under its actor
    const actor = opened.core.actorOf(proven);
    const byPair = pairOf(peer, actor, direction);
    return byPair.isAdmitted ? isolationAccess(opened.core, actor, systemClock) : byPair;
  };
  const keys = helloKeys(opened, self, data.keyring);
  const network = await openNetwork(data, config, {
    hello: helloAuth(chain, self, verifier, () => pairs.committee, keys),
    access,
    join: joinDesk(() => opened.core, systemClock),
    log,
  });
  closers.push(() => network.stop());
  const ports = { clock: systemClock, entropy: systemEntropy, store, verifier, network, log };
  const core = await Core.open(chain, schemaFor(chain.genesis), self, config, ports);
  opened.core = core;
  closers.push(() => core.stop());
  core.onFailure(broken.reject);
  assertOwnKeys(core, self, data.keyring);
  const unfollow = followOwnKeys(core, self, data.keyring, log);
  closers.push(() => Promise.resolve(unfollow()));
  core.attach();
  const endReach = reachValidators(core, network, self.actor, log);
  closers.push(() => Promise.resolve(endReach()));
  const endReview = reviewUnknown(core, network, systemClock);
  closers.push(async () => endReview());
  const joiner = new Joiner({
    directory, core, network, log, actor: self.actor, peerKey: data.peerKey, pending,
  });
  closers.push(async () => joiner.stop());

  const startedAt = new Date(systemClock.wall_ms()).toISOString();
  const started_ms = systemClock.monotonic_ms();
  let isUp = false;
  const status = (): NodeStatus => {
    const ledger = statusOf(core, self, core.peers());
    const refusal = refusalBy(network.status());
    return {
      name: config.name,
      version: VERSION,
      engine: verifier.engine,
      peer: data.peer,
      key: (presentKey(core, self) ?? self).coseKey.toBase64(),
      heldKeys: [...data.keyring.held.keys()],
      addrs: [...network.status().addrs],
      ...ledger,
      api: api.status,
      ...(identity.status && { identity: identity.status }),
      alarms: [...ledger.alarms, ...posture.alarms(), ...(overseer?.alarms() ?? [])],
      membership: membershipOf(joiner.member),
      ...(refusal !== '' && { refusal }),
      limitations: [
        ...limitationsOf(config, core, data),
        ...exposures,
        ...standingLimitations(membershipOf(joiner.member), refusal),
        ...identity.limitations,
        ...api.limitations,
      ],
      startedAt,
      uptime_ms: Math.round(systemClock.monotonic_ms() - started_ms),
    };
  };
  const metrics = createMetrics(core, systemClock);
  registerNetworkMetrics(metrics.registry, network);
  const posture = new PostureService({
    core,
    network,
    self: self.actor,
    clock: systemClock,
    log,
    registry: metrics.registry,
    fallback_ms: config.fallback_ms,
  });
  closers.push(() => posture.close());
  const identity = new LazyIdentity({
    config: { ...config.identity, isServed: config.api.tls !== undefined },
    environment: process.env,
    core,
    actor: self.actor,
    log,
    registry: metrics.registry,
    fallback_ms: config.fallback_ms,
  });
  await ensureTokens(directory, systemEntropy);
  const api = await NodeApi.create({
    directory,
    actor: self.actor,
    config: config.api,
    core,
    store,
    clock: systemClock,
    verifier,
    metrics,
    log,
    version: VERSION,
    status,
    isReady: () => {
      const standing = standingReasons(membershipOf(joiner.member), refusalBy(network.status()));
      return readiness(core, isUp, [...(overseer?.reasons() ?? []), ...standing]);
    },
    isQuorumReachable: () => isQuorumReachable(core, core.peers()),
    identity,
  });
  closers.push(() => api.close());

  await network.start().catch((error: unknown) => {
    log.error({ code: codeOf(error) }, 'the network cannot listen');
    if (codeOf(error) !== 'listen_failed') throw error;
    const message = 'The node cannot listen for peers: free the port or set --p2p-port.';
    throw new X0tError('listen_failed', message, (error as X0tError).data, { cause: error });
  });
  core.start();
  posture.start();
  joiner.start();
  const endWord = sayFirstWord(core, network, self.actor, { clock: systemClock, log });
  closers.push(() => Promise.resolve(endWord()));
  closers.push(() => identity.close());
  await identity.start();
  const url = await api.listen();
  isUp = true;
  log.info(
    {
      chain: textOf(chain.id),
      actor: self.actor,
      peer: data.peer,
      url,
      p2p: network.status().addrs,
    },
    'node started',
  );

  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  ended.catch(() => undefined);
  let stopping: Promise<void> | undefined;
  const stop = (failure?: unknown): Promise<void> =>
    (stopping ??= (async () => {
      isUp = false;
      for (const close of closers.toReversed()) {
        const limit = sleep(CLOSE_MS_MAX, undefined, { ref: false });
        await Promise.race([close(), limit]).catch((error: unknown) =>
          log.warn({ code: codeOf(error) }, 'a part did not close cleanly'),
        );
      }
      log.info({}, 'node stopped');
      if (failure === undefined) resolve();
      else reject(failure);
    })());
  broken.promise.catch((error: unknown) => {
    log.error({ code: codeOf(error) }, 'the store or the verifier failed: the node ends');
    void stop(error);
  });
  const { app } = api;
  const joining = () => joiner;
  const trust = () => identity.trust();
  const parts = { core, network, api: app, config, store, metrics, url, status, joining, ended };
  return { ...parts, trust, stop: () => stop() };
}

function openNetwork(
  data: DataDir,
  { p2p }: NodeConfig,
  parts: Pick<NetworkOptions, 'hello' | 'access' | 'join' | 'log'>,
): Promise<ManagedNetwork> {
  return createNetwork({
    ...parts,
    key: data.peerKey,
    chain: data.chain.id,
    listen: p2p.listen,
    announce: p2p.announce,
    bootstrap: p2p.bootstrap,
    mdns: p2p.mdns,
    clock: systemClock,
  });
}
