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
/**
 * Of all questions of one trial whether anybody may do anything, in parts of policies: a third of a
 * second. Ordinary sets take some thousand questions, and permit the first.
 */
const TRIAL_PARTS_MAX = 600_000;
/** What a question costs besides. */
const QUESTION_PARTS = 100;
/** Of whoever is an operator and nothing else. */
const STANDING = { roles: ['operator'], labels: [] };

/** Who and what a changed set is tried on. */
export interface Trial {
  readonly program: PolicyProgram;
  readonly principals: Principals;
  readonly policyIds: readonly string[];
  /** An actor that no policy can name. */
  readonly anybody: string;
  /** Those that may hold the network's keys: who asks for the change comes first. */
  readonly candidates: readonly string[];
  readonly kinds: readonly string[];
  readonly ts_ms: number;
  readonly standingOf: StandingOf;
}

/**
 * Throws `policy_lockout` where an operator as such could not replace every policy at any time,
 * which is enough to undo anything, or hand that event to a node by its API: the ledger keeps the
 * last operator (`members`), whoever that will be. The same where none of those who are operators
 * now, as far as they are candidates, could. Of rules that look at the time nothing counts there.
 * Throws `policy_denies_everyone` where none of the candidates could author any event but changes
 * of policies.
 */
export function assertSafe(trial: Trial): void {
  const { program, principals, standingOf, policyIds, ts_ms } = trial;
  const members = [...new Set(trial.candidates)]
    .slice(0, CANDIDATES_MAX)
    .filter((actor) => standingOf(actor) !== undefined)
    .map((id) => principals.of({ type: 'Actor', id }, standingOf));
  const always = program.regardlessOf('time_ms');
  const operator = principals.of({ type: 'Actor', id: trial.anybody }, () => STANDING);
  const mayChange = (one: PolicySubject) =>
    policyIds.every((id) =>
      isAllowed(always, one, 'policy.put/1', { type: 'Policy', id }, ts_ms, NONE),
    );
  const present = members.filter(({ id }) => standingOf(id)?.roles.includes('operator'));
  const isKept = mayChange(operator) && (present.length === 0 || present.some(mayChange));
  if (policyIds.length === 0 || !isKept) {
    const message =
      'Operators could not change policies any more, or not at all times: keep a policy that ' +
      'permits it to the role.';
    fail('policy_lockout', message);
  }
  const owner = principals.of({ type: 'Local', id: 'operator' }, standingOf);
  if (![operator, owner].some((one) => mayHandOver(always, one, ts_ms))) {
    const message =
      'Operators could not hand events to a node any more, or not at all times: keep a policy ' +
      'that permits it.';
    fail('policy_lockout', message);
  }
  const prefixes = new Prefixes(program.mentioned('KeyPrefix'));
  let parts = 0;
  const mayDo = (kind: string) => {
    const each = QUESTION_PARTS + program.partsFor(kind);
    return probesOf(program, resourceTypeOf(kind)).some((resource) =>
      members.some((one) => {
        if ((parts += each) > TRIAL_PARTS_MAX) return false;
        return isAllowed(program, one, kind, resource, ts_ms, prefixes);
      }),
    );
  };
  if (!trial.kinds.some(mayDo)) {
    const message = 'No member could author any event but changes of policies.';
    fail('policy_denies_everyone', message, { tried: members.length });
  }
}

const NONE = new Prefixes([]);

/** Changes of policies come to nodes by their API. */
function mayHandOver(program: PolicyProgram, principal: PolicySubject, ts_ms: number): boolean {
  const operation = 'submitEvent';
  return program.decide({
    action: 'api.event.submit',
    principal: () => principal,
    resource: () => resourceOf({ type: 'Api', id: operation }, NONE),
    context: () => ({ time_ms: ts_ms, operation }),
  }).isAllowed;
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
