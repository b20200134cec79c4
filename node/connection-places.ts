import type { Server, Socket } from 'node:net';
import type { Clock } from '#ledger/ports.ts';
import { hasItsShare } from '#ledger/shares.ts';
import { LOOPBACK, TokenBuckets, networkOf } from '#ledger/token-buckets.ts';
import type { Rate } from '#ledger/token-buckets.ts';

/** An open connection at one of the places. */
export interface Place {
  readonly socket: Socket;
  /** Where it comes from, the smallest network last. */
  readonly networks: readonly string[];
  /** Requests on it that are not answered. */
  underWay: number;
  /** Whether one of them has shown who calls: then it is not ended for others. */
  isProved: boolean;
}

export interface PlacesOptions {
  readonly max: number;
  /** New connections of one network; larger ones have more, this machine much more. */
  readonly rate: Rate;
  readonly clock: Pick<Clock, 'monotonic_ms'>;
}

/** What networks of 2^16 and 2^8 times the size have more of than the smallest ones. */
const RATE_FACTORS = [4, 2, 1];
const LOOPBACK_FACTOR = 16;
/** Connections that the kernel's count knows longer than the places. */
const CLOSING_MAX = 128;

/**
 * A bounded number of connections, shared among the networks that they come from (`shares.ts`), of
 * IPv6 at three sizes at once. Whoever has its share gets another place only for its oldest
 * connection on which nothing was proved; when all are taken, a newcomer gets that of the oldest
 * such connection of anybody. So strangers, from however many networks, take places from each
 * other only.
 */
export class ConnectionPlaces {
  readonly #max: number;
  readonly #clock: Pick<Clock, 'monotonic_ms'>;
  readonly #rates: readonly TokenBuckets[];
  readonly #localRate: TokenBuckets;
  /** The oldest first. */
  readonly #places = new Set<Place>();
  readonly #held = new Map<string, number>();

  constructor({ max, rate, clock }: PlacesOptions) {
    this.#max = max;
    this.#clock = clock;
    this.#rates = RATE_FACTORS.map((factor) => this.#bucketsOf(rate, factor));
    this.#localRate = this.#bucketsOf(rate, LOOPBACK_FACTOR);
  }

  /** Asks for every connection of a server; `admitted` is called with those that have a place. */
  static guard(
    server: Pick<Server, 'on' | 'maxConnections'>,
    options: PlacesOptions,
    admitted: (place: Place) => void = () => undefined,
  ): void {
    const places = new ConnectionPlaces(options);
    // beyond this the kernel's are closed before anybody is asked
    server.maxConnections = options.max + CLOSING_MAX;
    server.on('connection', (socket: Socket) => {
      const place = places.admit(socket, networksOf(socket.remoteAddress));
      if (place) admitted(place);
      else socket.destroy();
    });
  }

  /** Its place until the socket is closed; `undefined` where it gets none. */
  admit(socket: Socket, networks: readonly string[]): Place | undefined {
    if (!this.#takeRate(networks)) return undefined;
    if (!this.#hasRoomFor(networks) && !this.#makeRoomFor(networks)) return undefined;
    const place: Place = { socket, networks, underWay: 0, isProved: false };
    this.#places.add(place);
    for (const network of networks) this.#held.set(network, this.#heldBy(network) + 1);
    socket.once('close', () => this.#leave(place));
    return place;
  }

  #bucketsOf({ perSecond, burst }: Rate, factor: number): TokenBuckets {
    return new TokenBuckets({ perSecond: perSecond * factor, burst: burst * factor }, this.#clock);
  }

  #takeRate(networks: readonly string[]): boolean {
    if (networks[0] === LOOPBACK) return this.#localRate.take(LOOPBACK);
    const rates = this.#rates.slice(-networks.length);
    // all are asked first: whom a small one refuses takes nothing from those who share the large
    // ones with it, and whom a large one refuses does not fill the tables of the small ones
    if (!networks.every((network, i) => rates[i]?.has(network))) return false;
    return networks.every((network, i) => rates[i]?.take(network));
  }

  #heldBy(network: string): number {
    return this.#held.get(network) ?? 0;
  }

  #hasRoomFor(networks: readonly string[]): boolean {
    const used = this.#places.size;
    const isFull = (one: string) => hasItsShare(this.#heldBy(one), used, this.#max);
    return used < this.#max && !networks.some(isFull);
  }

  #makeRoomFor(networks: readonly string[]): boolean {
    const used = this.#places.size;
    for (const network of networks.toReversed()) {
      const held = this.#heldBy(network);
      if (!hasItsShare(held, used, this.#max)) continue;
      if (held > 0 && this.#endOldest((one) => one.networks.includes(network))) return true;
    }
    // places on which nothing was proved are as good as free
    const proved = [...this.#places].filter(({ isProved }) => isProved).length;
    if (networks.some((one) => hasItsShare(this.#heldBy(one), proved, this.#max))) return false;
    return used < this.#max || this.#endOldest(() => true);
  }

  /** Rather an idle one; but who never reads its answers is not safe by that. */
  #endOldest(isMeant: (place: Place) => boolean): boolean {
    const all = [...this.#places].filter((one) => !one.isProved && isMeant(one));
    const place = all.find(({ underWay }) => underWay === 0) ?? all[0];
    if (!place) return false;
    this.#leave(place);
    place.socket.destroy();
    return true;
  }

  #leave(place: Place): void {
    if (!this.#places.delete(place)) return;
    for (const network of place.networks) {
      const left = this.#heldBy(network) - 1;
      if (left > 0) this.#held.set(network, left);
      else this.#held.delete(network);
    }
  }
}

const HEXTETS = 4;

/**
 * The networks that an address counts for, the smallest last: of IPv6 the first 48, 56 and 64 bits,
 * as sites, customers and links have them; of others one.
 */
export function networksOf(address: string | undefined): readonly string[] {
  const link = networkOf(address);
  const parts = link.split(':');
  if (parts.length !== HEXTETS) return [link];
  const site = parts.slice(0, 3).join(':');
  const high = Number.parseInt(parts[3] ?? '0', 16) >> 8;
  return [`${site}/48`, `${site}:${high.toString(16)}/56`, link];
}
