/**
 * What policies speak of, and the policies that a network begins with (docs/policy.md). All of it
 * is part of what the policy projection's version stands for: a change here is a new version.
 */

/** What an event's kind acts on, by the part of its name before the first dot. */
const RESOURCE_OF: Readonly<Record<string, string>> = {
  kv: 'Key',
  committee: 'Member',
  member: 'Member',
  evidence: 'Member',
  posture: 'Member',
  model: 'Model',
  proposal: 'Proposal',
};

/** Which group a kind is in: what its rule of the shipped set is about. */
const GROUP_OF: Readonly<Record<string, string>> = { kv: 'data', policy: 'policy' };

/** Actions of the API: what callers do, whatever route they do it by. */
export const API_ACTIONS = {
  'api.kv.read': 'read',
  'api.log.read': 'read',
  'api.chain.read': 'read',
  'api.proof.read': 'read',
  'api.policy.read': 'read',
  'api.status.read': 'read',
  'api.metrics.read': 'read',
  'api.audit.read': 'read',
  'api.kv.write': 'write',
  'api.event.submit': 'write',
} as const;
export type ApiAction = keyof typeof API_ACTIONS;

/** Roles and labels by operators, addresses by the member itself. */
const DESCRIBE_KIND = 'member.describe/1';

/** What a member says of its own membership: it may when it may do little else. */
const OWN_MEMBERSHIP: ReadonlySet<string> = new Set([
  'committee.leave/1',
  'committee.return/1',
  'member.ready/1',
  'member.drain/1',
  'member.retire/1',
  'member.rotate/1',
  'member.revoke/1',
  DESCRIBE_KIND,
]);

/** Kinds that change policies; roles have their own resource. */
export const POLICY_KINDS = [
  'policy.assign/1',
  'policy.delete/1',
  'policy.put/1',
  'policy.rollback/1',
  'policy.schema/1',
] as const;

function familyOf(kind: string): string {
  return kind.slice(0, kind.indexOf('.'));
}

/** The type of entity that events of a kind act on. */
export function resourceTypeOf(kind: string): string {
  if (kind === 'policy.assign/1') return 'Role';
  return familyOf(kind) === 'policy' ? 'Policy' : (RESOURCE_OF[familyOf(kind)] ?? 'Kind');
}

/** What operators do to members; the rest of a member's life it may bring about itself. */
const MEMBERSHIP_KINDS = new Set([
  'member.invite/1',
  'member.withdraw/1',
  'member.cordon/1',
  'member.uncordon/1',
  'member.remove/1',
  'member.rekey/1',
  DESCRIBE_KIND,
]);

function groupsOf(kind: string): string[] {
  if (kind === 'committee.change/1') return ['committee'];
  const isOwn = OWN_MEMBERSHIP.has(kind);
  const isOthers = MEMBERSHIP_KINDS.has(kind);
  if (isOwn || isOthers) return [...(isOwn ? ['own'] : []), ...(isOthers ? ['membership'] : [])];
  return [GROUP_OF[familyOf(kind)] ?? 'protocol'];
}

const PRINCIPALS = '[Actor, Spiffe, Local, Anonymous]';

/** The schema of the network's kinds, in Cedar's own notation. */
export function baseSchema(kinds: readonly string[]): string {
  const events = kinds.toSorted().map(
    (kind) => `action "${kind}" in ["${groupsOf(kind).join('", "')}"] appliesTo {
  principal: [Actor, Spiffe],
  resource: [${resourceTypeOf(kind)}],
  context: { time_ms: Long, onBehalfOf?: String },
};`,
  );
  const calls = Object.entries(API_ACTIONS).map(
    ([action, group]) => `action "${action}" in ["${group}"] appliesTo {
  principal: ${PRINCIPALS},
  resource: [${action.startsWith('api.kv.') ? 'Key, KeyPrefix' : 'Api'}],
  context: { time_ms: Long, operation: String },
};`,
  );
  return `${TYPES}\n${[...events, ...calls].join('\n')}\n`;
}

const TYPES = `entity Role;
entity Actor in [Role] { labels: Set<String>, actor: String };
entity Spiffe in [Role] { trustDomain: String, path: String };
entity Local in [Role];
entity Anonymous in [Role];
entity KeyPrefix in [KeyPrefix];
entity Key in [KeyPrefix] { key: String };
entity Member { actor: String };
entity Model;
entity Proposal;
entity Policy;
entity Kind;
entity Api;
action "events";
action "data" in ["events"];
action "protocol" in ["events"];
action "own" in ["protocol"];
action "committee" in ["events"];
action "membership" in ["events"];
action "policy" in ["events"];
action "read";
action "write";`;

/** The shipped set, in the order of docs/policy.md: what a network without any change allows. */
export const DEFAULT_POLICIES: Readonly<Record<string, string>> = {
  'default.data': `// Every member writes keys.
permit (principal, action in Action::"data", resource);`,
  'default.protocol': `// Every member authors what nodes say of themselves and of each other.
permit (principal, action in Action::"protocol", resource);`,
  'default.committee': `// Operators change the committee.
permit (principal in Role::"operator", action in Action::"committee", resource);`,
  'default.membership': `// Operators invite members, hold them up and remove them.
permit (principal in Role::"operator", action in Action::"membership", resource);`,
  'default.policy': `// Operators change policies, their schema and roles.
permit (principal in Role::"operator", action in Action::"policy", resource);`,
  'default.isolation': `// Isolated members read and mind their own membership, or do nothing.
forbid (principal in Role::"isolated", action, resource)
unless {
  principal in [Role::"isolated.monitored", Role::"isolated.rate_limited"] ||
  (principal in Role::"isolated.restricted" && (action in Action::"read" ||
    (action in Action::"own" && principal is Actor && resource is Member &&
      resource.actor == principal.actor)))
};`,
  'default.read': `// Members read the API of every node.
permit (principal in Role::"member", action in Action::"read", resource);`,
  'default.write': `// Members hand events to every node, and have it write keys.
permit (principal in Role::"member", action in Action::"write", resource);`,
  'default.local': `// Who owns a node's data directory does all at its API.
permit (principal == Local::"operator", action in [Action::"read", Action::"write"], resource);`,
  'default.monitor': `// Who has a node's monitoring token reads its metrics.
permit (principal == Local::"monitor", action == Action::"api.metrics.read", resource);`,
};
