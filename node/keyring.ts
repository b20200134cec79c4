import { readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
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

  get(id: Id): HeldKey | undefined {
    return this.#held.get(id);
  }

  /**
   * Reads the files that are new; returns whether there were any. Throws what `readKeyFile` throws,
   * and `key_of_other` for one of another actor.
   */
  async refresh(): Promise<boolean> {
    let isNew = false;
    for (const file of await keyFilesIn(this.#folder)) {
      if (this.#read.has(file)) continue;
      const { actor, coseKey, signer } = await readKeyFile(file, this.#engine, this.#passphrase);
      if (actor !== this.#actor) {
        fail('key_of_other', 'A key in this directory is of another actor: move it away.', {
          file,
          actor,
        });
      }
      this.#read.set(file, { coseKey, signer });
      const id = keyId(coseKey);
      this.#held.set(id, { coseKey, signer });
      this.#written_ms.set(id, (await stat(file)).mtimeMs);
      isNew = true;
    }
    return isNew;
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
