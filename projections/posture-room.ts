import type { Id } from '#ledger/ports.ts';

/**
 * Who makes room where something is held of as many members as may be: else one validator that
 * reports everybody would keep out what others have to say.
 */

/** Who wants a place: what is certain (an operator, evidence), or a validator with its report. */
export type Claim = 'certain' | { readonly reporter: Id; readonly support: number };

/**
 * The member that goes, of those whose reporters are given; `undefined` for none. What is certain
 * takes the place of whom the fewest report. A report takes that of a member of whom fewer than
 * `support` report anything, hence without any effect: the first that is reported by the validator
 * with the most of these, if that has more than the new reporter will.
 */
export function whoGoes(subjects: ReadonlyMap<Id, readonly Id[]>, claim: Claim): Id | undefined {
  if (claim === 'certain') {
    const fewest = Math.min(...Array.from(subjects.values(), ({ length }) => length));
    return firstOf(subjects, ({ length }) => length === fewest);
  }
  const places = new Map<Id, number>();
  for (const reporters of subjects.values()) {
    if (reporters.length >= claim.support) continue;
    for (const one of reporters) places.set(one, (places.get(one) ?? 0) + 1);
  }
  const most = Math.max(0, ...places.values());
  if ((places.get(claim.reporter) ?? 0) + 1 >= most) return undefined;
  return firstOf(subjects, (reporters) => {
    return (
      reporters.length < claim.support && reporters.some((one) => places.get(one) === most)
    );
  });
}

function firstOf(
  subjects: ReadonlyMap<Id, readonly Id[]>,
  fits: (reporters: readonly Id[]) => boolean,
): Id | undefined {
  for (const [actor, reporters] of subjects) if (fits(reporters)) return actor;
  return undefined;
}
