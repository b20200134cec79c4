/**
 * Runs one step after another, as long as it is woken, and never two at once. A step that fails is
 * the last one.
 */
export class Turns {
  readonly #step: () => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #current: Promise<void> | undefined;
  #underWay: Promise<void> | undefined;
  #isWoken = false;
  #isInTurn = false;
  #isStopped = false;

  constructor(step: () => Promise<void>, failed: (error: unknown) => void) {
    this.#step = step;
    this.#failed = failed;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Starts a turn; where one is under way, another follows it. */
  wake(): void {
    this.#isWoken = true;
    if (this.#isInTurn || this.#isStopped) return;
    // set before the turn begins, since it may wake itself before its promise is there
    this.#isInTurn = true;
    this.#current = this.#run().finally(() => {
      this.#isInTurn = false;
      this.#current = undefined;
      if (this.#isWoken) this.wake();
    });
  }

  async #run(): Promise<void> {
    try {
      while (this.#isWoken && !this.#isStopped) {
        this.#isWoken = false;
        this.#underWay = this.#step();
        await this.#underWay;
        this.#underWay = undefined;
      }
    } catch (error) {
      this.#isStopped = true;
      this.#failed(error);
    }
  }

  /**
   * Resolves when the turn under way is over, at once where there is none; rejects where it or one
   * before has failed.
   */
  async over(): Promise<void> {
    await this.#underWay;
  }

  /** Resolves when no turn is under way. */
  async settled(): Promise<void> {
    while (this.#current) await this.#current;
  }

  /** No turn follows the one under way; resolves after it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#current;
  }
}
