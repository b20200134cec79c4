import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '#test/sim/random.ts';
import type { Seat } from './seats.ts';

/** What the soak does to the nodes while they are under load. */

export interface FaultCounts {
  kills: number;
  killsWhileStarting: number;
  stops: number;
  restarts: number;
  allDown: number;
  blocks: number;
}

/** Faults under way at once. */
const AT_ONCE_MAX = 3;
const PAUSE_MS = [1000, 5000] as const;
const DOWN_MS = [0, 8000] as const;
const BLOCKED_MS = [500, 12_000] as const;

/** Plays faults until told to stop; what they broke is mended when `run` resolves. */
export class FaultSchedule {
  readonly counts: FaultCounts = {
    kills: 0,
    killsWhileStarting: 0,
    stops: 0,
    restarts: 0,
    allDown: 0,
    blocks: 0,
  };
  readonly #seats: readonly Seat[];
  readonly #random: Random;
  readonly #signal: AbortSignal;
  /** Who refuses whom, as `from/to` of indexes, with how many faults want it. */
  readonly #refusals = new Map<string, number>();

  constructor(seats: readonly Seat[], random: Random, signal: AbortSignal) {
    this.#seats = seats;
    this.#random = random;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const underWay = new Set<Promise<void>>();
    while (!this.#signal.aborted) {
      await this.#pause(PAUSE_MS);
      if (this.#signal.aborted || underWay.size >= AT_ONCE_MAX || this.#isDown) continue;
      const fault = this.#draw()().finally(() => underWay.delete(fault));
      underWay.add(fault);
      // a node that cannot start is what the run fails with
      fault.catch(() => undefined);
    }
    await Promise.all(underWay);
  }

  /** Most nodes are down: the next fault waits, so that a slow machine gets them up again. */
  get #isDown(): boolean {
    return this.#seats.filter(({ node }) => node).length < this.#seats.length / 2;
  }

  #draw(): () => Promise<void> {
    const { length } = this.#seats;
    const some = (): number => this.#random.between(1, length);
    return this.#random.pick([
      () => this.#kill(1),
      () => this.#kill(1),
      () => this.#kill(1),
      () => this.#kill(some()),
      () => this.#kill(length),
      () => this.#stop(),
      () => this.#killWhileStarting(),
      () => this.#partition(),
      () => this.#partition(),
      () => this.#refuse(),
      () => this.#closeConnections(),
    ]);
  }

  /** Ends early when the faults are over. */
  async #pause([min, max]: readonly [number, number]): Promise<void> {
    const pause_ms = this.#random.between(min, max);
    await sleep(pause_ms, undefined, { signal: this.#signal }).catch(() => undefined);
  }

  async #restart(seat: Seat): Promise<void> {
    await this.#pause(DOWN_MS);
    await seat.start();
    this.counts.restarts += 1;
  }

  async #kill(count: number): Promise<void> {
    const chosen = this.#random.some(this.#seats, count);
    const killed = await Promise.all(chosen.map((seat) => seat.kill()));
    this.counts.kills += killed.filter(Boolean).length;
    if (this.#seats.every(({ node }) => !node)) this.counts.allDown += 1;
    await Promise.all(chosen.map((seat) => this.#restart(seat)));
  }

  async #stop(): Promise<void> {
    const seat = this.#random.pick(this.#seats);
    if (await seat.stop()) this.counts.stops += 1;
    await this.#restart(seat);
  }

  async #killWhileStarting(): Promise<void> {
    const seat = this.#random.pick(this.#seats);
    if (await seat.kill()) this.counts.kills += 1;
    for (let i = 0; i < 2; i++) {
      const isKilled = await seat.startAndKill(this.#random.between(200, 3000));
      if (isKilled) this.counts.killsWhileStarting += 1;
    }
    await this.#restart(seat);
  }

  /** Nodes of different groups refuse each other. */
  async #partition(): Promise<void> {
    const groups = this.#seats.map(() => this.#random.below(2));
    const pairs = this.#seats.flatMap((a) =>
      this.#seats.flatMap((b) => (groups[a.index] === groups[b.index] ? [] : [[a, b] as const])),
    );
    await this.#refusing(pairs, BLOCKED_MS);
  }

  /** One node refuses another that would have it. */
  async #refuse(): Promise<void> {
    const [a, b] = this.#random.some(this.#seats, 2);
    if (a && b) await this.#refusing([[a, b]], BLOCKED_MS);
  }

  /** One node's connections are closed again and again. */
  async #closeConnections(): Promise<void> {
    const victim = this.#random.pick(this.#seats);
    const others = this.#seats.filter((seat) => seat !== victim);
    for (let i = 0; i < 4 && !this.#signal.aborted; i++) {
      await this.#refusing(others.map((other) => [victim, other] as const), [20, 300]);
      await this.#pause([100, 1000]);
    }
  }

  async #refusing(
    pairs: readonly (readonly [Seat, Seat])[],
    for_ms: readonly [number, number],
  ): Promise<void> {
    this.counts.blocks += pairs.length;
    await this.#change(pairs, 1);
    await this.#pause(for_ms);
    await this.#change(pairs, -1);
  }

  async #change(pairs: readonly (readonly [Seat, Seat])[], by: number): Promise<void> {
    for (const [from, to] of pairs) {
      const key = `${from.index}/${to.index}`;
      this.#refusals.set(key, (this.#refusals.get(key) ?? 0) + by);
    }
    await Promise.all([...new Set(pairs.map(([from]) => from))].map((seat) => this.#tell(seat)));
  }

  #tell(seat: Seat): Promise<void> {
    const refused = this.#seats.filter(
      (other) => (this.#refusals.get(`${seat.index}/${other.index}`) ?? 0) > 0,
    );
    return seat.block(refused.map(({ peer }) => peer));
  }
}
