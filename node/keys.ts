import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { coseKeyOf, keyId, publicKeyOf } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Id, Signer } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import type { EngineName } from '#native/engine.ts';
import { generateKeyPair } from '#native/oqs.ts';
import { decodeSecretKey, encodeSecretKey } from '#native/secret-key.ts';

/** An actor's key in memory: it signs, and does not show the secret. */
export interface ActorKey {
  readonly actor: Id;
  readonly coseKey: Uint8Array;
  readonly signer: Signer;
}

const PRIVATE_MODE = 0o600;
const PEM = /^-----BEGIN ([A-Z0-9 ]+)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n?/gm;
const SECRET_LABEL = 'PRIVATE KEY';
const PUBLIC_LABEL = 'X0T COSE KEY';

/**
 * Makes an ML-DSA-65 key and writes it to a new file of mode 0600: PEM with the PKCS#8 private key
 * (RFC 9881) and the COSE_Key. Throws `key_exists` instead of overwriting one.
 */
export async function createKeyFile(file: string): Promise<ActorKey> {
  const { publicKey, secretKey } = await generateKeyPair();
  const coseKey = coseKeyOf(publicKey);
  const der = encodeSecretKey(secretKey);
  await writeNewFile(file, pem(SECRET_LABEL, der) + pem(PUBLIC_LABEL, coseKey));
  const signer = (await loadEngine('liboqs')).createSigner(secretKey, publicKey);
  secretKey.fill(0);
  der.fill(0);
  return { actor: keyId(coseKey), coseKey, signer };
}

/** Reads a key file; throws `key_unreadable` or `key_malformed`, without any of its bytes. */
export async function readKeyFile(file: string, engine: EngineName = 'liboqs'): Promise<ActorKey> {
  const parts = pemParts(await readText(file));
  const der = parts.get(SECRET_LABEL);
  const coseKey = parts.get(PUBLIC_LABEL);
  if (!der || !coseKey) {
    return fail('key_malformed', 'The file is no key of this program.', { file });
  }
  const secret = decodeSecretKey(der);
  const signer = (await loadEngine(engine)).createSigner(secret, publicKeyOf(coseKey));
  secret.fill(0);
  der.fill(0);
  return { actor: keyId(coseKey), coseKey, signer };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new X0tError(
      'key_unreadable',
      'The key file cannot be read: check its path and mode.',
      { file },
      { cause },
    );
  }
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

/** Writes a private file that was not there, whole or not at all. */
export async function writeNewFile(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  try {
    await writeFile(file, content, { flag: 'wx', mode: PRIVATE_MODE, flush: true });
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw isThere
      ? new X0tError(
          'key_exists',
          'The file exists and is not overwritten: choose another path.',
          { file },
          { cause },
        )
      : new X0tError(
          'store_failed',
          'The file cannot be written: check the disk.',
          { file },
          { cause },
        );
  }
}

/** Replaces a file whole or not at all. */
export async function replaceFile(file: string, content: string | Uint8Array): Promise<void> {
  const fresh = `${file}.new`;
  await writeFile(fresh, content, { mode: PRIVATE_MODE, flush: true });
  await rename(fresh, file);
}
