import { fail } from '#ledger/errors.ts';

/**
 * What a SPIFFE bundle document says of itself (Trust Domain and Bundle, 4.1): read in one way by
 * reducers, which look at nothing else of it, and by nodes, which read its keys, too.
 */
export interface BundleHead {
  /** Elements that are objects, unread. */
  readonly keys: readonly Json[];
  /** 64 bits and more: no JavaScript number. */
  readonly sequence: bigint | undefined;
  readonly refreshHint_s: number | undefined;
}

export type Json = Readonly<Record<string, unknown>>;

/** Bytes of a bundle document: 256 keys of 4 KiB. */
export const BUNDLE_BYTES_MAX = 1024 * 1024;
/** Keys in a bundle, of all uses, known and unknown. */
export const BUNDLE_KEYS_MAX = 256;
/** A sequence of 128 bits: whoever counts nanoseconds does not get there. */
const SEQUENCE_MAX = 2n ** 128n;
/** Documents nest three deep; the reader's stack must not depend on what they do beyond. */
const DEPTH_MAX = 16;

/** `bundle_invalid` where the document as a whole is no bundle. Deterministic. */
export function readBundleHead(document: Uint8Array | string): BundleHead {
  if (document.length > BUNDLE_BYTES_MAX) return refuseBundle('size', 'a bundle is too large');
  const text = typeof document === 'string' ? document : new TextDecoder().decode(document);
  if (depthOf(text) > DEPTH_MAX) return refuseBundle('depth', 'a bundle is nested too deep');
  const value = parseJson(text);
  if (!isObject(value)) return refuseBundle('json', 'a bundle is a JSON object');
  const { keys } = value;
  if (!Array.isArray(keys)) return refuseBundle('keys', 'a bundle has an array of keys');
  if (keys.length > BUNDLE_KEYS_MAX) return refuseBundle('count', 'a bundle has too many keys');
  return {
    keys: keys.filter(isObject),
    sequence: sequenceOf(value),
    refreshHint_s: refreshHintOf(value),
  };
}

/**
 * Whether a fetched bundle takes the place of the held one (Federation, 4.2): by sequence; where
 * one has none, what was fetched last.
 */
export function isNewer(held: bigint | undefined, fetched: bigint | undefined): boolean {
  return held === undefined || fetched === undefined || fetched > held;
}

export function refuseBundle(rule: string, message: string): never {
  return fail('bundle_invalid', message, { rule });
}

/** Of arrays and objects; texts in it are skipped. */
function depthOf(text: string): number {
  let [depth, most, isText] = [0, 0, false];
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at];
    if (isText && one === '\\') at += 1;
    else if (one === '"') isText = !isText;
    else if (!isText && (one === '[' || one === '{')) most = Math.max(most, (depth += 1));
    else if (!isText && (one === ']' || one === '}')) depth -= 1;
  }
  return most;
}

/** Whole numbers that a double cannot hold come as `bigint`. */
function parseJson(text: string): unknown {
  const exact = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    const source = context?.source;
    const isLarge = typeof value === 'number' && !Number.isSafeInteger(value);
    const isWhole = source !== undefined && source.length <= DIGITS_MAX && /^-?\d+$/.test(source);
    return isLarge && isWhole ? BigInt(source) : value;
  };
  try {
    return JSON.parse(text, exact);
  } catch {
    return refuseBundle('json', 'a bundle is JSON');
  }
}

const DIGITS_MAX = String(SEQUENCE_MAX).length;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function sequenceOf({ spiffe_sequence: value }: Json): bigint | undefined {
  if (value === undefined) return undefined;
  const isWhole = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (!isWhole) return refuseBundle('sequence', 'the sequence of a bundle is an integer');
  const sequence = BigInt(value as number | bigint);
  return sequence >= 0n && sequence < SEQUENCE_MAX
    ? sequence
    : refuseBundle('sequence', 'the sequence of a bundle has up to 128 bits and no sign');
}

function refreshHintOf({ spiffe_refresh_hint: value }: Json): number | undefined {
  if (value === undefined) return undefined;
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? (value as number)
    : refuseBundle('refresh_hint', 'the refresh hint of a bundle is a number of seconds');
}
