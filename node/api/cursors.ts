import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { fail } from '#ledger/errors.ts';
import { KEY_BYTES_MAX } from '#projections/kv.ts';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LENGTH_BYTES = 2;
const TEXT_BYTES = LENGTH_BYTES + KEY_BYTES_MAX;
/** Of every cursor; no key has as many, so that none is taken for one. */
export const CURSOR_CHARS = Math.ceil(((NONCE_BYTES + TEXT_BYTES + TAG_BYTES) * 4) / 3);

/**
 * Places in listings of keys that the caller may not read: encrypted for this process, all of one
 * length, and each for the prefix that was listed.
 */
export class Cursors {
  readonly #secret = randomBytes(32);

  seal(key: string, prefix: string): string {
    const text = Buffer.alloc(TEXT_BYTES);
    text.writeUInt16BE(text.write(key, LENGTH_BYTES), 0);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#secret, nonce).setAAD(Buffer.from(prefix));
    const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
    return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url');
  }

  /** The key of a place. Throws `cursor_unknown`. */
  open(cursor: string, prefix: string): string {
    try {
      const bytes = Buffer.from(cursor, 'base64url');
      const nonce = bytes.subarray(0, NONCE_BYTES);
      const cipher = createDecipheriv(ALGORITHM, this.#secret, nonce, { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(prefix))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      const sealed = bytes.subarray(NONCE_BYTES, -TAG_BYTES);
      const text = Buffer.concat([cipher.update(sealed), cipher.final()]);
      return text.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + text.readUInt16BE(0));
    } catch {
      return fail('cursor_unknown', 'This is no `next` of this listing: begin it again.');
    }
  }
}
