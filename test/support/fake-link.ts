/** One link of the fake network: a pair of nodes, what happens on its way, and whether it is up. */
import type { Clock, PeerName } from '#ledger/ports.ts';

export interface LinkShape {
  /** One-way delay, drawn evenly from this range for every gossip message and frame. */
  readonly delay_ms: readonly [min: number, max: number];
  /** Exponent of the draw: 1 (default) is even, more gives mostly short delays with a long tail. */
  readonly tail?: number;
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

/** One direction of a link and what is wrong with it. */
export interface Way {
  /** Nothing arrives for a while; all of it comes when the clog ends. */
  isClogged: boolean;
  /** Gossip vanishes and streams stand still; nobody notices. */
  isLost: boolean;
  /** Every message takes so much longer. */
  lag_ms: number;
  /** What waits for the direction to open, in order. */
  readonly waiting: (() => void)[];
}

/** What a link needs of the hub: to hand a message to its receiver, which may be stalled. */
export type Deliver = (
  from: PeerName,
  to: PeerName,
  bytes: Uint8Array | undefined,
  take: () => void,
) => void;

export class FakeLink {
  readonly ends: readonly [PeerName, PeerName];
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #deliver: Deliver;
  readonly #ways: readonly [Way, Way] = [openWay(), openWay()];
  shape: LinkShape;
  /** Nothing passes; both ends notice only after a while. */
  cut = false;
  /** Both ends hold each other for connected. */
  up = false;
  /** Cancels the change of `up` that is on its way. */
  pending: { readonly up: boolean; readonly cancel: () => void } | undefined;
  readonly exchanges = new Set<Exchange>();

  constructor(
    ends: readonly [PeerName, PeerName],
    shape: LinkShape,
    clock: Clock,
    random: () => number,
    deliver: Deliver,
  ) {
    this.ends = ends;
    this.shape = shape;
    this.#clock = clock;
    this.#random = random;
    this.#deliver = deliver;
  }

  /** The direction that starts at one of the ends. */
  way(from: PeerName): Way {
    return this.#ways[from === this.ends[0] ? 0 : 1];
  }

  #delay_ms(from: PeerName): number {
    const [min, max] = this.shape.delay_ms;
    const share = this.#random() ** (this.shape.tail ?? 1);
    return min + Math.floor(share * (max - min + 1)) + this.way(from).lag_ms;
  }

  /** Draws whether a gossip message is lost, passes once, or twice. */
  copies(): number {
    if (this.#random() < this.shape.loss) return 0;
    return this.#random() < this.shape.duplicate ? 2 : 1;
  }

  /** Sends one gossip message; `gone` is called when it does not arrive or is held up. */
  gossip(from: PeerName, bytes: Uint8Array, take: () => void, gone: () => void): void {
    this.#clock.after(this.#delay_ms(from), () => {
      const way = this.way(from);
      if (!this.up || this.cut || way.isLost) gone();
      else if (way.isClogged) {
        gone();
        way.waiting.push(() => this.#hand(from, bytes, take));
      } else this.#hand(from, bytes, take);
    });
  }

  /**
   * A lane of stream data: in order, delayed, held back while the link is cut or its direction
   * shut, gone when it is down.
   */
  lane(from: PeerName): (take: () => void, bytes?: Uint8Array) => void {
    let last_ms = 0;
    return (take, bytes) => {
      const now_ms = this.#clock.monotonic_ms();
      last_ms = Math.max(last_ms, now_ms + this.#delay_ms(from));
      this.#clock.after(last_ms - now_ms, () => {
        const way = this.way(from);
        const isShut = this.cut || way.isClogged || way.isLost;
        if (isShut) way.waiting.push(() => this.#hand(from, bytes, take));
        else if (this.up) this.#hand(from, bytes, take);
      });
    };
  }

  #hand(from: PeerName, bytes: Uint8Array | undefined, take: () => void): void {
    const to = from === this.ends[0] ? this.ends[1] : this.ends[0];
    this.#deliver(from, to, bytes, take);
  }

  /** Delivers what was held back, as far as the directions are open now. */
  flush(): void {
    if (this.cut) return;
    for (const way of this.#ways) {
      if (way.isClogged || way.isLost) continue;
      for (const hand of way.waiting.splice(0)) if (this.up) hand();
    }
  }

  /** Ends every exchange with `peer_gone`. */
  breakDown(): void {
    for (const way of this.#ways) way.waiting.length = 0;
    for (const exchange of this.exchanges) exchange.linkDown();
  }
}

function openWay(): Way {
  return { isClogged: false, isLost: false, lag_ms: 0, waiting: [] };
}
