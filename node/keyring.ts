import { readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { keyId } from '#ledger/cose.ts';
import { codeOf, fail } from '#ledger/errors.ts';
import type { HeldKey } from '#ledger/held-keys.ts';
import type { Id } from '#ledger/ports.ts';
import type { EngineName } from '#native/engine.ts';
import { createNextKeyFile, readKeyFile } from './keys.ts';
import type { PassphraseSource } from './passphrase.ts';

/** More files than this are not read: a node needs the present key, the next and the one before. */
const FILES_MAX = 64;
const NAME = /^[0-9a-f]{16}\.key$/;
/** Digits of a key's id in the name of its file. */
const NAME_DIGITS = 16;

export function isKeyFileName(name: string): boolean {
  return NAME.test(name);
}

/** The key files of a folder, sorted; none where it is not there. Throws `too_many_keys`. */
export async function keyFilesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const files = names.filter(isKeyFileName);
  if (files.length > FILES_MAX) {
    fail('too_many_keys', `A node holds at most ${FILES_MAX} further keys: move old ones away.`, {
      folder,
    });
  }
  return files.toSorted().map((name) => join(folder, name));
}

/** A file that is no key of this node, or cannot be opened. */
export interface BadKeyFile {
  readonly file: string;
  readonly code: string;
  readonly error: unknown;
}

/**
 * The keys of a node besides the one in `node.key`: made before a rotation, kept after it, until
 * somebody deletes them. Which of them signs, the ledger says. Read anew by `refresh`, since the
 * command that rotates runs beside the node.
 */
export class Keyring {
  readonly #folder: string;
  readonly #actor: Id;
  readonly #engine: EngineName | undefined;
  readonly #passphrase: PassphraseSource | undefined;
  readonly #read = new Map<string, HeldKey>();
  readonly #held = new Map<Id, HeldKey>();
  readonly #written_ms = new Map<Id, number>();
  /** With what the file was like then: as long as it is, it is not tried again. */
  readonly #bad = new Map<string, { readonly like: string; readonly one: BadKeyFile }>();

  constructor(
    folder: string,
    actor: Id,
    engine?: EngineName,
    passphrase?: PassphraseSource,
  ) {
    this.#folder = folder;
    this.#actor = actor;
    this.#engine = engine;
    this.#passphrase = passphrase;
  }

  /** By SHA-256 of their COSE_Keys. */
  get held(): ReadonlyMap<Id, HeldKey> {
    return this.#held;
  }

  /** Ids by the time of their files, the newest first: the likeliest to be the present one. */
  get newestFirst(): readonly Id[] {
    const written_ms = (id: Id): number => this.#written_ms.get(id) ?? 0;
    return [...this.#held.keys()].toSorted((a, b) => written_ms(b) - written_ms(a));
  }

  /** Files that were left out, one object for each time that one was tried. */
  get bad(): readonly BadKeyFile[] {
    return [...this.#bad.values()].map(({ one }) => one);
  }

  get(id: Id): HeldKey | undefined {
    return this.#held.get(id);
  }

  /**
   * Reads the files that are new; returns whether there were any keys. A file that gives none holds
   * up no other: it goes to `bad`, and is tried again once it is changed, since to open it may cost
   * a good part of a second. Throws `too_many_keys`.
   */
  async refresh(): Promise<boolean> {
    let isNew = false;
    const files = await keyFilesIn(this.#folder);
    for (const file of this.#bad.keys()) if (!files.includes(file)) this.#bad.delete(file);
    for (const file of files) {
      if (this.#read.has(file)) continue;
      const like = await stat(file).then(
        ({ mtimeMs, ctimeMs, size }) => `${mtimeMs} ${ctimeMs} ${size}`,
        () => '',
      );
      if (this.#bad.get(file)?.like === like) continue;
      this.#bad.delete(file);
      try {
        await this.#open(file);
        isNew = true;
      } catch (error) {
        this.#bad.set(file, { like, one: { file, code: codeOf(error), error } });
      }
    }
    return isNew;
  }

  /** Throws what `readKeyFile` throws, and `key_of_other` for one of another actor. */
  async #open(file: string): Promise<void> {
    const { actor, coseKey, signer } = await readKeyFile(file, this.#engine, this.#passphrase);
    if (actor !== this.#actor) {
      fail('key_of_other', 'A key in this directory is of another actor: move it away.', {
        file,
        actor,
      });
    }
    const written_ms = (await stat(file)).mtimeMs;
    this.#read.set(file, { coseKey, signer });
    const id = keyId(coseKey);
    this.#held.set(id, { coseKey, signer });
    this.#written_ms.set(id, written_ms);
  }

  /**
   * Makes a key in a new file, whole or not at all; encrypted where a passphrase is given. Throws
   * `store_failed`.
   */
  async create(passphrase?: PassphraseSource): Promise<HeldKey & { readonly id: Id }> {
    const partOf = (one: Id) => `${this.fileOf(one)}.part`;
    const { coseKey, signer } = await createNextKeyFile(partOf, this.#actor, passphrase);
    const id = keyId(coseKey);
    await rename(partOf(id), this.fileOf(id));
    this.#held.set(id, { coseKey, signer });
    this.#written_ms.set(id, (await stat(this.fileOf(id))).mtimeMs);
    return { id, coseKey, signer };
  }

  /** Where a key of this id has its file. */
  fileOf(id: Id): string {
    return join(this.#folder, `${id.slice(0, NAME_DIGITS)}.key`);
  }
}
