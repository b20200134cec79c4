import type { IncomingHttpHeaders } from 'node:http';
import type { Level } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import type { KvEntry } from '#projections/kv.ts';

/** Preconditions and media types of key-value requests (RFC 9110, sections 8.3, 8.8.3 and 13.1). */

const ETAG = /^"(0|[1-9][0-9]{0,15})"$/;
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/;

/**
 * The sequence number of the last change is the tag. What is not final may get another number, so
 * its tag is weak and fits no `If-Match`.
 */
export function etagOf({ seq }: KvEntry, level: Level, finalSeq: number): string {
  return level === 'final' || seq <= finalSeq ? `"${seq}"` : `W/"${seq}"`;
}

/**
 * The precondition of a write from `ifSeq`, `If-Match` or `If-None-Match: *`; throws `bad_request`.
 */
export function ifSeqOf(
  ifSeq: number | undefined,
  headers: Pick<IncomingHttpHeaders, 'if-match' | 'if-none-match'>,
): { readonly ifSeq?: number } {
  const wanted = new Set<number>();
  if (ifSeq !== undefined) wanted.add(ifSeq);
  const match = headers['if-match'];
  if (match !== undefined) {
    const seq = ETAG.exec(match)?.[1];
    wanted.add(Number(seq ?? bad('If-Match takes one strong etag of this key, such as "12".')));
  }
  const none = headers['if-none-match'];
  if (none !== undefined) {
    if (none !== '*') bad('A write takes If-None-Match only as *: if there is no such key.');
    wanted.add(0);
  }
  if (wanted.size > 1) bad('The preconditions contradict each other: send one of them.');
  const [only] = wanted;
  return only === undefined ? {} : { ifSeq: only };
}

function bad(message: string): never {
  fail('bad_request', message);
}

/**
 * The stored media type where it can be a header's value. Events made elsewhere may hold any text
 * there.
 */
export function mediaTypeOf(type: string | undefined): string {
  return type !== undefined && MEDIA_TYPE.test(type) ? type : 'application/octet-stream';
}
