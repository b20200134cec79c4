import { encode } from './codec.ts';
import { jobOf, keyId, publicKeyOf, signatureOf } from './cose.ts';
import { X0tError } from './errors.ts';
import type { Body, Event } from './event.ts';
import { bytesOf, linkOf } from './ids.ts';
import type { Id, PeerName, SignatureJob } from './ports.ts';

/**
 * The event by which the holder of an invite becomes a member. It stands by itself: the one-time
 * key signs who uses it, so whoever sees the event cannot use the invite for another actor, and the
 * node's libp2p key signs for which actor it speaks. The first signature is part of the event's
 * validity, as evidence's are; the second is checked when the event is applied.
 */
export const JOIN_KIND = 'member.join/1';

export interface JoinBody {
  /** The joiner's COSE_Key: its inception key. */
  readonly key: Uint8Array;
  /** The libp2p peer id of its node; none for one who only signs. */
  readonly peer?: string;
  /** Ed25519 signature by the libp2p key over `peerStatement`; with `peer` only. */
  readonly peerProof?: Uint8Array;
  /** Id of the invite, 32 bytes. */
  readonly invite: Uint8Array;
  /** The one-time COSE_Key. */
  readonly inviteKey: Uint8Array;
  /** COSE_Sign1 by the one-time key over `useStatement`. */
  readonly proof: Uint8Array;
  readonly addrs?: readonly string[];
}

/** What the one-time key signs, with the tag of invites: this actor uses it. */
export function useStatement(chain: Id, invite: Id, actor: Id): Uint8Array {
  return encode({
    t: 'invite',
    v: 1,
    chain: linkOf(chain),
    invite: bytesOf(invite),
    actor: bytesOf(actor),
  });
}

/** What the libp2p key signs: it speaks for this actor. */
export function peerStatement(chain: Id, actor: Id, peer: PeerName): Uint8Array {
  return encode({ t: 'peer', v: 1, chain: linkOf(chain), actor: bytesOf(actor), peer });
}

/** The body where it has its form; signatures are not verified here. */
export function readJoin(body: Body): JoinBody | undefined {
  const { key, peer, peerProof, invite, inviteKey, proof } = body as unknown as JoinBody;
  const parts = [key, invite, inviteKey, proof];
  if (!parts.every((part) => part instanceof Uint8Array) || invite.length !== 32) return undefined;
  const isPaired =
    peer === undefined
      ? peerProof === undefined
      : typeof peer === 'string' && peerProof instanceof Uint8Array && peerProof.length === 64;
  if (!isPaired) return undefined;
  try {
    publicKeyOf(key);
    publicKeyOf(inviteKey);
    signatureOf(proof);
  } catch (error) {
    if (error instanceof X0tError) return undefined;
    throw error;
  }
  return body as unknown as JoinBody;
}

/** The signature of the one-time key inside a join; none for any other event. */
export function joinJobs({ chain, actor, kind, body }: Event): readonly SignatureJob[] {
  const join = kind === JOIN_KIND ? readJoin(body) : undefined;
  if (!join) return [];
  const statement = useStatement(chain, join.invite.toHex(), actor);
  return [jobOf('invite', statement, join.proof, join.inviteKey)];
}

/** Whether the event names the inception key of its own actor. */
export function isOwnKey({ actor, key }: Event, join: JoinBody): boolean {
  return key === undefined && keyId(join.key) === actor;
}
