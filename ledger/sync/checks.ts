/** Blocks of a catch-up that are checked at the same time. */
const AT_ONCE = 16;

/** Checks under way, bounded; the first that fails ends the catch-up. */
export class Checks {
  readonly #underWay = new Set<Promise<void>>();
  #failures: Error[] = [];

  /** Resolves when there is room for another; rejects with the failure of any before. */
  async add(check: Promise<unknown>): Promise<void> {
    const watched: Promise<void> = check
      .then(
        () => undefined,
        (error: unknown) => void this.#failures.push(asError(error)),
      )
      .finally(() => this.#underWay.delete(watched));
    this.#underWay.add(watched);
    if (this.#underWay.size >= AT_ONCE) await Promise.race(this.#underWay);
    this.#throwFirst();
  }

  /** Resolves when all are done; rejects with the failure of any. */
  async all(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#throwFirst();
  }

  #throwFirst(): void {
    const [failure] = this.#failures.splice(0);
    if (failure) throw failure;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
