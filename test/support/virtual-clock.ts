import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '#ledger/ports.ts';

interface Timer {
  readonly at_ms: number;
  readonly order: number;
  readonly fire: () => void;
}

/**
 * Virtual time: nothing passes but by `run`. Timers fire in the order of their time, then of their
 * making; after every instant all promises that can settle have settled, so code that awaits no
 * real I/O behaves the same in every run.
 */
export class VirtualClock implements Clock {
  readonly #start_ms: number;
  #now_ms = 0;
  #made = 0;
  /** A binary heap by time and order. */
  readonly #timers: Timer[] = [];
  readonly #cancelled = new Set<Timer>();

  /** `start_ms`: the wall clock at the start, milliseconds since the Unix epoch. */
  constructor(start_ms: number) {
    this.#start_ms = start_ms;
  }

  wall_ms(): number {
    return Math.floor(this.#start_ms + this.#now_ms);
  }

  monotonic_ms(): number {
    return this.#now_ms;
  }

  after(delay_ms: number, fire: () => void): () => void {
    const timer = { at_ms: this.#now_ms + Math.max(0, delay_ms), order: this.#made++, fire };
    this.#push(timer);
    return () => void this.#cancelled.add(timer);
  }

  /**
   * Lets `duration_ms` pass, or less when `isDone` holds after some instant. Returns `isDone()`.
   */
  async run(duration_ms: number, isDone: () => boolean = () => false): Promise<boolean> {
    const end_ms = this.#now_ms + duration_ms;
    await turn();
    while (!isDone()) {
      const next = this.#timers[0];
      if (!next || next.at_ms > end_ms) {
        this.#now_ms = end_ms;
        return isDone();
      }
      this.#now_ms = next.at_ms;
      while (this.#timers[0]?.at_ms === this.#now_ms) {
        const timer = this.#pop();
        if (timer && !this.#cancelled.delete(timer)) timer.fire();
      }
      await turn();
    }
    return true;
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!isBefore(timer, heap[up] as Timer)) break;
      heap[at] = heap[up] as Timer;
      at = up;
    }
    heap[at] = timer;
  }

  #pop(): Timer | undefined {
    const heap = this.#timers;
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1];
      if (right && isBefore(right, heap[child] as Timer)) child += 1;
      if (!isBefore(heap[child] as Timer, last)) break;
      heap[at] = heap[child] as Timer;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at_ms - b.at_ms < 0 || (a.at_ms === b.at_ms && a.order < b.order);
}
