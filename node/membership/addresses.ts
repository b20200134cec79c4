import { ADDRS_MAX } from '#ledger/invite.ts';
import type { PeerName } from '#ledger/ports.ts';

/**
 * The addresses of a node that it tells others: those that only this machine reaches last, and no
 * more than an event takes.
 */
export function addressesOf(addrs: readonly string[]): string[] {
  const isLocal = (addr: string): boolean => /^\/ip4\/127\.|^\/ip6\/::1\//.test(addr);
  const [near, far] = [addrs.filter(isLocal), addrs.filter((addr) => !isLocal(addr))];
  return [...far, ...near].slice(0, ADDRS_MAX);
}

/** The peers that addresses name. */
export function peersIn(addrs: readonly string[]): Set<PeerName> {
  return new Set(addrs.flatMap((addr) => /\/p2p\/([1-9A-HJ-NP-Za-km-z]+)$/.exec(addr)?.[1] ?? []));
}
