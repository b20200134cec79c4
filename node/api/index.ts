/**
 * The node's HTTP API: `createApi` makes a fastify instance that is ready to listen or to be
 * injected into. Everything that it answers with is described by `/openapi.json`; every error has
 * one envelope (`errors.ts`).
 */
import { randomBytes } from 'node:crypto';
import swagger from '@fastify/swagger';
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import type {
  FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest,
} from 'fastify';
import type { Logger } from 'pino';
import type { TSchema } from 'typebox';
import type { Core } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import { MEMBERS_POLICY } from '#ledger/genesis.ts';
import { EVENT_BYTES_MAX } from '#ledger/limits.ts';
import type { BlockStore, Clock } from '#ledger/ports.ts';
import type { Authenticator } from '#node/auth/caller.ts';
import type { NodeMetrics } from '#node/metrics.ts';
import { DecisionLog } from '#node/policy/decision-log.ts';
import { registerPolicyMetrics } from '#node/policy/metrics.ts';
import { authenticateCallers, noSuchRoute } from './authentication.ts';
import type { ApiRates, Authentication } from './authentication.ts';
import { chainRoutes } from './chain.ts';
import { memberRoutes } from './members.ts';
import { checkpointRoutes } from './checkpoints.ts';
import { coded, envelopeOf, headersOf, httpStatusOf } from './errors.ts';
import { eventRoutes } from './events.ts';
import {
  CLOSE_GRACE_MS, KEEP_ALIVE_TIMEOUT_MS, REQUEST_TIMEOUT_MS, STALE_CHECK_MS, clientErrorHandler,
  shareConnections,
} from './connections.ts';
import { healthRoutes } from './health.ts';
import type { Readiness } from './health.ts';
import { identityRoutes } from './identity.ts';
import type { IdentityApi } from './identity.ts';
import { kvListRoutes } from './kv-list.ts';
import { kvRoutes } from './kv.ts';
import { logRoutes } from './log.ts';
import { openApiOptions } from './openapi.ts';
import type { Api, LedgerParts } from './parts.ts';
import { assertPermitted, guardRoutes, keyFilter } from './permission.ts';
import { policyRoutes } from './policy.ts';
import { postureRoutes } from './posture.ts';
import type { NodeStatus } from './status.ts';
import { Stopping } from './stopping.ts';
import { FinalStream, STREAM_LIMITS } from './stream.ts';
import type { StreamLimits, StreamPermit } from './stream.ts';
import { hasProof } from './unproved.ts';
import { ReadView } from './view.ts';

export type { Readiness } from './health.ts';
export { isQuorumReachable, statusOf } from './status.ts';
export type { ApiStatus, NodeStatus } from './status.ts';

export interface ApiOptions {
  readonly core: Core;
  /** The store that the core writes. */
  readonly store: Pick<BlockStore, 'get' | 'range'>;
  readonly clock: Clock;
  readonly metrics: NodeMetrics;
  /** Requests are logged at `debug`. */
  readonly log: Logger;
  /** Of the software, for the document. */
  readonly version: string;
  readonly status: () => NodeStatus;
  readonly isReady: () => Readiness;
  readonly isQuorumReachable: () => boolean;
  readonly identity: IdentityApi;
  readonly streams?: Partial<StreamLimits>;
  /** Finds out who calls. */
  readonly authenticator: Authenticator;
  readonly rates: ApiRates;
  /** Events of callers under verification at once; default 8,192. */
  readonly eventsUnderWay_max?: number;
}

/** Some seconds of work for one core. */
const EVENTS_UNDER_WAY_MAX = 8192;
/** Characters of a path parameter: the longest key of 512 bytes, percent-encoded. */
const PARAM_CHARS_MAX = 2048;

/** The API over a running core. Call `listen` on it, and `close` before the core stops. */
export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const { core, store, clock, metrics, log, version } = options;
  const logger: FastifyBaseLogger = log;
  const gate: { assertCaller: Authentication['assertCaller'] } = {
    assertCaller: async () => fail('unauthenticated', 'Nobody can be asked yet who calls.'),
  };
  const sendLate = async (problem: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const refusal = await gate.assertCaller(request).catch((reason: unknown) => ({ reason }));
    sendError(refusal ? refusal.reason : problem, request, reply);
  };
  const app = Fastify({
    loggerInstance: logger,
    ...noRequestLog(),
    // one logger for all requests: a child for each costs more than most requests
    childLoggerFactory: (parent) => parent,
    genReqId: requestIds(),
    requestIdHeader: false,
    bodyLimit: EVENT_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    http: { connectionsCheckingInterval: STALE_CHECK_MS },
    // requests on open connections get the envelope of `stopping` instead
    return503OnClosing: false,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    // fastify asks no hook about targets that it cannot read
    frameworkErrors: (problem, request, reply) => void sendLate(problem, request, reply),
    clientErrorHandler,
  });
  shareConnections(app.server);
  // else Node answers 417 to whoever asks
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
  // path parameters are texts and stay as they are; converting fails on the name of a wildcard
  app.setValidatorCompiler((route) =>
    TypeBoxValidatorCompiler(
      (route.httpPart === 'params' ? { ...route, httpPart: 'body' } : route) as typeof route & {
        schema: TSchema;
      },
    ),
  );
  app.removeAllContentTypeParsers();
  app.setErrorHandler(sendError);
  app.setNotFoundHandler(({ method, url }) => noSuchRoute(method, url));
  watchRequests(app, metrics, log);
  const { callerOf, assertCaller } = authenticateCallers(app, options);
  gate.assertCaller = assertCaller;
  app.addHook('onRequest', async ({ routeOptions: { url } }) => {
    const isOfLedger = url?.startsWith('/v1/') === true && url !== '/v1/status';
    if (isOfLedger && core.snapshots.isInstalling) {
      fail('installing', 'A snapshot is being put in place: ask again in some seconds.');
    }
  });

  const { policy } = core.chain.genesis;
  const decisions = policy === MEMBERS_POLICY ? undefined : new DecisionLog(clock);
  if (decisions) {
    core.submissions.onDecision = (event, decision) => decisions.admission(event, decision);
    const end = core.onFinal(decisions.finals);
    app.addHook('onClose', async () => end());
    registerPolicyMetrics(metrics.registry, decisions);
  }
  const guard = { core, clock, decisions, callerOf };
  guardRoutes(app, guard);
  const view = new ReadView(core, options.isQuorumReachable);
  const { eventsUnderWay_max = EVENTS_UNDER_WAY_MAX } = options;
  const stopping = new Stopping();
  const ledger = { core, store, clock, metrics, view };
  const parts: LedgerParts = {
    ...ledger,
    stopping,
    eventsUnderWay_max,
    speaksFor: (request) => {
      const { type, id } = callerOf(request).principal;
      // who has the node's own token is the node
      return type === 'Actor' || type === 'Spiffe' ? id : undefined;
    },
    ...(decisions && { keysFor: keyFilter(guard) }),
  };
  const source = {
    finalSeq: () => view.finalSeq,
    at: (seq: number) => core.log.at(seq),
    onFinal: core.onFinal.bind(core),
  };
  const stream = new FinalStream(source, clock, metrics.api, {
    ...STREAM_LIMITS,
    ...options.streams,
  });
  const permitOf = (request: FastifyRequest): StreamPermit => {
    const { principal: { type, id }, until_ms, assertHolds } = callerOf(request);
    return {
      requestId: request.id,
      party: `${type} ${id}`,
      ...(until_ms !== undefined && { until_ms }),
      assertHolds: () => {
        assertHolds();
        assertPermitted(guard, request);
      },
    };
  };
  const endReviews = [
    options.authenticator.subscribe(() => stream.review()),
    core.onEpoch(() => stream.review()),
  ];
  closeInTime(app, stopping);
  app.addHook('preClose', async () => {
    for (const end of endReviews) end();
    stream.stop();
  });
  app.addHook('onClose', async () => view.stop());

  await app.register(swagger, openApiOptions(version));
  /** For routes that read the fold, which is ahead of the disk while a turn writes. */
  const tellingWritten = (add: (scope: Api) => unknown) =>
    app.register(async (scope) => {
      // what a crash may take back is not told; a refusal tells nothing of it
      scope.addHook('onSend', async ({ routeOptions }, { statusCode }, payload) => {
        // that of the route: a target has many spellings
        const isTold = statusCode < 400 && routeOptions.url?.startsWith('/v1/') === true;
        if (isTold) await core.replica.written();
        return payload;
      });
      await add(scope);
    });
  await tellingWritten((scope) => healthRoutes(scope, options));
  await tellingWritten((scope) => identityRoutes(scope, options.identity, options));
  await app.register((scope) => kvRoutes(scope as Api, parts));
  await app.register((scope) => kvListRoutes(scope as Api, parts));
  await app.register((scope) => eventRoutes(scope as Api, parts));
  await app.register((scope) => checkpointRoutes(scope as Api, parts));
  await app.register((scope) => logRoutes(scope as Api, parts, stream, permitOf));
  await app.register((scope) => chainRoutes(scope as Api, parts));
  await tellingWritten((scope) => memberRoutes(scope, parts));
  if (decisions) await tellingWritten((scope) => policyRoutes(scope, parts, decisions));
  const { projections } = core.chain.genesis;
  if (projections.some(([name]) => name === 'posture')) {
    await tellingWritten((scope) => postureRoutes(scope, parts));
  }
  app.get('/openapi.json', { schema: { hide: true, operationId: 'openapi' } }, () => app.swagger());
  await app.ready();
  return app;
}

/**
 * Closing waits for every connection, also for one that a client keeps for later: requests that
 * wait end with `stopping`, answers from then on end their connection, and what is still open after
 * `CLOSE_GRACE_MS` is cut.
 */
function closeInTime(app: FastifyInstance, stopping: Stopping): void {
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (stopping.isStopped) reply.header('connection', 'close');
    done(null, payload);
  });
  let cut: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    stopping.stop();
    cut = setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS).unref();
  });
  app.addHook('onClose', async () => clearTimeout(cut));
}

/** Fastify's own lines for each request are off; its types do not have this option yet. */
function noRequestLog(): object {
  const { LogController } = Fastify as unknown as {
    LogController: new (options: { disableRequestLogging: boolean }) => object;
  };
  return { logController: new LogController({ disableRequestLogging: true }) };
}

/** Ids that are unique over restarts, for finding a request in the log. */
function requestIds(): () => string {
  const start = randomBytes(4).toString('hex');
  let count = 0;
  return () => `${start}-${(count += 1).toString(36)}`;
}

function watchRequests(app: FastifyInstance, { api }: NodeMetrics, log: Logger): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, id } = request;
    const route = request.routeOptions.url ?? 'none';
    const status = reply.statusCode;
    api.requests.inc({ method, route, status });
    if (log.isLevelEnabled('debug')) {
      const time_ms = Math.round(reply.elapsedTime);
      log.debug({ requestId: id, method, route, status, time_ms }, 'a request was answered');
    }
    done();
  });
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const known = coded(error);
  const status = httpStatusOf(known.code);
  if (status === 500) {
    request.log.error({ requestId: request.id, err: known.cause ?? known }, 'a request failed');
  }
  reply.headers(headersOf(known));
  // who has proved nothing keeps no connection
  if (status === 401 && !hasProof(request.raw.socket)) reply.header('connection', 'close');
  void reply.code(status).type('application/json').send(envelopeOf(known, request.id));
}
