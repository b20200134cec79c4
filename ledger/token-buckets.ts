import type { Clock } from './ports.ts';

/** How fast somebody may go on, and how much at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Parties that are told apart at once. */
const PARTIES_MAX = 16_384;
/** Groups of parties that are told apart where there is no room for more parties. */
const GROUPS_MAX = 1024;
/** Buckets that are looked at for one to forget, those first that were used longest ago. */
const LOOKS = 16;

/** A token bucket (RFC 2697 has the idea): `burst` at once, `perSecond` in the long run. */
export class Bucket {
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #rate: Rate;
  #level: number;
  #at_ms: number;

  constructor(clock: Pick<Clock, 'monotonic_ms'>, rate: Rate) {
    this.#clock = clock;
    this.#rate = rate;
    this.#level = rate.burst;
    this.#at_ms = clock.monotonic_ms();
  }

  /** `share` (0 to 1) of a bucket; one at once at least, unless it is 0. */
  static scaled(
    clock: Pick<Clock, 'monotonic_ms'>,
    { perSecond, burst }: Rate,
    share: number,
  ): Bucket {
    const least = share > 0 ? 1 : 0;
    return new Bucket(clock, {
      perSecond: perSecond * share,
      burst: Math.max(least, burst * share),
    });
  }

  /** Whether one is left, without taking it. */
  get hasOne(): boolean {
    return this.#fill() >= 1;
  }

  /** Whether it is as good as new. */
  get isFull(): boolean {
    return this.#fill() >= this.#rate.burst;
  }

  /** Takes one; false where none is left. */
  take(): boolean {
    if (this.#fill() < 1) return false;
    this.#level -= 1;
    return true;
  }

  /** Whole seconds until there is one again, at least 1. */
  get wait_s(): number {
    return Math.max(1, Math.ceil((1 - this.#fill()) / this.#rate.perSecond));
  }

  #fill(): number {
    const { perSecond, burst } = this.#rate;
    const now_ms = this.#clock.monotonic_ms();
    this.#level = Math.min(burst, this.#level + ((now_ms - this.#at_ms) / 1000) * perSecond);
    this.#at_ms = now_ms;
    return this.#level;
  }
}

/**
 * A bucket for each party, in a bounded table. Only a full bucket is forgotten, since it is as good
 * as a new one: who comes under ever other names gets nothing more by that. While none is full,
 * newcomers share a bucket with their group, the next wider network (of IPv6 the 48 bits, of IPv4
 * the 24), and in a full table of groups one bucket.
 */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #max: number;
  readonly #buckets = new Map<string, Bucket>();
  #groups: TokenBuckets | undefined;

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
    if (bucket) return bucket.hasOne;
    return this.#hasRoom() || this.#wider.has(this.#groupOf(party));
  }

  /** Takes one; false where none is left. */
  take(party: string): boolean {
    const known = this.#buckets.get(party);
    if (!known && !this.#hasRoom()) return this.#wider.take(this.#groupOf(party));
    const bucket = known ?? new Bucket(this.#clock, this.#rate);
    // who was heard of last stands last
    this.#buckets.delete(party);
    this.#buckets.set(party, bucket);
    return bucket.take();
  }

  /** Whole seconds until the party has one again, at least 1. */
  wait_s(party: string): number {
    const bucket = this.#buckets.get(party);
    if (bucket) return bucket.wait_s;
    return this.#hasRoom() ? 1 : this.#wider.wait_s(this.#groupOf(party));
  }

  /** Makes room for one more where that takes nothing from anybody. */
  #hasRoom(): boolean {
    if (this.#buckets.size < this.#max) return true;
    let looks = 0;
    for (const [party, bucket] of this.#buckets) {
      if (bucket.isFull) return this.#buckets.delete(party);
      if ((looks += 1) >= LOOKS) break;
    }
    return false;
  }

  get #wider(): TokenBuckets {
    const max = this.#max > GROUPS_MAX ? GROUPS_MAX : 1;
    return (this.#groups ??= new TokenBuckets(this.#rate, this.#clock, max));
  }

  /** Under which name a party stands in the table of groups; there may be but one. */
  #groupOf(party: string): string {
    return this.#max > GROUPS_MAX ? party.replace(LAST_PART, '') : '';
  }
}

/** The last part of a network or address, as `networkOf` writes it. */
const LAST_PART = /[.:][^.:]*$/;

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
