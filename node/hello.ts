import type { Chain } from '#ledger/chain.ts';
import { decode, encode } from '#ledger/codec.ts';
import type { Committee } from '#ledger/committee.ts';
import { jobOf, keyId, sign } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import type { HeldKey, Self } from '#ledger/held-keys.ts';
import { equalBytes, linkOf } from '#ledger/ids.ts';
import type { Id, SignatureJob, Verifier } from '#ledger/ports.ts';
import type { KeyState } from '#ledger/projection.ts';
import type { HelloAuth } from '#p2p/index.ts';

const KNOWN = new Set(['t', 'v', 'chain', 'actor', 'peer', 'challenge']);
/** Two fit into the 16 KiB of a hello; more are never of use. */
export const PROOFS_MAX = 2;

/** What a node knows of keys, as far as its ledger goes. */
export interface HelloKeys {
  /** What a key is to an actor. */
  stateOf(actor: Id, key: Id): KeyState;
  /** Whose a key is or was; `undefined` for one that is not known. */
  ownerOf(key: Id): Id | undefined;
  /** The keys with which this node shows who it is, the likeliest first. */
  own(): readonly HeldKey[];
}

/**
 * The hello object (wire.md, "Peers"): `{t:'hello', v, chain, actor, peer, challenge}` signed with
 * the actor's ML-DSA-65 key, sent as `[object, COSE_Sign1, COSE_Key]`. It binds the libp2p key of
 * the connection to the actor: both prove themselves on each connection. Whether the ledger knows
 * the pair is asked after that (`membership/pairs.ts`). `committee` is the present one, as far as
 * this node knows it.
 *
 * While a key changes, the two sides may stand on either side of the change. So a node that holds
 * two keys which may be its present one appends a second `COSE_Sign1, COSE_Key` over the same
 * object, and one key that the ledger here binds to the actor is enough. A peer whose keys this
 * ledger does not know at all (it is behind, or the peer is no member) goes by the id of the key
 * that it proved, which `KnownPeers` resolves later; what it claims to be counts for nothing.
 * Throws `key_retired` and `key_revoked` for those.
 */
export function helloAuth(
  chain: Chain,
  self: Self,
  verifier: Verifier,
  committee: () => Committee,
  keys: HelloKeys = firstKeyOnly(self),
): HelloAuth {
  return {
    async make(challenge, peer) {
      const object = encode({
        t: 'hello',
        v: 1,
        chain: linkOf(chain.id),
        actor: Uint8Array.fromHex(self.actor),
        peer,
        challenge,
      });
      const proofs: Uint8Array[] = [];
      for (const { coseKey, signer } of keys.own().slice(0, PROOFS_MAX)) {
        proofs.push(await sign(signer, 'hello', object), coseKey);
      }
      return encode([object, ...proofs]);
    },
    async check(message, challenge, peer) {
      const { object, proofs } = partsOf(message);
      const claimed = checkObject(object, chain, challenge, peer);
      const jobs: SignatureJob[] = proofs.map(([sign1, key]) => jobOf('hello', object, sign1, key));
      if ((await verifier.verify(jobs)).includes(false)) {
        fail('hello_invalid', 'The signature does not fit the hello.');
      }
      const ids = proofs.map(([, key]) => keyId(key));
      const actor = actorOf(claimed, ids, committee(), keys);
      return { actor };
    },
  };
}

type Proof = readonly [sign1: Uint8Array, coseKey: Uint8Array];

function partsOf(message: Uint8Array): {
  readonly object: Uint8Array;
  readonly proofs: readonly Proof[];
} {
  const parts = decode(message);
  const isList = Array.isArray(parts) && parts.every((part) => part instanceof Uint8Array);
  const [object, ...rest] = isList ? parts : [];
  const count = rest.length / 2;
  if (!object || !Number.isInteger(count) || count < 1 || count > PROOFS_MAX) {
    return fail('hello_invalid', 'A hello is an object, its signature and a key.');
  }
  const proofs = Array.from({ length: count }, (_, i) => rest.slice(2 * i, 2 * i + 2));
  return { object, proofs: proofs as unknown as Proof[] };
}

/**
 * Who it is that holds these keys. A key that the running epoch's committee names counts even where
 * it is revoked: a quorum of that committee has to certify the epoch's end. Of who has left no key
 * is bound, and its own are known all the same: `membership/pairs.ts` tells it so.
 */
function actorOf(
  claimed: Id,
  ids: readonly Id[],
  committee: Committee,
  keys: Pick<HelloKeys, 'stateOf' | 'ownerOf'>,
): Id {
  const author = committee.indexOf(claimed);
  const seatKey = author === undefined ? undefined : committee.keyIdAt(author);
  const states = ids.map((id) => keys.stateOf(claimed, id));
  if (ids.some((id, i) => id === seatKey || states[i] === 'present')) return claimed;
  if (states.includes('revoked')) {
    fail('key_revoked', 'The key of this peer is revoked.', { actor: claimed });
  }
  if (states.includes('retired')) {
    fail('key_retired', 'This peer has another key by now.', { actor: claimed });
  }
  const owners = ids.map((id) => keys.ownerOf(id)).filter((owner) => owner !== undefined);
  if (owners.some((owner) => owner !== claimed)) {
    fail('hello_invalid', "The key is another actor's.", { actor: claimed });
  }
  if (owners.length > 0) return claimed;
  const [first = ''] = ids;
  return first;
}

/** For a node that knows of no ledger: every actor has its first key. */
function firstKeyOnly(self: Self): HelloKeys {
  return {
    stateOf: (actor, key) => (actor === key ? 'present' : 'foreign'),
    ownerOf: () => undefined,
    own: () => [self],
  };
}

function checkObject(object: Uint8Array, chain: Chain, challenge: Uint8Array, peer: string): Id {
  const fields = field.fieldsOf(decode(object), KNOWN, 'hello');
  field.assertTag(fields, 'hello');
  if (field.linkOfField(fields, 'chain') !== chain.id) {
    fail('foreign_chain', 'The peer belongs to another network: check its genesis.');
  }
  if (field.textOfField(fields, 'peer', 128) !== peer) {
    fail('hello_invalid', 'The hello names another peer.');
  }
  if (!equalBytes(field.bytesOfField(fields, 'challenge', 64), challenge)) {
    fail('hello_invalid', 'The hello answers another challenge.');
  }
  return field.digestOf(fields, 'actor');
}
