import { ClockGuard } from './clock-guard.ts';
import type { EpochRun } from './epoch-run.ts';
import { heldKey } from './held-keys.ts';
import type { HeldKey, Self } from './held-keys.ts';
import { OwnMemory } from './own-memory.ts';
import type { Clock, Log } from './ports.ts';

/**
 * The own seat in the committee of the present epoch: whether there is one, and what stands against
 * sealing in it: a key that is not held, a store that has forgotten own blocks, a clock that
 * stepped.
 */
export class OwnSeat {
  readonly #self: Self;
  readonly #run: () => EpochRun;
  readonly #ports: { readonly clock: Clock; readonly log: Log };
  readonly memory: OwnMemory;
  #clockGuard: ClockGuard | undefined;

  /** `run`: the present one. */
  constructor(
    self: Self,
    run: () => EpochRun,
    hasForgotten: boolean,
    ports: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#self = self;
    this.#run = run;
    this.#ports = ports;
    this.memory = new OwnMemory(hasForgotten, ports.log);
    this.entered();
  }

  /** Another run began: a validator's clock is watched from its first epoch in a committee on. */
  entered(): void {
    const { committee, self } = this.#run();
    if (self === undefined) return;
    const { clock, log } = this.#ports;
    this.#clockGuard ??= new ClockGuard(clock, committee, self, log);
    this.#clockGuard.sit(committee, self);
  }

  /** None for a node that never sat in a committee since its start. */
  get clockGuard(): ClockGuard | undefined {
    return this.#clockGuard;
  }

  /** Whether it sits in the committee, also where it only follows. */
  get isThere(): boolean {
    return this.#run().self !== undefined;
  }

  /** The key that the committee names for it, where it is held. */
  get key(): HeldKey | undefined {
    const { committee, self } = this.#run();
    return self === undefined ? undefined : heldKey(this.#self, committee.keyIdAt(self));
  }

  /** Whether it has a seat, but not the key. */
  get lacksKey(): boolean {
    return this.isThere && this.key === undefined;
  }

  /** The own index in the committee; none for one that only follows in this epoch. */
  get author(): number | undefined {
    return this.memory.isLost || this.lacksKey ? undefined : this.#run().self;
  }
}
