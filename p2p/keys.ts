/**
 * The transport's identity: an Ed25519 key of libp2p. It names the peer; the actor's ML-DSA-65 key
 * vouches for it.
 */
import { fail } from '#ledger/errors.ts';
import type { PeerName } from '#ledger/ports.ts';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { ed25519 } from '@noble/curves/ed25519.js';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

/** A fresh private key as libp2p's protobuf bytes (68 bytes). Secret: keep it encrypted at rest. */
export async function generatePeerKey(): Promise<Uint8Array> {
  return privateKeyToProtobuf(await generateKeyPair('Ed25519'));
}

/** The name of the peer that holds `key`. Throws `peer_key_invalid`. */
export function peerNameOf(key: Uint8Array): PeerName {
  return peerIdFromPrivateKey(readPeerKey(key)).toString();
}

/** The Ed25519 signature over `statement` by the key, 64 bytes. Throws `peer_key_invalid`. */
export function signAsPeer(key: Uint8Array, statement: Uint8Array): Uint8Array {
  // libp2p keeps the seed and the public key behind each other
  return ed25519.sign(statement, readPeerKey(key).raw.subarray(0, 32));
}

/** Decodes a private key. Throws `peer_key_invalid`, without any of its bytes. */
export function readPeerKey(key: Uint8Array): Ed25519PrivateKey {
  let decoded;
  try {
    decoded = privateKeyFromProtobuf(key);
  } catch {
    decoded = undefined;
  }
  if (decoded?.type === 'Ed25519') return decoded;
  return fail(
    'peer_key_invalid',
    'The peer key is no Ed25519 private key in libp2p protobuf form; make a new one.',
  );
}
