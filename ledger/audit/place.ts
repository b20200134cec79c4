import { X0tError } from '#ledger/errors.ts';
import type { ErrorData } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';

/** What a finding of an audit is about. */
export type PlaceKind =
  | 'car-header'
  | 'manifest'
  | 'genesis'
  | 'key'
  | 'header'
  | 'body'
  | 'commit'
  | 'final'
  | 'state'
  | 'row';

/** Where a finding is; as many of the fields as are known. */
export interface Place {
  readonly kind: PlaceKind;
  /** Number of the section in a CAR file, from 0. */
  readonly section?: number;
  /** Byte offset of the section in the file. */
  readonly offset?: number;
  /** Key of the row in a node's store. */
  readonly row?: string;
  readonly block?: Id;
  readonly round?: number;
  readonly author?: number;
  /** Which part of the section, such as `cid`, `blockSignature`, `keyTable` or `entry`. */
  readonly part?: string;
  /** Index of the entry in its block. */
  readonly entry?: number;
  readonly event?: Id;
  readonly commit?: number;
  readonly seq?: number;
}

/** What an audit found to be wrong first. */
export interface Finding {
  readonly code: string;
  readonly message: string;
  readonly place: Place;
}

/**
 * A coded error with its place: `error` is kept where it names one already. Anything else that is
 * thrown is not about the log, and goes through.
 */
export function placed(error: unknown, place: Place): unknown {
  if (!(error instanceof X0tError)) return error;
  const data: ErrorData = { ...place, ...error.data };
  return new X0tError(error.code, error.message, data, { cause: error });
}

/** The finding behind an error that names its place; `undefined` for any other error. */
export function findingOf(error: unknown): Finding | undefined {
  if (!(error instanceof X0tError) || !('kind' in error.data)) return undefined;
  const { code, message, data } = error;
  return { code, message, place: data as unknown as Place };
}
