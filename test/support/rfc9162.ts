import { createHash } from 'node:crypto';

/** The definitions of RFC 9162 section 2.1 word for word, over all leaves: slow and plain. */

type Bytes = Uint8Array;

const sha256 = (...parts: Bytes[]): Bytes => {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return Uint8Array.from(digest.digest());
};

function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** MTH(D). */
export function mth(data: readonly Bytes[]): Bytes {
  const [only] = data;
  if (!only) return sha256();
  if (data.length === 1) return sha256(Uint8Array.of(0), only);
  const k = split(data.length);
  return sha256(Uint8Array.of(1), mth(data.slice(0, k)), mth(data.slice(k)));
}

/** PATH(m, D). */
export function path(m: number, data: readonly Bytes[]): Bytes[] {
  const n = data.length;
  if (n === 1) return [];
  const k = split(n);
  return m < k
    ? [...path(m, data.slice(0, k)), mth(data.slice(k))]
    : [...path(m - k, data.slice(k)), mth(data.slice(0, k))];
}

/** PROOF(m, D). */
export function proof(m: number, data: readonly Bytes[]): Bytes[] {
  return subproof(m, data, true);
}

function subproof(m: number, data: readonly Bytes[], b: boolean): Bytes[] {
  const n = data.length;
  if (m === n) return b ? [] : [mth(data)];
  const k = split(n);
  return m <= k
    ? [...subproof(m, data.slice(0, k), b), mth(data.slice(k))]
    : [...subproof(m - k, data.slice(k), false), mth(data.slice(0, k))];
}
