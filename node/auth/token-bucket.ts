/** The buckets of `ledger/token-buckets.ts`, by the name under which callers of the API are told. */
export { TokenBuckets, networkOf } from '#ledger/token-buckets.ts';
export type { Rate } from '#ledger/token-buckets.ts';
