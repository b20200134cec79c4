import { Type } from 'typebox';
import { baseSchema } from '#governance/policy-base.ts';
import { historyOf, viewOf } from '#governance/policy-view.ts';
import type { PolicyValue } from '#ledger/ports.ts';
import type { DecisionLog } from '#node/policy/decision-log.ts';
import { parseEntity, parsePrincipal } from '#node/policy/entities.ts';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const DECISIONS = 100;
const DECISIONS_MAX = 1000;
const ENTITY_CHARS_MAX = 1024;

const Ids = Type.Array(Type.String(), { description: 'ids of policies' });
const Policies = Type.Object(
  {
    engine: Type.String({ description: 'what decides; the genesis names it' }),
    version: schemas.Count,
    policies: Type.Array(Type.Object({ id: Type.String(), text: Type.String() })),
    schema: Type.Optional(Type.String({ description: 'absent while the base schema holds' })),
    baseSchema: Type.String({ description: 'what nodes say of principals, actions, resources' }),
    roles: Type.Array(
      Type.Object({ principal: Type.String(), roles: Type.Array(Type.String()) }),
      { description: 'assigned ones; those of membership are in /v1/members' },
    ),
  },
  { description: 'The policies that decide now' },
);
const History = Type.Object(
  {
    versions: Type.Array(
      Type.Object({
        version: schemas.Count,
        kind: Type.String(),
        actor: Type.Optional(schemas.ActorId),
        seq: schemas.Count,
        ts_ms: Type.Integer(),
        put: Ids,
        removed: Ids,
      }),
    ),
  },
  { description: 'Versions that can be gone back to, the newest first' },
);
const Question = Type.Object(
  {
    principal: Type.String({
      maxLength: ENTITY_CHARS_MAX,
      description: 'actor, SPIFFE ID, or Type::id',
    }),
    action: Type.String({ maxLength: 128, description: 'event kind, or e.g. api.kv.read' }),
    resource: Type.String({ maxLength: ENTITY_CHARS_MAX, description: 'e.g. Key::app/a' }),
    onBehalfOf: Type.Optional(Type.String({ maxLength: ENTITY_CHARS_MAX })),
    operation: Type.Optional(Type.String({ maxLength: 128 })),
  },
  { additionalProperties: false },
);
const Answer = Type.Object(
  {
    isAllowed: Type.Boolean(),
    version: schemas.Count,
    policies: Type.Array(Type.Object({ id: Type.String(), text: Type.String() }), {
      description: 'those that decided; none where nothing permits',
    }),
    errors: Ids,
  },
  { description: 'What the policies say, and which of them' },
);
const Where = Type.Enum(['admission', 'apply', 'api']);
const DecisionQuery = Type.Object(
  {
    isAllowed: Type.Optional(Type.Boolean()),
    principal: Type.Optional(Type.String({ maxLength: ENTITY_CHARS_MAX })),
    where: Type.Optional(Where),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: DECISIONS_MAX })),
  },
  { additionalProperties: false },
);
const Decisions = Type.Object(
  {
    allowed: schemas.Count,
    denied: schemas.Count,
    decisions: Type.Array(
      Type.Object({
        where: Where,
        principal: Type.String(),
        action: Type.String(),
        resource: Type.String(),
        isAllowed: Type.Boolean(),
        policies: Ids,
        errors: Ids,
        count: schemas.Count,
        first_ms: Type.Integer(),
        last_ms: Type.Integer(),
        event: Type.Optional(Type.String()),
      }),
    ),
    forgotten: Type.Array(
      Type.Object({
        principal: Type.String({ description: 'empty for all without a room, together' }),
        isClaimed: Type.Boolean({ description: 'authors that events claimed, not looked at' }),
        count: schemas.Count,
        last_ms: Type.Integer(),
      }),
      { description: 'denials that there was no room for' },
    ),
  },
  { description: 'Denials and a sample of the rest since this node started, latest first' },
);

/** `/v1/policy`: what decides, how it came to be, what it would say, what it said. */
export async function policyRoutes(
  app: Api,
  { core, clock }: LedgerParts,
  decisions: DecisionLog,
): Promise<void> {
  const { kinds, policy: engine } = core.chain.genesis;
  const rows = () => core.rows('policy', 'final');
  const base = baseSchema(kinds);

  app.get(
    '/v1/policy',
    {
      schema: {
        operationId: 'getPolicies',
        summary: 'Policies, schema and assigned roles',
        tags: ['policy'],
        response: { 200: Policies, default: schemas.ErrorReply },
      },
    },
    () => {
      const { version, policies, schema, roles } = viewOf(rows());
      return {
        engine,
        version,
        policies: [...policies],
        ...(schema !== undefined && { schema }),
        baseSchema: base,
        roles: [...roles].map(([principal, of]) => ({ principal, roles: [...of] })),
      };
    },
  );

  app.get(
    '/v1/policy/history',
    {
      schema: {
        operationId: 'getPolicyHistory',
        summary: 'Versions of the policies, and the events that made them',
        tags: ['policy'],
        response: { 200: History, default: schemas.ErrorReply },
      },
    },
    () => ({
      versions: historyOf(rows()).map(({ put, removed, ...rest }) => ({
        ...rest,
        put: [...put],
        removed: [...removed],
      })),
    }),
  );

  app.get(
    '/v1/policy/explain',
    {
      schema: {
        operationId: 'explainPolicy',
        summary: 'Who may do what, and which policies say so; nothing is done',
        tags: ['policy'],
        querystring: Question,
        response: { 200: Answer, default: schemas.ErrorReply },
      },
    },
    ({ query }) => {
      const { principal, action, resource, onBehalfOf, operation } = query;
      const context: Record<string, PolicyValue> = {
        ...(onBehalfOf !== undefined && { onBehalfOf }),
        ...(action.startsWith('api.') && { operation: operation ?? action }),
      };
      const { reducer } = core.replica.fold;
      const ask = (name: string) => {
        const of = { principal: parsePrincipal(name), resource: parseEntity(resource) };
        return reducer.callPermission({ ...of, action, context }, clock.wall_ms());
      };
      const answers = [principal, ...(onBehalfOf === undefined ? [] : [onBehalfOf])].map(ask);
      const { isAllowed, reasons = [], errors = [] } =
        answers.find((one) => one?.isAllowed !== true) ?? answers[0] ?? { isAllowed: false };
      const { version, policies } = viewOf(rows());
      const named = policies.filter(({ id }) => reasons.includes(id));
      return { isAllowed, version, policies: named, errors: [...errors] };
    },
  );

  app.get(
    '/v1/policy/decisions',
    {
      schema: {
        operationId: 'listDecisions',
        summary: 'What the policies decided on this node',
        tags: ['policy'],
        querystring: DecisionQuery,
        response: { 200: Decisions, default: schemas.ErrorReply },
      },
    },
    ({ query: { limit = DECISIONS, ...query } }) => ({
      ...decisions.counts,
      decisions: decisions.list({ ...query, limit }).map(({ policies, errors, ...rest }) => ({
        ...rest,
        policies: [...policies],
        errors: [...errors],
      })),
      forgotten: decisions.forgotten({ ...query, limit }),
    }),
  );
}
