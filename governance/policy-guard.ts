import { fail } from '#ledger/errors.ts';
import type { PolicyEntity, PolicyProgram, PolicySubject } from '#ledger/ports.ts';
import type { StandingOf } from '#ledger/projection.ts';
import { resourceTypeOf } from './policy-base.ts';
import { Prefixes, resourceOf } from './policy-subjects.ts';
import type { Principals } from './policy-subjects.ts';

/** Resources that are tried for each kind: those that policies name, and one that none names. */
const PROBES_MAX = 16;
/** Members that a change is tried on: who asks for it, founders, and those with assigned roles. */
const CANDIDATES_MAX = 64;
/** A rule may end with time: what holds now must hold then, too. */
const FAR_FUTURE_MS = Number.MAX_SAFE_INTEGER;

/** Who and what a changed set is tried on. */
export interface Trial {
  readonly program: PolicyProgram;
  readonly principals: Principals;
  readonly policyIds: readonly string[];
  /** Those that may hold the network's keys: who asks for the change comes first. */
  readonly candidates: readonly string[];
  readonly kinds: readonly string[];
  readonly ts_ms: number;
  readonly standingOf: StandingOf;
}

/**
 * Throws `policy_lockout` where none of the candidates could replace every policy, which is enough
 * to undo anything, now and at all times, or nobody could hand an event to a node by its API; and
 * `policy_denies_everyone` where none could author any event but changes of policies.
 */
export function assertSafe(trial: Trial): void {
  const { program, principals, standingOf, policyIds, ts_ms } = trial;
  const members = [...new Set(trial.candidates)]
    .slice(0, CANDIDATES_MAX)
    .filter((actor) => standingOf(actor) !== undefined)
    .map((id) => principals.of({ type: 'Actor', id }, standingOf));
  const mayPut = (principal: PolicySubject, id: string, time_ms: number) =>
    isAllowed(program, principal, 'policy.put/1', { type: 'Policy', id }, time_ms, NONE);
  const mayChange = (principal: PolicySubject) =>
    [ts_ms, FAR_FUTURE_MS].every((at) => policyIds.every((id) => mayPut(principal, id, at)));
  if (policyIds.length === 0 || !members.some(mayChange)) {
    const message = 'No member could change policies any more: keep a policy that permits it.';
    fail('policy_lockout', message, { tried: members.length });
  }
  const owner = principals.of({ type: 'Local', id: 'operator' }, standingOf);
  if (![...members, owner].some((one) => mayHandOver(program, one, ts_ms))) {
    const message = 'Nobody could hand events to a node any more: keep a policy that permits it.';
    fail('policy_lockout', message, { tried: members.length });
  }
  const prefixes = new Prefixes(program.mentioned('KeyPrefix'));
  const mayDo = (kind: string) =>
    probesOf(program, resourceTypeOf(kind)).some((resource) =>
      members.some((one) => isAllowed(program, one, kind, resource, ts_ms, prefixes)),
    );
  if (!trial.kinds.some(mayDo)) {
    const message = 'No member could author any event but changes of policies.';
    fail('policy_denies_everyone', message, { tried: members.length });
  }
}

const NONE = new Prefixes([]);

/** Changes of policies come to nodes by their API. */
function mayHandOver(program: PolicyProgram, principal: PolicySubject, ts_ms: number): boolean {
  const operation = 'submitEvent';
  return [ts_ms, FAR_FUTURE_MS].every(
    (time_ms) =>
      program.decide({
        action: 'api.event.submit',
        principal: () => principal,
        resource: () => resourceOf({ type: 'Api', id: operation }, NONE),
        context: () => ({ time_ms, operation }),
      }).isAllowed,
  );
}

function probesOf(program: PolicyProgram, type: string): PolicyEntity[] {
  const named = program.mentioned(type);
  const within = type === 'Key' ? program.mentioned('KeyPrefix') : [];
  const ids = ['x', ...named, ...within.map((prefix) => `${prefix}x`)];
  return ids.slice(0, PROBES_MAX).map((id) => ({ type, id }));
}

function isAllowed(
  program: PolicyProgram,
  principal: PolicySubject,
  action: string,
  resource: PolicyEntity,
  time_ms: number,
  prefixes: Prefixes,
): boolean {
  return program.decide({
    action,
    principal: () => principal,
    resource: () => resourceOf(resource, prefixes),
    context: () => ({ time_ms }),
  }).isAllowed;
}
