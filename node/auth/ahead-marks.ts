import { readFile } from 'node:fs/promises';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Clock, Id, Log } from '#ledger/ports.ts';
import { dataPaths } from '#node/data-paths.ts';
import { replaceFile } from '#node/private-file.ts';

/** By how much the clock of who signs a request may be ahead of the node's, seconds. */
export const AHEAD_S_MAX = 10;
/** One write reserves so many seconds more: an actor that calls on and on costs one in three. */
const BLOCK_S = 2;
/** Actors whose clocks are ahead at once; with their seconds some 80 bytes each. */
const ACTORS_MAX = 4096;

/** What outlives the process. */
export interface AheadFile {
  /** `undefined` where there is none. */
  read(): Promise<string | undefined>;
  /** Whole or not at all, and on disk when it resolves. */
  write(text: string): Promise<void>;
}

export interface AheadParts {
  readonly file: AheadFile;
  readonly clock: Pick<Clock, 'wall_ms'>;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * Up to which second requests of an actor may have been taken that were made, by its clock, later
 * than the node's said. What is not ahead need not be remembered over a restart, since nothing is
 * taken that was made before one; what is ahead is written down before it is taken. So a restart
 * refuses nobody whose clock is not ahead, and an actor whose clock is by no more than two seconds
 * beyond those that it has used. A clock that is put back while the node is down undoes this.
 */
export class AheadMarks {
  readonly #parts: AheadParts;
  /** As they were at the start. */
  readonly #floors: ReadonlyMap<Id, number>;
  /** Of everybody, where what was written cannot be read. */
  readonly #floor_s: number;
  readonly #wanted: Map<Id, number>;
  #written: ReadonlyMap<Id, number>;
  #writing: Promise<void> | undefined;

  private constructor(parts: AheadParts, floors: ReadonlyMap<Id, number>, floor_s: number) {
    this.#parts = parts;
    this.#floors = floors;
    this.#floor_s = floor_s;
    this.#wanted = new Map(floors);
    this.#written = floors;
  }

  static async open(parts: AheadParts): Promise<AheadMarks> {
    // whatever stands there: no more than was ever taken
    const most_s = Math.floor(parts.clock.wall_ms() / 1000) + AHEAD_S_MAX + BLOCK_S;
    try {
      const text = await parts.file.read();
      const floors = text === undefined ? [] : readMarks(text);
      const bounded = floors.map(([actor, at_s]) => [actor, Math.min(at_s, most_s)] as const);
      return new AheadMarks(parts, new Map(bounded), -Infinity);
    } catch (error) {
      const err = error instanceof Error ? error.message : String(error);
      parts.log.warn({ err }, 'signed requests that are ahead are refused for some seconds');
      return new AheadMarks(parts, new Map(), most_s);
    }
  }

  /** The first second of which no request of the actor was taken before the start. */
  from_s(actor: Id): number {
    return (this.#floors.get(actor) ?? this.#floor_s) + 1;
  }

  /**
   * Resolves when a restart would remember it, at once where it need not. Throws `overloaded` and
   * `store_failed`.
   */
  async reserve(actor: Id, created_s: number): Promise<void> {
    while (this.#isAhead(created_s) && created_s > (this.#written.get(actor) ?? -Infinity)) {
      if (created_s > (this.#wanted.get(actor) ?? -Infinity)) this.#want(actor, created_s);
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
      await this.#writing;
    }
  }

  #want(actor: Id, created_s: number): void {
    if (this.#wanted.size >= ACTORS_MAX && !this.#wanted.has(actor)) {
      this.#forget();
      if (this.#wanted.size >= ACTORS_MAX) {
        fail('overloaded', 'The clocks of too many callers are ahead of the node: set yours.');
      }
    }
    this.#wanted.set(actor, created_s + BLOCK_S);
  }

  async #write(): Promise<void> {
    this.#forget();
    const marks = new Map(this.#wanted);
    try {
      await this.#parts.file.write(JSON.stringify(Object.fromEntries(marks)));
    } catch (cause) {
      const message = 'What a restart has to know of a signed request cannot be written.';
      throw new X0tError('store_failed', message, {}, { cause });
    }
    this.#written = marks;
  }

  #forget(): void {
    for (const [actor, at_s] of this.#wanted) {
      if (!this.#isAhead(at_s)) this.#wanted.delete(actor);
    }
  }

  #isAhead(at_s: number): boolean {
    return at_s * 1000 > this.#parts.clock.wall_ms();
  }
}

function readMarks(text: string): readonly (readonly [Id, number])[] {
  return Object.entries(JSON.parse(text) as Record<string, unknown>).map(([actor, at_s]) => {
    if (!Number.isSafeInteger(at_s)) throw new TypeError('a second is a whole number');
    return [actor, at_s as number];
  });
}

/** That of a data directory. */
export function aheadFile(directory: string): AheadFile {
  const { apiAhead } = dataPaths(directory);
  return {
    read: () =>
      readFile(apiAhead, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      }),
    write: (text) => replaceFile(apiAhead, text),
  };
}
