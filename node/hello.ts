import type { Chain } from '#ledger/chain.ts';
import { decode, encode } from '#ledger/codec.ts';
import { jobOf, keyId, sign } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import { equalBytes, linkOf } from '#ledger/ids.ts';
import type { Id, Verifier } from '#ledger/ports.ts';
import type { Self } from '#ledger/submissions.ts';
import type { HelloAuth } from '#p2p/index.ts';

const KNOWN = new Set(['t', 'v', 'chain', 'actor', 'peer', 'challenge']);

/**
 * The hello object (wire.md, "Peers"): `{t:'hello', v, chain, actor, peer, challenge}` signed with
 * the actor's ML-DSA-65 key, sent as `[object, COSE_Sign1, COSE_Key]`. It binds the libp2p key of
 * the connection to the actor: both prove themselves on each connection. Whether the ledger knows
 * the pair is asked after that (`pairs.ts`).
 */
export function helloAuth(
  chain: Chain,
  self: Self,
  verifier: Verifier,
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
      return encode([object, await sign(self.signer, 'hello', object), self.coseKey]);
    },
    async check(message, challenge, peer) {
      const parts = field.listOf(decode(message), 'hello', 3);
      const [object, sign1, coseKey] = parts;
      if (
        !(object instanceof Uint8Array) ||
        !(sign1 instanceof Uint8Array) ||
        !(coseKey instanceof Uint8Array)
      ) {
        return fail('hello_invalid', 'A hello is an object, its signature and a key.');
      }
      const actor = checkObject(object, chain, challenge, peer);
      if (keyId(coseKey) !== actor) fail('hello_invalid', 'The key is not the one of the actor.');
      const [isValid] = await verifier.verify([jobOf('hello', object, sign1, coseKey)]);
      if (!isValid) fail('hello_invalid', 'The signature does not fit the hello.');
      return { actor };
    },
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
