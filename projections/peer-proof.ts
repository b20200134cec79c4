import { ed25519 } from '@noble/curves/ed25519.js';
import { base58btc } from 'multiformats/bases/base58';
import type { PeerName } from '#ledger/ports.ts';

/** A libp2p peer id of an Ed25519 key is the key itself: identity multihash of its protobuf. */
const HEAD = Uint8Array.fromHex('002408011220');
const KEY_BYTES = 32;

/** The raw Ed25519 key in a peer id; `undefined` for any other text. */
export function keyOfPeer(peer: PeerName): Uint8Array | undefined {
  let bytes: Uint8Array;
  try {
    bytes = base58btc.baseDecode(peer);
  } catch {
    return undefined;
  }
  const isKey =
    bytes.length === HEAD.length + KEY_BYTES && HEAD.every((one, i) => bytes[i] === one);
  // one peer has one name
  return isKey && base58btc.baseEncode(bytes) === peer ? bytes.subarray(HEAD.length) : undefined;
}

/**
 * Whether the key in a peer id has signed the statement. By a library in JavaScript: the same on
 * every machine, and by the strict rules of RFC 8032.
 */
export function isSignedByPeer(
  peer: PeerName,
  statement: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = keyOfPeer(peer);
  if (!key) return false;
  try {
    return ed25519.verify(signature, statement, key, { zip215: false });
  } catch {
    return false;
  }
}
