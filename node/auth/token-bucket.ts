/** How fast callers may go on: the buckets of `ledger/`, which `p2p/` has as well. */
export { TokenBuckets, networkOf } from '#ledger/token-buckets.ts';
export type { Rate } from '#ledger/token-buckets.ts';
