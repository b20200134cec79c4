import { fail } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';
import { ApiError } from '#node/client.ts';
import type { Client } from '#node/client.ts';
import { assertTransition } from '#projections/transitions.ts';

/**
 * Throws `member_transition` where the final state, as the node shows it, permits no such step:
 * said before an event is made that would get this verdict. What the node does not show is left to
 * the ledger.
 */
export async function assertStepNow(client: Client, kind: string, actor: Id): Promise<void> {
  const member = await client.member(actor).catch((error: unknown) => {
    if (error instanceof ApiError) return undefined;
    throw error;
  });
  if (member) assertTransition(kind, actor, member.state);
}

/**
 * As `assertStepNow`, for a node's own step. A node that has left is cut off by the others, often
 * before its own ledger knows it: throws `member_removed` then.
 */
export async function assertOwnStep(client: Client, kind: string, actor: Id): Promise<void> {
  await assertStepNow(client, kind, actor);
  const status = await client.status();
  if (status.actor !== actor || status.refusal !== 'member_removed') return;
  fail('member_removed', 'The other nodes say that this one has left for good: nothing is legal.', {
    actor,
    event: kind,
  });
}
