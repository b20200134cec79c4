import type { Clock } from './ports.ts';

/** How fast somebody may go on, and how much at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Parties that are told apart at once; who was not heard of for longest is forgotten. */
const PARTIES_MAX = 16_384;

interface Bucket {
  level: number;
  at_ms: number;
}

/** A token bucket (RFC 2697 has the idea) for each party, in a bounded table. */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #max: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, clock: Pick<Clock, 'monotonic_ms'>, max = PARTIES_MAX) {
    this.#rate = rate;
    this.#clock = clock;
    this.#max = max;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Whether the party has one left, without taking it. */
  has(party: string): boolean {
    const bucket = this.#buckets.get(party);
    return bucket === undefined || this.#levelOf(bucket) >= 1;
  }

  /** Takes one; false where none is left. */
  take(party: string): boolean {
    const { burst } = this.#rate;
    const bucket = this.#buckets.get(party);
    const level = bucket ? this.#levelOf(bucket) : burst;
    // who was heard of last stands last
    this.#buckets.delete(party);
    if (this.#buckets.size >= this.#max) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    const isLeft = level >= 1;
    const at_ms = this.#clock.monotonic_ms();
    this.#buckets.set(party, { level: isLeft ? level - 1 : level, at_ms });
    return isLeft;
  }

  /** Whole seconds until the party has one again, at least 1. */
  wait_s(party: string): number {
    const bucket = this.#buckets.get(party);
    const missing = bucket ? 1 - this.#levelOf(bucket) : 0;
    return Math.max(1, Math.ceil(missing / this.#rate.perSecond));
  }

  #levelOf({ level, at_ms }: Bucket): number {
    const { perSecond, burst } = this.#rate;
    const passed_ms = this.#clock.monotonic_ms() - at_ms;
    return Math.min(burst, level + (passed_ms / 1000) * perSecond);
  }
}

const IPV4_IN_IPV6 = '::ffff:';
const LOOPBACK_ADDRESS = /^(?:127(?:\.[0-9]{1,3}){3}|::1)$/;
/** All addresses of this machine for itself: any process has 2^24 of them. */
export const LOOPBACK = 'loopback';

/**
 * Addresses by which strangers are told apart: of IPv6 the network, as one host has 2^64; the
 * loopback's are one.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return '';
  const plain = address.startsWith(IPV4_IN_IPV6) ? address.slice(IPV4_IN_IPV6.length) : address;
  if (LOOPBACK_ADDRESS.test(plain)) return LOOPBACK;
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('%')[0]?.split('::') ?? [];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return [...left, ...(tail === undefined ? [] : zeros), ...right].slice(0, 4).join(':');
}
