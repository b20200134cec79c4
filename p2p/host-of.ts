import { networkOf } from '#ledger/token-buckets.ts';

/** Which host an address is of: its first IP or name; of IPv6 the network of 64 bits. */
export function hostOf(addr: { toString(): string }): string {
  const parts = addr.toString().split('/').slice(1);
  // `/ip6zone/eth0/ip6/fe80::1`
  const at = parts[0] === 'ip6zone' ? 2 : 0;
  const [kind = '', value = ''] = parts.slice(at);
  return `/${kind}/${kind === 'ip6' ? networkOf(value) : value}`;
}
