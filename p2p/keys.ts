/**
 * The transport's identity: an Ed25519 key of libp2p. It names the peer; the actor's ML-DSA-65 key
 * vouches for it.
 */
import { fail } from '#ledger/errors.ts';
import type { PeerName } from '#ledger/ports.ts';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
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
