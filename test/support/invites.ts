import { ed25519 } from '@noble/curves/ed25519.js';
import { base58btc } from 'multiformats/bases/base58';
import { sign } from '#ledger/cose.ts';
import { inviteId } from '#ledger/invite.ts';
import type { Invite, InviteRole } from '#ledger/invite.ts';
import { peerStatement, useStatement } from '#ledger/join.ts';
import type { JoinBody } from '#ledger/join.ts';
import type { Id } from '#ledger/ports.ts';
import type { InviteBody } from '#projections/members-lifecycle-kinds.ts';
import type { TestActor } from './cluster.ts';
import { seededActor } from './seeded-actor.ts';

/** Invites and joins made by hand, with the same keys in every run. */

export interface TestPeer {
  readonly peer: string;
  sign(statement: Uint8Array): Uint8Array;
}

/** A libp2p identity of a name. */
export function seededPeer(name: string): TestPeer {
  const secret = new Uint8Array(32);
  new TextEncoder().encodeInto(`peer ${name}`, secret);
  const key = ed25519.getPublicKey(secret);
  const id = Uint8Array.of(0, 36, 8, 1, 18, 32, ...key);
  return {
    peer: base58btc.baseEncode(id),
    sign: (statement) => ed25519.sign(statement, secret),
  };
}

export interface TestInvite {
  readonly body: InviteBody;
  readonly id: Id;
  readonly key: TestActor;
}

/** The body of `member.invite/1` by `issuer`, and what the token would hold. */
export function invite(
  chain: Id,
  issuer: Id,
  name: string,
  roles: readonly InviteRole[],
  more: Partial<Pick<Invite, 'labels' | 'capabilities' | 'addrs' | 'notAfter_ms'>> = {},
): TestInvite {
  const key = seededActor(`invite ${name}`);
  const none = { labels: [], capabilities: [], addrs: [] };
  const terms = { ...none, notAfter_ms: 1_767_312_000_000, ...more };
  const id = inviteId({ chain, issuer, key: key.actor, roles, ...terms });
  return { body: { keyHash: Uint8Array.fromHex(key.actor), roles, ...terms }, id, key };
}

/** The body of `member.join/1`. `change` replaces fields, for what must be refused. */
export async function joinBody(
  chain: Id,
  invited: TestInvite,
  who: TestActor,
  node: TestPeer | undefined,
  change: Partial<Record<keyof JoinBody, unknown>> = {},
): Promise<Record<string, unknown>> {
  const use = useStatement(chain, invited.id, who.actor);
  return {
    key: who.coseKey,
    invite: Uint8Array.fromHex(invited.id),
    inviteKey: invited.key.coseKey,
    proof: await sign(invited.key.signer, 'invite', use),
    ...(node && {
      peer: node.peer,
      peerProof: node.sign(peerStatement(chain, who.actor, node.peer)),
    }),
    ...change,
  };
}
