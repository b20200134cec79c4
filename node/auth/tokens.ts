import { createHash, timingSafeEqual } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { X0tError, codeOf } from '#ledger/errors.ts';
import type { Clock, Entropy, Log } from '#ledger/ports.ts';
import { dataPaths } from '#node/data-paths.ts';
import { replaceFile, writeNewFile } from '#node/private-file.ts';

/**
 * Bearer tokens of a data directory: one for its operator, one for who watches its metrics. Each is
 * 32 random bytes as base64url in a file of mode 0600; a new file takes the place of the old one
 * within a second, in the running node too.
 */

export const TOKEN_BYTES = 32;
export const TOKEN = /^[A-Za-z0-9_-]{43}$/;
/** How long a file that changed may still count as it was. */
const LOOK_MS = 1000;

export type TokenName = 'operator' | 'monitor';

export function tokenFile(directory: string, name: TokenName): string {
  const { apiToken, monitorToken } = dataPaths(directory);
  return name === 'operator' ? apiToken : monitorToken;
}

/** Makes those that a data directory does not have. */
export async function ensureTokens(directory: string, entropy: Entropy): Promise<void> {
  for (const name of ['operator', 'monitor'] as const) {
    const file = tokenFile(directory, name);
    if (existsSync(file)) continue;
    await writeNewFile(file, fresh(entropy)).catch((error: unknown) => {
      // somebody else has made it meanwhile
      if (codeOf(error) !== 'key_exists') throw error;
    });
  }
}

/** A new token in the place of the old one; returns its file. */
export async function renewToken(
  directory: string,
  name: TokenName,
  entropy: Entropy,
): Promise<string> {
  const file = tokenFile(directory, name);
  await replaceFile(file, fresh(entropy));
  return file;
}

/** Throws `token_unreadable`. Secret. */
export async function readToken(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const message = 'The token cannot be read: check its path and mode.';
    throw new X0tError('token_unreadable', message, { file }, { cause });
  });
  const token = text.trim();
  if (TOKEN.test(token)) return token;
  throw new X0tError('token_unreadable', 'The file holds no token: `npx x0t token renew`.', {
    file,
  });
}

function fresh(entropy: Entropy): string {
  const text = { alphabet: 'base64url', omitPadding: true } as const;
  return `${entropy.bytes(TOKEN_BYTES).toBase64(text)}\n`;
}

interface Held {
  /** What the file system said of the file when it was read. */
  readonly mark: string;
  readonly digest: Buffer;
}

export interface TokensParts {
  readonly directory: string;
  readonly clock: Pick<Clock, 'monotonic_ms' | 'after'>;
  readonly log: Log;
}

/** The tokens as the running node knows them: by their hashes. What cannot be read is nobody's. */
export class Tokens {
  readonly #parts: TokensParts;
  readonly #held = new Map<TokenName, Held>();
  #looked_ms = -Infinity;
  #looking: Promise<void> | undefined;
  readonly #listeners = new Set<() => void>();
  #cancelLook: (() => void) | undefined;

  constructor(parts: TokensParts) {
    this.#parts = parts;
  }

  /** Whose token it is; compared in constant time. */
  async ownerOf(token: string): Promise<TokenName | undefined> {
    await this.#look();
    return this.#ownerOf(digestOf(token));
  }

  /** Whether a token that was somebody's still is, as far as was seen by now. */
  isStill(token: string, owner: TokenName): boolean {
    return this.#ownerOf(digestOf(token)) === owner;
  }

  /**
   * Calls after a file was seen to have changed: they are looked at every second while anybody
   * listens. The returned function ends it.
   */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#lookOn();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#cancelLook?.();
    };
  }

  #lookOn(): void {
    this.#cancelLook = this.#parts.clock.after(LOOK_MS, () => {
      void this.#look().finally(() => {
        if (this.#listeners.size > 0) this.#lookOn();
      });
    });
  }

  #ownerOf(digest: Buffer): TokenName | undefined {
    let owner: TokenName | undefined;
    for (const [name, held] of this.#held) {
      if (timingSafeEqual(held.digest, digest)) owner = name;
    }
    return owner;
  }

  async #look(): Promise<void> {
    const now_ms = this.#parts.clock.monotonic_ms();
    if (now_ms - this.#looked_ms < LOOK_MS) return this.#looking;
    this.#looked_ms = now_ms;
    this.#looking = this.#readAll();
    return this.#looking;
  }

  async #readAll(): Promise<void> {
    const changes = await Promise.all([this.#read('operator'), this.#read('monitor')]);
    if (changes.includes(true)) for (const listener of this.#listeners) listener();
  }

  /** Whether it is another one than before. */
  async #read(name: TokenName): Promise<boolean> {
    const file = tokenFile(this.#parts.directory, name);
    try {
      const { ino, size, mtimeMs } = await stat(file);
      const mark = `${ino} ${size} ${mtimeMs}`;
      if (this.#held.get(name)?.mark === mark) return false;
      this.#held.set(name, { mark, digest: digestOf(await readToken(file)) });
      return true;
    } catch (error) {
      // a disk that fails says nothing of what is on it
      if ((error as NodeJS.ErrnoException).code === 'EIO') return false;
      if (!this.#held.delete(name)) return false;
      this.#parts.log.warn({ code: codeOf(error), name }, 'a token of the API is gone');
      return true;
    }
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
