import { Type } from 'typebox';

/** Bodies of the kinds that change policies. */

/** Bytes of one policy: some hundred lines. */
export const POLICY_BYTES_MAX = 8 * 1024;
/** An event of maximal size has room for it. */
export const SCHEMA_BYTES_MAX = 48 * 1024;
/** Policies of a network. */
export const POLICIES_MAX = 256;
/** Principals that have roles besides those of their membership. */
export const ASSIGNMENTS_MAX = 256;
/** Of all assignments, encoded. */
export const ROLES_BYTES_MAX = 64 * 1024;
/** Of all policies of a network: what the engine parses at once. */
export const TEXTS_BYTES_MAX = 512 * 1024;
/** Versions that are kept and can be gone back to, the present one included. */
export const HISTORY_MAX = 32;
const ROLES_MAX = 16;
const SPIFFE_CHARS_MAX = 256;

/** Comes from membership, so it is not given or taken here. */
const OF_MEMBERSHIP = 'validator';

const text = new TextEncoder();
function isWithin(max: number): (value: string) => boolean {
  return (value) => text.encode(value).length <= max && value.isWellFormed();
}

const Id = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  description: 'id of the policy',
});
const IfVersion = Type.Optional(
  Type.Integer({ minimum: 0, description: 'applies only if this is the present version' }),
);

/** `policy.put/1`: adds a policy or replaces it. */
export const PolicyPut = Type.Object(
  {
    id: Id,
    text: Type.Refine(
      Type.String({
        minLength: 1,
        maxLength: POLICY_BYTES_MAX,
        description: `one static Cedar policy, at most ${POLICY_BYTES_MAX} bytes`,
      }),
      isWithin(POLICY_BYTES_MAX),
    ),
    ifVersion: IfVersion,
  },
  { additionalProperties: false },
);

/** `policy.delete/1`: removes a policy. */
export const PolicyDelete = Type.Object(
  { id: Id, ifVersion: IfVersion },
  { additionalProperties: false },
);

/** `policy.schema/1`: replaces the schema; without a text the base schema holds again. */
export const PolicySchema = Type.Object(
  {
    text: Type.Optional(
      Type.Refine(
        Type.String({
          minLength: 1,
          maxLength: SCHEMA_BYTES_MAX,
          description: `Cedar schema, at most ${SCHEMA_BYTES_MAX} bytes, that says all of the base`,
        }),
        isWithin(SCHEMA_BYTES_MAX),
      ),
    ),
    ifVersion: IfVersion,
  },
  { additionalProperties: false },
);

/** `policy.assign/1`: the roles that a principal has from now on. */
export const PolicyAssign = Type.Object(
  {
    principal: Type.String({
      maxLength: SPIFFE_CHARS_MAX,
      pattern: '^([0-9a-f]{64}|spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*)$',
      description: 'actor (64 hex digits) or SPIFFE ID',
    }),
    roles: Type.Refine(
      Type.Array(
        Type.String({ pattern: '^[a-z][a-z0-9-]{0,63}$', description: 'name of a role' }),
        { maxItems: ROLES_MAX, description: 'none: it loses all that were assigned' },
      ),
      (roles) => new Set(roles).size === roles.length && !roles.includes(OF_MEMBERSHIP),
    ),
    ifVersion: IfVersion,
  },
  { additionalProperties: false },
);

/** `policy.rollback/1`: policies, schema and roles become those of an earlier version. */
export const PolicyRollback = Type.Object(
  {
    version: Type.Integer({ minimum: 0, description: 'the version to go back to' }),
    ifVersion: IfVersion,
  },
  { additionalProperties: false },
);
