import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import type { ScryptOptions } from 'node:crypto';
import { promisify } from 'node:util';
import { Decrypter, Encrypter, Stanza, armor } from 'age-encryption';
import type { Identity, Recipient } from 'age-encryption';
import { X0tError, fail } from '#ledger/errors.ts';

/**
 * Files encrypted with a passphrase, as the program `age` writes and reads them (age-encryption.org
 * v1, armored): scrypt, then ChaCha20-Poly1305. So a key can be had from its backup without this
 * program: `age --decrypt node.key`.
 */

/**
 * Base-2 logarithm of scrypt's cost (RFC 7914, r 8, p 1): 128 MiB and some 0.4 s here. What OWASP
 * asks for; age's own default takes twice as much on every start of a node.
 */
const WORK_FACTOR = 17;
/** A file that asks for more is refused: 512 MiB. */
const WORK_FACTOR_MAX = 19;

/** NIST SP 800-63B asks for 8; there is no limit of tries for who has the file. */
export const PASSPHRASE_CHARS_MIN = 12;
export const PASSPHRASE_CHARS_MAX = 1024;

const LABEL = 'scrypt';
const SALT_LABEL = 'age-encryption.org/v1/scrypt';
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const FILE_KEY_BYTES = 16;
const AEAD = 'chacha20-poly1305';
const TAG = { authTagLength: 16 };
const BODY_BYTES = FILE_KEY_BYTES + TAG.authTagLength;
/** The key is used once. */
const ZERO_NONCE = new Uint8Array(12);

const scryptKey = promisify<string, Uint8Array, number, ScryptOptions, Buffer>(scrypt);

const HEAD = '-----BEGIN AGE ENCRYPTED FILE-----';
const NO_IDENTITY = "no identity matched any of the file's recipients";

export function isSealed(content: string | Uint8Array): boolean {
  const head = content.slice(0, HEAD.length);
  return (typeof head === 'string' ? head : new TextDecoder().decode(head)) === HEAD;
}

/** Encrypts what a file holds. Throws `passphrase_weak`. */
export async function seal(content: string | Uint8Array, passphrase: string): Promise<string> {
  const { length } = passphrase;
  if (length < PASSPHRASE_CHARS_MIN || length > PASSPHRASE_CHARS_MAX) {
    const bounds = `${PASSPHRASE_CHARS_MIN} to ${PASSPHRASE_CHARS_MAX}`;
    fail('passphrase_weak', `Choose a passphrase of ${bounds} characters.`, { length });
  }
  const encrypter = new Encrypter();
  encrypter.addRecipient(new PassphraseLock(passphrase));
  return armor.encode(await encrypter.encrypt(content));
}

/** What a file held; throws `passphrase_wrong` or `key_malformed`, which name the file only. */
export async function unseal(
  sealed: string,
  passphrase: string,
  file: string,
): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(new PassphraseLock(passphrase));
  try {
    return await decrypter.decrypt(armor.decode(sealed));
  } catch (error) {
    // the cause is left out: it may quote what it read
    const isWrong = error instanceof Error && error.message === NO_IDENTITY;
    throw isWrong
      ? new X0tError('passphrase_wrong', 'The passphrase does not open the file.', { file })
      : new X0tError('key_malformed', 'The encrypted file is damaged: take its backup.', { file });
  }
}

/**
 * The scrypt recipient of age-encryption.org/v1 by the scrypt in Node's OpenSSL: the library's own
 * takes seven times as long, at each start of a node.
 */
class PassphraseLock implements Recipient, Identity {
  readonly #passphrase: string;

  constructor(passphrase: string) {
    this.#passphrase = passphrase;
  }

  async wrapFileKey(fileKey: Uint8Array): Promise<Stanza[]> {
    const salt = randomBytes(SALT_BYTES);
    const cipher = createCipheriv(AEAD, await this.#key(salt, WORK_FACTOR), ZERO_NONCE, TAG);
    const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
    const args = [LABEL, base64(salt), `${WORK_FACTOR}`];
    return [new Stanza(args, body)];
  }

  async unwrapFileKey([stanza, ...others]: Stanza[]): Promise<Uint8Array | null> {
    const [label, salt = '', factor = ''] = stanza?.args ?? [];
    // a passphrase stands alone (section "The scrypt recipient type")
    if (label !== LABEL || others.length > 0 || !stanza) return null;
    const logN = /^[1-9][0-9]?$/.test(factor) ? Number(factor) : Number.POSITIVE_INFINITY;
    const saltBytes = Uint8Array.fromBase64(salt);
    const { body } = stanza;
    const isOurs = saltBytes.length === SALT_BYTES && body.length === BODY_BYTES;
    if (logN > WORK_FACTOR_MAX || !isOurs) throw new Error('no scrypt stanza');
    const decipher = createDecipheriv(AEAD, await this.#key(saltBytes, logN), ZERO_NONCE, TAG);
    decipher.setAuthTag(body.subarray(FILE_KEY_BYTES));
    const fileKey = decipher.update(body.subarray(0, FILE_KEY_BYTES));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return fileKey;
  }

  #key(salt: Uint8Array, logN: number): Promise<Buffer> {
    const salted = Buffer.concat([Buffer.from(SALT_LABEL), salt]);
    const cost = { N: 2 ** logN, r: 8, p: 1, maxmem: 2 ** (logN + 11) };
    return scryptKey(this.#passphrase, salted, KEY_BYTES, cost);
  }
}

function base64(bytes: Uint8Array): string {
  return bytes.toBase64({ omitPadding: true });
}
