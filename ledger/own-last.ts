import { decode, encode } from './codec.ts';
import { decodeRef, encodeRef } from './header.ts';
import type { Ref } from './header.ts';
import { ROUND_MAX } from './limits.ts';
import * as field from './fields.ts';

/** The last own block, with its epoch: no slot up to it is ever signed again. */
export interface OwnLast {
  readonly epoch: number;
  readonly ref: Ref;
}

/** The row: `[round, author, cid]` in epoch 0, as stores had it before there were others. */
export function encodeOwnLast({ epoch, ref }: OwnLast): Uint8Array {
  const triple = encodeRef(ref);
  return encode(epoch === 0 ? triple : [...triple, epoch]);
}

export function decodeOwnLast(row: Uint8Array): OwnLast {
  const [round, author, id, epoch = 0] = field.listOf(decode(row), 'own', 4);
  return {
    epoch: field.asInteger(epoch, 'epoch', 0, ROUND_MAX),
    ref: decodeRef([round, author, id]),
  };
}
