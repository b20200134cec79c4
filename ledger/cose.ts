import { fail } from './errors.ts';
import { concatBytes, equalBytes, idOf } from './ids.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from './limits.ts';
import type { Id, SignatureJob, Signer } from './ports.ts';

/**
 * COSE_Sign1 (RFC 9052 section 4.2) with ML-DSA-65 (alg -49), in the one form that wire.md allows:
 * untagged, protected `{1: -49}`, nothing unprotected, detached payload, the domain in
 * `external_aad`. Keys are COSE_Keys of type AKP (7). Both have fixed sizes, so they are compared
 * byte by byte with their fixed parts instead of parsed.
 */

/** What a signature is over; the tag is `x0t/<t>/<v>`. */
export type Domain =
  'event' | 'block' | 'checkpoint' | 'ack' | 'invite' | 'rotation' | 'hello' | 'genesis';

const SIGN1_HEAD = Uint8Array.fromHex('8444a1013830a0f6590ced');
const KEY_HEAD = Uint8Array.fromHex('a30107033830205907a0');

/** Bytes of every COSE_Sign1 here: 3,320. */
export const SIGN1_BYTES = SIGN1_HEAD.length + SIGNATURE_BYTES;
/** Bytes of every COSE_Key here: 1,962. */
export const COSE_KEY_BYTES = KEY_HEAD.length + PUBLIC_KEY_BYTES;

/** The deterministic COSE_Key of a raw ML-DSA-65 public key. */
export function coseKeyOf(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    fail('bad_key', `A key has ${PUBLIC_KEY_BYTES} bytes.`);
  }
  return concatBytes([KEY_HEAD, publicKey]);
}

/** The raw public key inside a COSE_Key; throws `bad_key`. */
export function publicKeyOf(coseKey: Uint8Array): Uint8Array {
  if (
    coseKey.length !== COSE_KEY_BYTES ||
    !equalBytes(coseKey.subarray(0, KEY_HEAD.length), KEY_HEAD)
  ) {
    fail(
      'bad_key',
      'A key is a COSE_Key of type AKP with algorithm ML-DSA-65 in deterministic encoding.',
    );
  }
  return coseKey.subarray(KEY_HEAD.length);
}

/** SHA-256 of a COSE_Key: the name of a key, and of the actor whose inception key it is. */
export function keyId(coseKey: Uint8Array): Id {
  return idOf(coseKey);
}

/** The COSE_Sign1 around a raw signature. */
export function sign1Of(signature: Uint8Array): Uint8Array {
  if (signature.length !== SIGNATURE_BYTES) {
    fail('bad_signature_form', `A signature has ${SIGNATURE_BYTES} bytes.`);
  }
  return concatBytes([SIGN1_HEAD, signature]);
}

/** The raw signature inside a COSE_Sign1; throws `bad_signature_form`. */
export function signatureOf(sign1: Uint8Array): Uint8Array {
  if (
    sign1.length !== SIGN1_BYTES ||
    !equalBytes(sign1.subarray(0, SIGN1_HEAD.length), SIGN1_HEAD)
  ) {
    fail(
      'bad_signature_form',
      'A signature is a detached COSE_Sign1 with ML-DSA-65 and nothing unprotected.',
    );
  }
  return sign1.subarray(SIGN1_HEAD.length);
}

const contexts = new Map<Domain, Uint8Array>();
const text = new TextEncoder();

/** `["Signature1", h'a1013830', external_aad, ` : all of Sig_structure but the payload. */
function contextOf(domain: Domain): Uint8Array {
  let context = contexts.get(domain);
  if (!context) {
    const aad = text.encode(`x0t/${domain}/1`);
    const start = Uint8Array.fromHex('846a5369676e61747572653144a1013830');
    context = concatBytes([start, Uint8Array.of(0x40 + aad.length), aad]);
    contexts.set(domain, context);
  }
  return context;
}

/** Sig_structure (RFC 9052 section 4.4) over the object's bytes: what ML-DSA signs. */
export function toBeSigned(domain: Domain, object: Uint8Array): Uint8Array {
  const context = contextOf(domain);
  const { length } = object;
  const head =
    length < 24
      ? [0x40 + length]
      : length < 0x100
        ? [0x58, length]
        : length < 0x1_0000
          ? [0x59, length >> 8, length & 255]
          : [0x5a, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255];
  const whole = new Uint8Array(context.length + head.length + length);
  whole.set(context);
  whole.set(head, context.length);
  whole.set(object, context.length + head.length);
  return whole;
}

/** The COSE_Sign1 over an object. */
export async function sign(
  signer: Signer,
  domain: Domain,
  object: Uint8Array,
): Promise<Uint8Array> {
  return sign1Of(await signer.sign(toBeSigned(domain, object)));
}

/** The job that checks a COSE_Sign1 over an object; throws `bad_key` or `bad_signature_form`. */
export function jobOf(
  domain: Domain,
  object: Uint8Array,
  sign1: Uint8Array,
  coseKey: Uint8Array,
): SignatureJob {
  return {
    publicKey: publicKeyOf(coseKey),
    message: toBeSigned(domain, object),
    signature: signatureOf(sign1),
  };
}
