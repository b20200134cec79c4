import { createHash, randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { encode } from '#ledger/codec.ts';
import type { Core, CoreConfig } from '#ledger/core.ts';
import { signEvent } from '#ledger/event.ts';
import type { Entry, Event } from '#ledger/event.ts';
import type { Clock, PolicyEntity } from '#ledger/ports.ts';
import { createAuthenticator } from '#node/auth/authenticator.ts';
import type { AuthenticatorParts } from '#node/auth/authenticator.ts';
import type { Authenticator } from '#node/auth/caller.ts';
import { memberKeys } from '#node/auth/member-keys.ts';
import type { TokenName } from '#node/auth/tokens.ts';
import { createApi, isQuorumReachable, statusOf } from '#node/api/index.ts';
import type { ApiOptions, NodeStatus, Readiness } from '#node/api/index.ts';
import { createMetrics } from '#node/metrics.ts';
import { systemClock } from '#node/system.ts';
import { memoryAhead } from '#test/auth/memory-ahead.ts';
import { directVerifier, makeNet, openCore, selfOf } from './cluster.ts';
import type { TestActor, TestNet } from './cluster.ts';
import { FakeHub } from './fake-network.ts';
import { MemoryStore } from './memory-store.ts';

/** One validator that is its own network, with a real core and the real API, in this process. */
export interface SingleNode {
  readonly net: TestNet;
  readonly core: Core;
  readonly store: MemoryStore;
  /** Its `inject` sends the operator's token unless the request has `authorization`. */
  readonly api: FastifyInstance;
  /** As that of `api`, with nothing added. */
  readonly inject: (request: InjectOptions) => Promise<LightMyRequestResponse>;
  readonly tokens: Record<TokenName, string>;
  /** Those that make a request the operator's. */
  readonly headers: { readonly authorization: string };
  /** A member that is no validator. */
  readonly operator: TestActor;
  /** The lines of the log so far, parsed. */
  readonly logged: readonly Record<string, unknown>[];
  /** What `/readyz` says; a test may change it. */
  readiness: Readiness;
  /** What the API gives as the bundle of identities. */
  bundle?: string;
  close(): Promise<void>;
}

export interface SingleNodeOptions {
  readonly config?: Partial<CoreConfig>;
  readonly streams?: ApiOptions['streams'];
  readonly eventsUnderWay_max?: number;
  /** False: events are accepted and never final. Default: true. */
  readonly seals?: boolean;
  /** One with a validator and an operator; a fresh one by default. */
  readonly net?: TestNet;
  /** Who calls, whatever it shows; else the node asks as it does in earnest. */
  readonly principalOf?: () => PolicyEntity;
  readonly rates?: ApiOptions['rates'];
  /** For the names by which requests are signed, besides the loopback's. */
  readonly names?: readonly string[];
  readonly trust?: AuthenticatorParts['trust'];
  readonly clock?: Clock;
  /** Validators of the genesis; with more than one nothing is final, since only one runs. */
  readonly validators?: number;
}

export async function startSingleNode(options: SingleNodeOptions = {}): Promise<SingleNode> {
  const net = options.net ?? (await makeNet(options.validators ?? 1));
  const [validator, operator] = [net.validators[0] as TestActor, net.operators[0] as TestActor];
  const store = new MemoryStore();
  const network = new FakeHub({ clock: systemClock, seed: 1 }).join('peer-0', validator.actor);
  const core = await openCore(
    net,
    validator,
    { network, store, clock: systemClock },
    options.config,
  );
  await network.start();
  if (options.seals !== false) core.start();
  const logged: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line) => void logged.push(JSON.parse(line)) });
  const metrics = createMetrics(core, systemClock);
  const self = selfOf(net, validator);
  const state: Pick<SingleNode, 'readiness' | 'bundle'> = {
    readiness: { ready: true, reasons: [] },
  };
  const opened: { api?: FastifyInstance } = {};
  const tokens = { operator: tokenOf('operator'), monitor: tokenOf('monitor') };
  const authenticator = createAuthenticator({
    clock: options.clock ?? systemClock,
    verifier: await directVerifier(),
    keyOf: memberKeys(core),
    own: () => ({
      actor: validator.actor,
      names: options.names ?? [],
      listeners: [{ host: '127.0.0.1', port: portOf(opened.api) }],
    }),
    tokens: {
      ownerOf: async (token) => ownerOf(tokens, token),
      isStill: (token, owner) => tokens[owner] === token,
      subscribe: () => () => undefined,
    },
    ahead: await memoryAhead(options.clock ?? systemClock),
    trust: options.trust ?? (async () => undefined),
    audience: [],
    failures: RATE,
  });
  const api = await createApi({
    authenticator: options.principalOf ? pretending(options.principalOf) : authenticator,
    rates: options.rates ?? { identity: RATE, anonymous: RATE },
    core,
    store,
    clock: systemClock,
    metrics,
    log,
    version: '0.0.0',
    status: (): NodeStatus => ({
      name: 'single',
      version: '0.0.0',
      engine: 'liboqs',
      peer: network.self,
      key: '',
      addrs: [],
      membership: 'active',
      ...statusOf(core, self, network.peers()),
      limitations: [],
      startedAt: '2026-01-01T00:00:00.000Z',
      uptime_ms: 1,
    }),
    isReady: () => state.readiness,
    isQuorumReachable: () => isQuorumReachable(core, network.peers()),
    identity: { bundle: () => Promise.resolve(state.bundle), fetches: [] },
    ...(options.streams && { streams: options.streams }),
    ...(options.eventsUnderWay_max && { eventsUnderWay_max: options.eventsUnderWay_max }),
  });
  opened.api = api;
  const headers = { authorization: `Bearer ${tokens.operator}` };
  // what tests inject is the operator's unless it says otherwise
  const inject = api.inject.bind(api) as (request: InjectOptions) => ReturnType<typeof api.inject>;
  Object.assign(api, {
    inject: (request: string | InjectOptions) => {
      const whole = typeof request === 'string' ? { url: request } : request;
      return inject({ ...whole, headers: { ...headers, ...whole.headers } });
    },
  });
  // the clock's timers do not keep a process alive
  const alive = setInterval(() => undefined, 60_000);
  return Object.assign(state, {
    net, core, store, api, operator, logged, tokens, headers,
    inject: async (request: InjectOptions) => inject(request),
    async close() {
      await api.close();
      metrics.stop();
      await core.stop();
      await network.stop();
      clearInterval(alive);
    },
  });
}

/** High enough that no test meets it unless it wants to. */
const RATE = { perSecond: 100_000, burst: 100_000 };

function tokenOf(name: string): string {
  return createHash('sha256').update(name).update(randomBytes(16)).digest('base64url');
}

function ownerOf(tokens: SingleNode['tokens'], token: string): TokenName | undefined {
  return (['operator', 'monitor'] as const).find((name) => tokens[name] === token);
}

function portOf(api: FastifyInstance | undefined): number {
  return (api?.server.address() as AddressInfo | null | undefined)?.port ?? 0;
}

/** For tests of what follows from who calls. */
function pretending(principalOf: () => PolicyEntity): Authenticator {
  return {
    authenticate: async () => ({ principal: principalOf(), assertHolds: () => undefined }),
    subscribe: () => () => undefined,
  };
}

/** Hands a signed event of the operator over and waits until it is final. */
export async function makeFinal(node: SingleNode, seq: number, change: Partial<Event>) {
  const { api, core, operator } = node;
  const entry = await signedEvent(node, seq, change);
  await api.inject({
    method: 'POST',
    url: '/v1/events',
    headers: { 'content-type': 'application/cbor' },
    payload: submission(entry, operator),
  });
  await core.waitFinal(entry.id, 60_000);
}

/** An event of the operator, signed; `change` overrides its fields. */
export function signedEvent(
  node: SingleNode,
  seq: number,
  change: Partial<Event> = {},
): Promise<Entry> {
  const { net, operator } = node;
  return signEvent(
    {
      chain: net.chain.id,
      actor: operator.actor,
      lane: 1,
      seq,
      kind: 'kv.put/1',
      body: { key: `k${seq}`, value: Uint8Array.of(seq & 255) },
      hlc: [Date.now(), 0],
      ...change,
    },
    operator.signer,
  );
}

/** The body of `POST /v1/events`. */
export function submission(
  { bytes }: Pick<Entry, 'bytes'>,
  { coseKey }: Pick<TestActor, 'coseKey'>,
): Buffer {
  return Buffer.from(encode([bytes, coseKey]));
}

/** Resolves when the log has `count` final events. */
export async function untilFinal({ core }: Pick<SingleNode, 'core'>, count: number): Promise<void> {
  if (core.replica.fold.size >= count) return;
  await new Promise<void>((resolve) => {
    const end = core.onFinal((events) => {
      if ((events.at(-1)?.seq ?? 0) < count) return;
      end();
      resolve();
    });
  });
}
