import { encode } from './codec.ts';
import { jobOf, keyId, publicKeyOf, sign, signatureOf } from './cose.ts';
import { X0tError } from './errors.ts';
import { signingKeyId } from './event.ts';
import type { Body, Event } from './event.ts';
import { bytesOf, linkOf } from './ids.ts';
import type { Id, SignatureJob, Signer } from './ports.ts';

/**
 * New keys of actors. An actor is the SHA-256 of its inception key for ever; which key signs for it
 * is state. Whoever binds a new key shows that its holder agrees: `proof` is the new key's
 * signature, tag `x0t/rotation/1`, over the canonical
 * `{t:'rotation', v:1, chain, actor, key?, next}`, where `key` is the id of the key that it follows
 * and `next` its own. It is part of the validity of the event, as evidence's signatures are, so a
 * reducer may rely on it; whether the keys may change hands is state.
 */
export const ROTATE_KIND = 'member.rotate/1';
export const REVOKE_KIND = 'member.revoke/1';
export const REKEY_KIND = 'member.rekey/1';

/** Kinds whose bodies name keys: of no other member than `actor`, or the author. */
export const KEY_KINDS: ReadonlySet<string> = new Set([ROTATE_KIND, REVOKE_KIND, REKEY_KIND]);

/** What the new key signs. Its holder agrees to sign for `actor`, on this chain only. */
export interface Rotation {
  readonly chain: Id;
  readonly actor: Id;
  /** The key that is followed; none where an operator binds one to an actor that has none. */
  readonly key?: Id;
  readonly next: Id;
}

/** A new key and its agreement, as `member.rotate/1` and `member.rekey/1` bring them. */
export interface NewKey {
  readonly key: Uint8Array;
  readonly proof: Uint8Array;
}

export function encodeRotation({ chain, actor, key, next }: Rotation): Uint8Array {
  return encode({
    t: 'rotation',
    v: 1,
    chain: linkOf(chain),
    actor: bytesOf(actor),
    ...(key !== undefined && { key: bytesOf(key) }),
    next: bytesOf(next),
  });
}

/** The new key with its agreement. */
export async function agree(
  about: Omit<Rotation, 'next'>,
  next: { readonly coseKey: Uint8Array; readonly signer: Signer },
): Promise<NewKey> {
  const { coseKey: key, signer } = next;
  const object = encodeRotation({ ...about, next: keyId(key) });
  return { key, proof: await sign(signer, 'rotation', object) };
}

/** The body of a `member.rotate/1` by which `actor` goes from key `key` to `next`. */
export async function rotateBody(
  about: { readonly chain: Id; readonly actor: Id; readonly key: Id },
  next: { readonly coseKey: Uint8Array; readonly signer: Signer },
): Promise<Body> {
  return { ...(await agree(about, next)) };
}

/** The body of a `member.rekey/1` by which an operator binds `next` to `actor`. */
export async function rekeyBody(
  { chain, actor }: { readonly chain: Id; readonly actor: Id },
  next: { readonly coseKey: Uint8Array; readonly signer: Signer },
): Promise<Body> {
  return { actor: bytesOf(actor), ...(await agree({ chain, actor }, next)) };
}

/** Whether key and proof of a body have their form; the signature is not verified here. */
export function isNewKey(body: Body): boolean {
  const { key, proof } = body as Partial<NewKey>;
  if (!(key instanceof Uint8Array) || !(proof instanceof Uint8Array)) return false;
  try {
    publicKeyOf(key);
    signatureOf(proof);
    return true;
  } catch (error) {
    if (error instanceof X0tError) return false;
    throw error;
  }
}

/** The new key's signature inside a rotation; none for any other event. */
export function rotationJobs(event: Event): readonly SignatureJob[] {
  const { kind, body, chain } = event;
  if ((kind !== ROTATE_KIND && kind !== REKEY_KIND) || !isNewKey(body)) return [];
  const { key, proof } = body as unknown as NewKey;
  const next = keyId(key);
  if (kind === ROTATE_KIND) {
    const about = { chain, actor: event.actor, key: signingKeyId(event), next };
    return [jobOf('rotation', encodeRotation(about), proof, key)];
  }
  const named = body['actor'];
  if (!(named instanceof Uint8Array) || named.length !== 32) return [];
  return [jobOf('rotation', encodeRotation({ chain, actor: named.toHex(), next }), proof, key)];
}
