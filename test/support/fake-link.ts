/** One link of the fake network: a pair of nodes, what happens on its way, and whether it is up. */
import type { Clock, PeerName } from '#ledger/ports.ts';

export interface LinkShape {
  /** One-way delay, drawn evenly from this range for every gossip message and frame. */
  readonly delay_ms: readonly [min: number, max: number];
  /**
   * Share of gossip messages that vanish, 0 to 1. Requests run over streams, which lose nothing.
   */
  readonly loss: number;
  /** Share of gossip messages that arrive twice, 0 to 1. */
  readonly duplicate: number;
}

/** Uniform numbers in [0, 1) from a seed (mulberry32); the same seed gives the same run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An exchange under way over a link; it is told when the link goes down. */
export interface Exchange {
  linkDown(): void;
}

export class FakeLink {
  readonly ends: readonly [PeerName, PeerName];
  readonly #clock: Clock;
  readonly #random: () => number;
  shape: LinkShape;
  /** Nothing passes; both ends notice only after a while. */
  cut = false;
  /** Both ends hold each other for connected. */
  up = false;
  /** Cancels the change of `up` that is on its way. */
  pending: { readonly up: boolean; readonly cancel: () => void } | undefined;
  readonly exchanges = new Set<Exchange>();
  /** Stream data that waits for the cut to heal, in order. */
  #stalled: (() => void)[] = [];

  constructor(
    ends: readonly [PeerName, PeerName],
    shape: LinkShape,
    clock: Clock,
    random: () => number,
  ) {
    this.ends = ends;
    this.shape = shape;
    this.#clock = clock;
    this.#random = random;
  }

  delay_ms(): number {
    const [min, max] = this.shape.delay_ms;
    return min + Math.floor(this.#random() * (max - min + 1));
  }

  /** Draws whether a gossip message is lost, passes once, or twice. */
  copies(): number {
    if (this.#random() < this.shape.loss) return 0;
    return this.#random() < this.shape.duplicate ? 2 : 1;
  }

  /**
   * A lane of stream data: in order, delayed, held back while the link is cut, gone when it is
   * down.
   */
  lane(): (deliver: () => void) => void {
    let last_ms = 0;
    return (deliver) => {
      const now_ms = this.#clock.monotonic_ms();
      last_ms = Math.max(last_ms, now_ms + this.delay_ms());
      this.#clock.after(last_ms - now_ms, () => {
        if (this.cut) this.#stalled.push(deliver);
        else if (this.up) deliver();
      });
    };
  }

  /** Delivers what the cut held back. */
  flush(): void {
    const stalled = this.#stalled;
    this.#stalled = [];
    if (this.up) for (const deliver of stalled) deliver();
  }

  /** Ends every exchange with `peer_gone`. */
  breakDown(): void {
    this.#stalled = [];
    for (const exchange of this.exchanges) exchange.linkDown();
  }
}
