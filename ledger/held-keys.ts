import { keyId } from './cose.ts';
import type { Id, Signer } from './ports.ts';

/** A key whose secret this node has. */
export interface HeldKey {
  readonly coseKey: Uint8Array;
  readonly signer: Signer;
}

/**
 * The node as an actor: it seals while it sits in the committee, and authors events. It may hold
 * several keys: blocks and votes of an epoch are signed with the one that its committee names,
 * events with the one that the ledger binds to the actor now.
 */
export interface Self extends HeldKey {
  readonly actor: Id;
  /**
   * Its further keys, by SHA-256 of their COSE_Keys; `undefined` for one that is not held. Asked
   * whenever something is signed: keys may come while the node runs.
   */
  readonly otherKey?: (id: Id) => HeldKey | undefined;
}

const ids = new WeakMap<Uint8Array, Id>();

/** The held key with this id. */
export function heldKey(self: Self, id: Id): HeldKey | undefined {
  let own = ids.get(self.coseKey);
  if (own === undefined) {
    own = keyId(self.coseKey);
    ids.set(self.coseKey, own);
  }
  return own === id ? self : self.otherKey?.(id);
}
