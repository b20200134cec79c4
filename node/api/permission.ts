import type { FastifyRequest } from 'fastify';
import type { ApiAction } from '#governance/policy-base.ts';
import type { Core } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import type { Clock, PolicyDecision, PolicyEntity } from '#ledger/ports.ts';
import { reasonOf } from '#ledger/submissions.ts';
import type { Caller } from '#node/auth/caller.ts';
import type { DecisionLog } from '#node/policy/decision-log.ts';
import type { Api } from './parts.ts';

/** Who calls; found out before any route does anything (`authentication.ts`). */
export type CallerOf = (request: FastifyRequest) => Caller;

/** What each operation is for policies. One that is missing here is nobody's. */
export const ACTIONS: Readonly<Record<string, ApiAction | 'open'>> = {
  livez: 'open',
  readyz: 'open',
  metrics: 'api.metrics.read',
  status: 'api.status.read',
  openapi: 'api.status.read',
  getKey: 'api.kv.read',
  listKeys: 'api.kv.read',
  putKey: 'api.kv.write',
  deleteKey: 'api.kv.write',
  submitEvent: 'api.event.submit',
  submitEvents: 'api.event.submit',
  getEvent: 'api.log.read',
  readLog: 'api.log.read',
  streamLog: 'api.log.read',
  getReceipt: 'api.proof.read',
  getLatestCheckpoint: 'api.proof.read',
  getCheckpoint: 'api.proof.read',
  getConsistency: 'api.proof.read',
  listMembers: 'api.chain.read',
  getIdentityBundle: 'api.chain.read',
  getIdentities: 'api.chain.read',
  getGenesis: 'api.chain.read',
  listKinds: 'api.chain.read',
  getPolicies: 'api.policy.read',
  getPolicyHistory: 'api.policy.read',
  explainPolicy: 'api.policy.read',
  listDecisions: 'api.audit.read',
  listPosture: 'api.chain.read',
  getMember: 'api.chain.read',
  listInvites: 'api.chain.read',
};

/** Which keys a caller may read: a listing leaves the others out. */
export type KeyFilter = (request: FastifyRequest) => (key: string) => boolean;

/** What the hook and the filter ask. */
export interface Guard {
  readonly core: Core;
  readonly clock: Clock;
  /** None in a network without policies on its ledger. */
  readonly decisions: DecisionLog | undefined;
  readonly callerOf: CallerOf;
}

/**
 * Asks the policies before any route does anything. Throws `policy_denied`. What no route takes is
 * answered as ever.
 */
export function guardRoutes(app: Api, guard: Guard): void {
  app.addHook('onRequest', async (request) => assertPermitted(guard, request));
}

/**
 * Whether the caller of a request may do what it asks for now; for answers that go on, asked again.
 * Throws `policy_denied`.
 */
export function assertPermitted(guard: Guard, request: FastifyRequest): void {
  const { core, clock, decisions, callerOf } = guard;
  const operation = operationOf(request);
  if (operation === undefined) return;
  const action = ACTIONS[operation];
  if (action === 'open') return;
  const { principal } = callerOf(request);
  if (action === undefined) {
    const message = 'Nobody may do this: the route is not named for policies.';
    return fail('policy_denied', message, { action: 'none', operation, policies: [] });
  }
  const resource = resourceOf(operation, request);
  const call = { principal, action, resource, context: { operation } };
  const decision = decisions
    ? (core.replica.fold.reducer.callPermission(call, clock.wall_ms()) ?? DENIED)
    : asShipped(principal, action);
  decisions?.call(principal, action, resource, decision);
  if (decision.isAllowed) return;
  const message = `The policies do not permit this: ${reasonOf(decision)}.`;
  fail('policy_denied', message, { action, operation, policies: decision.reasons });
}

/** What the shipped policies say, for a network that has none on its ledger. */
function asShipped({ type, id }: PolicyEntity, action: string): PolicyDecision {
  const isOwner = type === 'Actor' || (type === 'Local' && id === 'operator');
  const isMonitor = type === 'Local' && id === 'monitor' && action === 'api.metrics.read';
  return { ...DENIED, isAllowed: isOwner || isMonitor };
}

/** A listing is permitted as a whole by its prefix; then each key is asked for by itself. */
export function keyFilter({ core, clock, callerOf }: Guard): KeyFilter {
  return (request) => {
    const { principal } = callerOf(request);
    const time_ms = clock.wall_ms();
    const context = { operation: 'listKeys' };
    return (id) => {
      const resource = { type: 'Key', id };
      const call = { principal, action: 'api.kv.read', resource, context };
      return core.replica.fold.reducer.callPermission(call, time_ms)?.isAllowed === true;
    };
  };
}

const DENIED: PolicyDecision = { isAllowed: false, reasons: [], errors: [] };

/**
 * What a route is called in `/openapi.json`; `undefined` where there is no route, and a name that
 * policies do not have where it has none.
 */
export function operationOf({ routeOptions, is404 }: FastifyRequest): string | undefined {
  if (is404) return undefined;
  const { operationId } = (routeOptions.schema ?? {}) as { operationId?: string };
  return operationId ?? 'unnamed';
}

function resourceOf(operation: string, { params, query }: FastifyRequest): PolicyEntity {
  const { '*': key } = params as { '*'?: string };
  if (key !== undefined) return { type: 'Key', id: key };
  if (operation !== 'listKeys') return { type: 'Api', id: operation };
  const { prefix } = query as { prefix?: unknown };
  return { type: 'KeyPrefix', id: typeof prefix === 'string' ? prefix : '' };
}
