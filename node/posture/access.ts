import type { Core } from '#ledger/core.ts';
import { X0tError } from '#ledger/errors.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { Clock, Id } from '#ledger/ports.ts';
import type { Access, ManagedNetwork } from '#p2p/index.ts';
import type { Grade } from '#projections/posture-grades.ts';

/** What a peer is told whose actor is isolated; a refusal of a hello carries the code alone. */
export const ISOLATED = new X0tError('actor_isolated', 'The network isolates this actor.').code;

const FULL: Access = { isAdmitted: true, share: 1, gossips: true };
const REFUSED: Access = { isAdmitted: false, code: ISOLATED };

/** What links of a member of this grade may have; the API asks the policies instead. */
const ACCESS: Readonly<Record<Grade, Access>> = {
  none: FULL,
  monitored: FULL,
  rate_limited: { isAdmitted: true, share: 0.25, gossips: true },
  restricted: { isAdmitted: true, share: 0.1, gossips: false },
  quarantined: REFUSED,
  blocked: REFUSED,
};

/**
 * A validator that is quarantined or blocked stays linked, without gossip: a quorum may need its
 * blocks, and its vote at the end of the epoch, which peers fetch from it once a period of
 * anti-entropy, and it theirs. Who is to be cut off loses its seat first.
 */
const SEATED: Access = { isAdmitted: true, share: 0.05, gossips: false };

/** How far a member of this grade is let in. */
export function accessOf(grade: string | undefined, isSeated: boolean): Access {
  if (isSeated && (grade === 'quarantined' || grade === 'blocked')) return SEATED;
  return grade === undefined ? FULL : ACCESS[grade as Grade];
}

/** The grade that a member has by this node's clock; `undefined` for none. */
export function gradeOf(core: Core, actor: Id, clock: Pick<Clock, 'wall_ms'>): string | undefined {
  return core.replica.fold.reducer.isolationOf(actor, clock.wall_ms());
}

/** How far a linked actor is let in, by what is final. */
export function isolationAccess(core: Core, actor: Id, clock: Pick<Clock, 'wall_ms'>): Access {
  const grade = gradeOf(core, actor, clock);
  if (grade === undefined) return FULL;
  // at the end of an epoch the old committee certifies it, and the fold has the new one already
  const { committee, fold } = core.replica;
  const isNext = fold.seats.validators.some((one) => one.actor === actor);
  return accessOf(grade, isNext || committee.indexOf(actor) !== undefined);
}

/** What may change whom a node lets in, by the first part of the kind. */
const FAMILIES: ReadonlySet<string> = new Set([
  'committee',
  'evidence',
  'member',
  'policy',
  'posture',
]);
const REVOCATION = 'identity.revocation/1';

/** Whether an event may change whom a node lets in. */
export function concernsAccess({ entry, verdict }: FinalEvent): boolean {
  const { kind } = entry.event;
  const isMeant = kind === REVOCATION || FAMILIES.has(kind.slice(0, kind.indexOf('.')));
  return isMeant && verdict === 0;
}

/**
 * Has the network ask again for every link as soon as an event is final that may change the answer;
 * also when a snapshot took the place of a part of the log. The result ends it.
 */
export function reviewOnFinal(
  core: Pick<Core, 'onFinal' | 'onEpoch'>,
  network: Pick<ManagedNetwork, 'review'>,
): () => void {
  const stops = [
    core.onFinal((events) => {
      if (events.length === 0 || events.some(concernsAccess)) network.review();
    }),
    core.onEpoch(() => network.review()),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
