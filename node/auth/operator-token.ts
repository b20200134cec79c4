import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { systemEntropy } from '#node/system.ts';
import { writeNewFile } from '#node/private-file.ts';

/**
 * The token of whoever may read a data directory: made at `init`, of mode 0600. It is sent as
 * `Authorization: Bearer ...` and counts for connections from the machine itself only.
 */

const TOKEN_BYTES = 32;
const PREFIX = 'x0t_';

export async function createToken(file: string): Promise<string> {
  const secret = systemEntropy.bytes(TOKEN_BYTES);
  const token = PREFIX + secret.toBase64({ alphabet: 'base64url', omitPadding: true });
  await writeNewFile(file, `${token}\n`);
  return token;
}

/** The token in a file; `undefined` where there is none. */
export async function readToken(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const token = text.trim();
  return token.startsWith(PREFIX) ? token : undefined;
}

/** Compares in a time that tells nothing of either. */
export function isSameToken(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
