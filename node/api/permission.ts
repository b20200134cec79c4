import type { FastifyRequest } from 'fastify';
import type { ApiAction } from '#governance/policy-base.ts';
import type { Core } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import type { Clock, PolicyDecision, PolicyEntity } from '#ledger/ports.ts';
import { reasonOf } from '#ledger/submissions.ts';
import type { DecisionLog } from '#node/policy/decision-log.ts';
import type { Api } from './parts.ts';

/**
 * Who calls. Authentication fills this in; what it gives is an entity of the types `Actor`,
 * `Spiffe`, `Local` (the operator on the machine itself) or `Anonymous`.
 */
export type PrincipalResolver = (request: FastifyRequest) => PolicyEntity;

/**
 * Until callers are authenticated: who calls from the machine itself is its operator, unless a
 * proxy says that it speaks for others, or the caller means another host (a page in a browser).
 */
export const byAddress: PrincipalResolver = ({ ip, hostname, headers }) => {
  const isPassedOn = PASSED_ON.some((name) => headers[name] !== undefined);
  const isLocal = LOOPBACK.has(ip) && LOCAL_NAMES.has(hostname) && !isPassedOn;
  return isLocal ? { type: 'Local', id: 'operator' } : { type: 'Anonymous', id: 'remote' };
};
const LOOPBACK = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);
const LOCAL_NAMES = new Set(['localhost', '127.0.0.1', '[::1]', '::1']);
const PASSED_ON = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];

/** What each operation is for policies. One that is missing here is nobody's. */
export const ACTIONS: Readonly<Record<string, ApiAction | 'open'>> = {
  livez: 'open',
  readyz: 'open',
  metrics: 'api.status.read',
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
  // nobody is asked who he is (SPIFFE Federation, 5.2.1.3)
  getIdentityBundle: 'open',
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
  readonly decisions: DecisionLog;
  readonly principalOf: PrincipalResolver;
}

/**
 * Asks the policies before any route does anything. Throws `policy_denied`. What no route takes is
 * answered as ever.
 */
export function guardRoutes(app: Api, { core, clock, decisions, principalOf }: Guard): void {
  app.addHook('onRequest', async (request) => {
    const operation = operationOf(request);
    if (operation === undefined) return;
    const action = ACTIONS[operation] ?? 'none';
    if (action === 'open') return;
    const principal = principalOf(request);
    const resource = resourceOf(operation, request);
    const call = { principal, action, resource, context: { operation } };
    const { reducer } = core.replica.fold;
    const decision = reducer.callPermission(call, clock.wall_ms()) ?? DENIED;
    decisions.call(principal, action, resource, decision);
    if (decision.isAllowed) return;
    const message = `The policies do not permit this: ${reasonOf(decision)}.`;
    fail('policy_denied', message, { action, operation, policies: decision.reasons });
  });
}

/** A listing is permitted as a whole by its prefix; then each key is asked for by itself. */
export function keyFilter({ core, clock, principalOf }: Guard): KeyFilter {
  return (request) => {
    const principal = principalOf(request);
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

function operationOf({ routeOptions, is404 }: FastifyRequest): string | undefined {
  if (is404) return undefined;
  const { operationId } = (routeOptions.schema ?? {}) as { operationId?: string };
  return operationId ?? 'openapi';
}

function resourceOf(operation: string, { params, query }: FastifyRequest): PolicyEntity {
  const { '*': key } = params as { '*'?: string };
  if (key !== undefined) return { type: 'Key', id: key };
  if (operation !== 'listKeys') return { type: 'Api', id: operation };
  const { prefix } = query as { prefix?: unknown };
  return { type: 'KeyPrefix', id: typeof prefix === 'string' ? prefix : '' };
}
