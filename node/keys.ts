import { coseKeyOf, keyId, publicKeyOf } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import type { Id, Signer } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import type { EngineName } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';
import { decodeSecretKey, encodeSecretKey } from '#native/secret-key.ts';
import type { PassphraseSource } from './passphrase.ts';
import { readSecret, writeNewSecret } from './private-file.ts';

/**
 * An actor's key in memory: it signs, and does not show the secret. Its first key, whose hash is
 * its name, or a later one.
 */
export interface ActorKey {
  readonly actor: Id;
  readonly coseKey: Uint8Array;
  readonly signer: Signer;
}

const PEM = /^-----BEGIN ([A-Z0-9 ]+)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n?/gm;
const SECRET_LABEL = 'PRIVATE KEY';
const PUBLIC_LABEL = 'X0T COSE KEY';
/** Whose key it is, where it is not the actor's first. */
const ACTOR_LABEL = 'X0T ACTOR';
const ACTOR_BYTES = 32;

/**
 * Makes an ML-DSA-65 key and writes it to a new file of mode 0600: PEM with the PKCS#8 private key
 * (RFC 9881) and the COSE_Key; encrypted where a passphrase is given. Throws `key_exists` instead
 * of overwriting one.
 */
export async function createKeyFile(
  file: string,
  passphrase?: PassphraseSource,
): Promise<ActorKey> {
  return createKey(() => file, undefined, passphrase);
}

/**
 * Makes a further key of an actor in a new file, which names the actor: it signs for it once the
 * ledger says so. `fileOf` names the file by the id of the key. Else as `createKeyFile`.
 */
export async function createNextKeyFile(
  fileOf: (id: Id) => string,
  actor: Id,
  passphrase?: PassphraseSource,
): Promise<ActorKey> {
  return createKey(fileOf, actor, passphrase);
}

async function createKey(
  fileOf: (id: Id) => string,
  actor: Id | undefined,
  passphrase?: PassphraseSource,
): Promise<ActorKey> {
  const { publicKey, secretKey } = await generateKeyPair();
  const coseKey = coseKeyOf(publicKey);
  const id = keyId(coseKey);
  const der = encodeSecretKey(secretKey);
  const whose = actor === undefined ? '' : pem(ACTOR_LABEL, Uint8Array.fromHex(actor));
  const text = pem(SECRET_LABEL, der) + pem(PUBLIC_LABEL, coseKey) + whose;
  await writeNewSecret(fileOf(id), text, passphrase);
  const signer = (await loadEngine('liboqs')).createSigner(secretKey, publicKey);
  secretKey.fill(0);
  der.fill(0);
  return { actor: actor ?? id, coseKey, signer };
}

/**
 * Reads a key file; throws `key_unreadable`, `key_malformed` or `passphrase_wrong`, without any of
 * its bytes.
 */
export async function readKeyFile(
  file: string,
  engine: EngineName = 'liboqs',
  passphrase?: PassphraseSource,
): Promise<ActorKey> {
  const parts = pemParts(new TextDecoder().decode(await readSecret(file, passphrase)));
  const der = parts.get(SECRET_LABEL);
  const coseKey = parts.get(PUBLIC_LABEL);
  const actor = parts.get(ACTOR_LABEL);
  if (!der || !coseKey || (actor && actor.length !== ACTOR_BYTES)) {
    return fail('key_malformed', 'The file is no key of this program.', { file });
  }
  const secret = decodeSecretKey(der);
  const signer = (await loadEngine(engine)).createSigner(secret, publicKeyOf(coseKey));
  secret.fill(0);
  der.fill(0);
  return { actor: actor?.toHex() ?? keyId(coseKey), coseKey, signer };
}

/** The public part of a key as text. */
export function publicPem(coseKey: Uint8Array): string {
  return pem(PUBLIC_LABEL, coseKey);
}

function pem(label: string, bytes: Uint8Array): string {
  const lines = bytes.toBase64().match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function pemParts(text: string): Map<string, Uint8Array> {
  const parts = new Map<string, Uint8Array>();
  for (const [, label, base64] of text.matchAll(PEM)) {
    if (label && base64) parts.set(label, Uint8Array.fromBase64(base64.replaceAll('\n', '')));
  }
  return parts;
}
