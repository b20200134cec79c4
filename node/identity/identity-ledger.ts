import type { Core } from '#ledger/core.ts';
import type { Clock } from '#ledger/ports.ts';
import { identity, readIdentity } from '#projections/identity.ts';
import type { IdentityLedger } from './service.ts';
import { isOfIdentity, isOfStanding, mayIssue } from './may-issue.ts';

/** Whether a network has identities on its ledger. */
export function hasIdentities({ chain }: Pick<Core, 'chain'>): boolean {
  return chain.genesis.projections.some(([name]) => name === identity.name);
}

/** A node's final log as identities need it. */
export function identityLedger(core: Core, clock: Pick<Clock, 'wall_ms'>): IdentityLedger {
  const isActive = hasIdentities(core);
  return {
    view: () => (isActive ? readIdentity(core.rows(identity.name, 'final')) : undefined),
    mayIssue: (actor) => mayIssue(core.replica.fold.reducer, actor, clock.wall_ms()),
    finals: () => core.replica.fold.size,
    onChange: (listener) =>
      core.onFinal((events) => {
        const kinds = events.map(({ entry }) => entry.event.kind);
        if (kinds.length === 0 || kinds.some(isOfIdentity)) listener(true);
        else if (kinds.some(isOfStanding)) listener(false);
      }),
    author: (kind, body) => core.author(kind, body, true),
  };
}
