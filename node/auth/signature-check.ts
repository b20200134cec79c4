import type { IncomingMessage } from 'node:http';
import { httpbis } from 'http-message-signatures';
import { keyId, publicKeyOf } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { Clock, Id, Verifier } from '#ledger/ports.ts';
import { AHEAD_S_MAX } from './ahead-marks.ts';
import type { AheadMarks } from './ahead-marks.ts';
import type { Caller } from './caller.ts';
import type { KeyOf } from './member-keys.ts';
import { Nonces } from './nonces.ts';
import type { NonceAnswer } from './nonces.ts';
import {
  ACTOR_HEADER, ALGORITHM, DIGEST_HEADER, FIELDS, FIELDS_IF_THERE, KEY_HEADER, PARAMS, digestOf,
  malformed, readSignatureInput,
} from './request-signature.ts';
import type { SignatureInput } from './request-signature.ts';
import { countOf, targetOf } from './request-target.ts';
import type { OwnNames } from './request-target.ts';
import { networkOf } from '#ledger/token-buckets.ts';
import type { VerificationWork } from './verification-work.ts';

/** A signature is taken for so long after it was made, seconds. */
export const AGE_S_MAX = 30;
const ACTOR = /^[0-9a-f]{64}$/;
const DIGEST = /^sha-256=:[A-Za-z0-9+/]{43}=:$/;
const DIGEST_OF_NOTHING = digestOf(new Uint8Array());

export interface SignatureCheckParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly clock: Pick<Clock, 'wall_ms'>;
  readonly keyOf: KeyOf;
  readonly work: VerificationWork;
  readonly own: () => OwnNames;
  readonly ahead: Pick<AheadMarks, 'from_s' | 'reserve'>;
  readonly nonces?: Nonces;
}

/**
 * Who signed a request. What costs little is looked at first: form, target, time, whether the key
 * is the present one of a member; only then the signature. Nonces are remembered in this process,
 * so what was signed before it began is refused, and what one before it may have taken ahead of its
 * time (`AheadMarks`).
 */
export class SignatureCheck {
  readonly #parts: SignatureCheckParts;
  readonly #nonces: Nonces;
  readonly #since_ms: number;

  constructor(parts: SignatureCheckParts) {
    this.#parts = parts;
    this.#nonces = parts.nonces ?? new Nonces();
    this.#since_ms = parts.clock.wall_ms();
  }

  /**
   * The actor; the body still has to be compared with `contentDigest`. Throws
   * `signature_malformed`, `signature_stale`, `signature_replayed`, `signature_wrong`,
   * `signature_other_node`, `target_not_canonical`, `actor_unknown`, `overloaded`, `rate_limited`
   * or `store_failed`.
   */
  async callerOf(request: IncomingMessage): Promise<Caller> {
    const { headers, socket } = request;
    const input = readSignatureInput(headers['signature-input'], headers['signature']);
    const contentDigest = this.#assertCovered(request, input);
    const url = targetOf(request, this.#parts.own());
    this.#assertFresh(input);
    const actor = this.#actorOf(request, input);
    this.#assertNotTaken(actor, input);
    const coseKey = keyIn(request, input);
    const address = networkOf(socket.remoteAddress);
    await this.#parts.work.run({ address, kind: 'signature', name: actor }, async () => {
      if (!(await this.#isSigned(request, url, coseKey))) {
        fail('signature_wrong', 'The signature does not fit the request.');
      }
      await this.#parts.ahead.reserve(actor, input.created_s);
      this.#use(actor, input);
    });
    return {
      principal: { type: 'Actor', id: actor },
      ...(contentDigest !== undefined && { contentDigest }),
      assertHolds: () => {
        if (this.#parts.keyOf(actor) !== input.keyid) unknownActor();
      },
    };
  }

  /** The digest of the body that comes. */
  #assertCovered(request: IncomingMessage, { fields }: SignatureInput): string | undefined {
    const { headers } = request;
    const wanted = [
      ...FIELDS,
      // also where the framing says that nothing comes: it is not signed, so anybody may have cut
      ...(hasBody(request) || headers[DIGEST_HEADER] !== undefined ? [DIGEST_HEADER] : []),
      ...FIELDS_IF_THERE.filter((name) => headers[name] !== undefined),
    ];
    const missing = wanted.find((name) => !fields.includes(name));
    if (missing !== undefined) malformed(`It does not cover ${missing}.`);
    for (const name of fields) {
      if (name.startsWith('@') ? !FIELDS.includes(name) : countOf(request, name) !== 1) {
        malformed(`It covers ${name}, which the request does not have once.`);
      }
    }
    const digest = headers[DIGEST_HEADER];
    if (digest === undefined) return undefined;
    if (typeof digest !== 'string' || !DIGEST.test(digest)) {
      return malformed(`${DIGEST_HEADER} is one sha-256.`);
    }
    if (hasBody(request)) return digest;
    if (digest !== DIGEST_OF_NOTHING) fail('signature_wrong', 'The body that was signed is gone.');
    return undefined;
  }

  #assertFresh({ created_s }: SignatureInput): void {
    const now_ms = this.#parts.clock.wall_ms();
    const age_s = now_ms / 1000 - created_s;
    if (age_s > AGE_S_MAX || age_s < -AHEAD_S_MAX) stale(Math.round(age_s));
    // full seconds: what was signed in the second of the start counts no more than what was before
    const from_s = Math.ceil(this.#since_ms / 1000);
    if (created_s >= from_s) return;
    const message = 'It was signed before the node can know it: sign it again, from `from_s` on.';
    fail('signature_stale', message, { seconds: Math.round(age_s), from_s });
  }

  #assertNotTaken(actor: Id, { created_s }: SignatureInput): void {
    const from_s = this.#parts.ahead.from_s(actor);
    if (created_s >= from_s) return;
    const seconds = Math.round(this.#parts.clock.wall_ms() / 1000 - created_s);
    const message = 'It may have been taken before a restart: sign it again, from `from_s` on.';
    fail('signature_stale', message, { seconds, from_s });
  }

  #actorOf({ headers }: IncomingMessage, { keyid }: SignatureInput): Id {
    const actor = headers[ACTOR_HEADER];
    if (typeof actor !== 'string' || !ACTOR.test(actor)) {
      return malformed(`${ACTOR_HEADER} is 64 hex digits.`);
    }
    return this.#parts.keyOf(actor) === keyid ? actor : unknownActor();
  }

  async #isSigned(request: IncomingMessage, url: string, coseKey: Uint8Array): Promise<boolean> {
    const { verifier } = this.#parts;
    const { method = '', headers } = request;
    const sent = { method, url, headers: headers as Record<string, string> };
    const verify = async (message: Buffer, signature: Buffer): Promise<boolean> => {
      if (signature.length !== SIGNATURE_BYTES) return false;
      const job = { publicKey: publicKeyOf(coseKey), message, signature };
      const [isValid = false] = await verifier.verify([job]);
      return isValid;
    };
    const key = { id: keyId(coseKey), algs: [ALGORITHM], verify };
    try {
      const checked = await httpbis.verifyMessage(
        {
          // times were compared with the node's own clock
          notAfter: Number.MAX_SAFE_INTEGER,
          requiredParams: PARAMS,
          requiredFields: FIELDS,
          keyLookup: async () => key,
        },
        sent,
      );
      return checked === true;
    } catch (error) {
      if (error instanceof X0tError) throw error;
      return malformed('Its headers cannot be read.');
    }
  }

  /** Only what is signed by a member gets here: strangers use nothing up. */
  #use(actor: Id, { nonce, created_s }: SignatureInput): void {
    const oldest_s = Math.floor(this.#parts.clock.wall_ms() / 1000) - AGE_S_MAX;
    const answer = this.#nonces.take(actor, nonce, created_s, oldest_s);
    if (answer !== 'fresh') refuseNonce(answer);
  }
}

export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function keyIn({ headers }: IncomingMessage, { keyid }: SignatureInput): Uint8Array {
  try {
    const coseKey = Uint8Array.fromBase64(String(headers[KEY_HEADER]));
    publicKeyOf(coseKey);
    if (keyId(coseKey) === keyid) return coseKey;
  } catch {
    // falls through: no key
  }
  return malformed(`${KEY_HEADER} is the COSE_Key with ML-DSA-65 of keyid, in base64.`);
}

function refuseNonce(answer: Exclude<NonceAnswer, 'fresh'>): never {
  if (answer === 'used') {
    fail('signature_replayed', 'The request was made before: sign each one anew.');
  }
  if (answer === 'late') stale(AGE_S_MAX);
  if (answer === 'full') {
    fail('overloaded', 'The node has too many signed requests to remember: try again.');
  }
  const message = 'The actor has signed too many requests: send fewer, or more in each.';
  return fail('rate_limited', message, { retryAfter_s: AGE_S_MAX });
}

function stale(seconds: number): never {
  return fail('signature_stale', 'Sign the request again, and check the clock.', { seconds });
}

function unknownActor(): never {
  const message = 'The key is not the present one of a member of this network.';
  return fail('actor_unknown', message);
}
