import { decode, encode } from '#ledger/codec.ts';
import { coseKeyOf, jobOf, keyId, sign } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import { decodeInvite, encodeInvite } from '#ledger/invite.ts';
import type { Invite } from '#ledger/invite.ts';
import { idOf } from '#ledger/ids.ts';
import { useStatement } from '#ledger/join.ts';
import type { Id, Signer } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import { SEED_BYTES, signerOfSeed } from '#native/seeded-key.ts';
import type { ActorKey } from '#node/keys.ts';

/**
 * The text that an operator hands over: the invite, its issuer's signature and key, and the seed of
 * the one-time key. Whoever holds it may join, once, so it is a secret.
 */
const PREFIX = 'x0t-invite-1.';
/** Base64url of at most 12 KiB. */
const TOKEN_CHARS_MAX = 16 * 1024;

/** The one-time key of an invite. */
interface OneTimeKey {
  readonly coseKey: Uint8Array;
  readonly signer: Signer;
}

/** A token that was read: its signature holds. */
export interface Token {
  readonly invite: Invite;
  readonly id: Id;
  readonly key: OneTimeKey;
}

export function oneTimeKey(seed: Uint8Array): OneTimeKey {
  const signer = signerOfSeed(seed);
  return { coseKey: coseKeyOf(signer.publicKey), signer };
}

/** The token of an invite whose `key` is that of the seed; signed by the issuer. */
export async function makeToken(
  invite: Invite,
  seed: Uint8Array,
  issuer: Pick<ActorKey, 'coseKey' | 'signer'>,
): Promise<string> {
  const object = encodeInvite(invite);
  const sign1 = await sign(issuer.signer, 'invite', object);
  const bytes = encode([object, sign1, issuer.coseKey, seed]);
  return PREFIX + bytes.toBase64({ alphabet: 'base64url', omitPadding: true });
}

/**
 * Reads a token. Throws `invite_malformed` where it is none or was changed. Whether it is still
 * open only the network knows.
 */
export async function readToken(text: string): Promise<Token> {
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX) || trimmed.length > TOKEN_CHARS_MAX) {
    fail('invite_malformed', `A token begins with ${PREFIX}: copy it whole.`);
  }
  try {
    return await tokenOf(trimmed.slice(PREFIX.length));
  } catch (cause) {
    if (cause instanceof X0tError && cause.code === 'engine_missing') throw cause;
    const message = 'The token was changed or cut off: copy it whole, or ask for another.';
    throw new X0tError('invite_malformed', message, {}, { cause });
  }
}

async function tokenOf(base64: string): Promise<Token> {
  const bytes = Uint8Array.fromBase64(base64, { alphabet: 'base64url' });
  const [object, sign1, issuerKey, seed] = field.listOf(decode(bytes), 'token', 4);
  if (
    !(object instanceof Uint8Array) ||
    !(sign1 instanceof Uint8Array) ||
    !(issuerKey instanceof Uint8Array) ||
    !(seed instanceof Uint8Array) ||
    seed.length !== SEED_BYTES
  ) {
    return fail('wrong_type', 'A token holds an invite, a signature, a key and a seed.');
  }
  const invite = decodeInvite(object);
  const key = oneTimeKey(seed);
  const isFit =
    keyId(issuerKey) === (invite.signer ?? invite.issuer) && keyId(key.coseKey) === invite.key;
  const engine = await loadEngine('liboqs');
  if (!isFit || !engine.verify(jobOf('invite', object, sign1, issuerKey))) {
    fail('bad_signature_form', 'The parts of the token do not fit each other.');
  }
  return { invite, id: idOf(object), key };
}

/** What the one-time key says of who uses it: COSE_Sign1. */
export function proveUse({ invite, id, key }: Token, actor: Id): Promise<Uint8Array> {
  return sign(key.signer, 'invite', useStatement(invite.chain, id, actor));
}
