import { createHash } from 'node:crypto';
import { httpbis } from 'http-message-signatures';
import type { Request, SignatureParameters } from 'http-message-signatures';
import { keyId, publicKeyOf } from '#ledger/cose.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { Clock, Id, Signer, Verifier } from '#ledger/ports.ts';
import type { Nonces } from './nonces.ts';

/**
 * Requests that an actor signs with its ML-DSA-65 key: HTTP Message Signatures (RFC 9421) over
 * method, authority, path, query and the digest of the body (RFC 9530). The algorithm is not among
 * the registered ones; the key comes with the request, and `keyid` is its hash, the actor.
 */

export const ALGORITHM = 'ml-dsa-65';
/** Keeps these apart from what else a key may sign by this RFC. */
const TAG = 'x0t-api';
export const KEY_HEADER = 'x0t-key';
const FIELDS = ['@method', '@authority', '@path', '@query', KEY_HEADER];
const BODY_FIELD = 'content-digest';
const PARAMS = ['created', 'nonce', 'keyid', 'alg', 'tag'];
/** How far the clocks of caller and node may differ; a nonce is remembered twice as long. */
export const AGE_S_MAX = 60;
const NONCE_BYTES = 16;
const NONCE = /^[A-Za-z0-9_-]{22}$/;

/** `content-digest` of a body. */
export function digestOf(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

export interface SigningParts {
  readonly coseKey: Uint8Array;
  readonly signer: Signer;
  readonly wall_ms: () => number;
  readonly random: (bytes: number) => Uint8Array;
}

/** The request with the headers that prove who sends it. */
export async function signRequest(
  { method, url, headers }: Request,
  body: Uint8Array | undefined,
  { coseKey, signer, wall_ms, random }: SigningParts,
): Promise<Record<string, string>> {
  const signed = await httpbis.signMessage(
    {
      key: {
        id: keyId(coseKey),
        alg: ALGORITHM,
        sign: async (base) => Buffer.from(await signer.sign(base)),
      },
      fields: body ? [...FIELDS, BODY_FIELD] : FIELDS,
      params: PARAMS,
      paramValues: {
        created: new Date(wall_ms()),
        nonce: random(NONCE_BYTES).toBase64({ alphabet: 'base64url', omitPadding: true }),
        tag: TAG,
      },
    },
    {
      method,
      url,
      headers: {
        ...headers,
        [KEY_HEADER]: coseKey.toBase64(),
        ...(body && { [BODY_FIELD]: digestOf(body) }),
      },
    },
  );
  return signed.headers;
}

export interface CheckParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly clock: Pick<Clock, 'wall_ms'>;
  readonly nonces: Nonces;
}

/**
 * The actor that signed a request; its body still has to be compared with `content-digest`.
 * Throws `signature_malformed`, `signature_stale`, `signature_replayed` or `signature_wrong`.
 */
export async function signerOf(
  request: Request,
  hasBody: boolean,
  { verifier, clock, nonces }: CheckParts,
): Promise<Id> {
  const coseKey = keyOf(request);
  const actor = keyId(coseKey);
  let accepted: SignatureParameters | undefined;
  const isRight = await verified(request, {
    // the times are compared with the node's clock below
    notAfter: Number.MAX_SAFE_INTEGER,
    requiredParams: PARAMS,
    requiredFields: hasBody ? [...FIELDS, BODY_FIELD] : FIELDS,
    keyLookup: async (params) => {
      if (accepted) malformed('There is more than one signature.');
      if (params.keyid !== actor || params.alg !== ALGORITHM || params.tag !== TAG) {
        malformed('keyid, alg and tag are not those of this API.');
      }
      accepted = params;
      return {
        id: actor,
        algs: [ALGORITHM],
        verify: async (message, signature) => {
          if (signature.length !== SIGNATURE_BYTES) return false;
          const job = { publicKey: publicKeyOf(coseKey), message, signature };
          const [isValid = false] = await verifier.verify([job]);
          return isValid;
        },
      };
    },
  });
  if (!isRight || !accepted) fail('signature_wrong', 'The signature does not fit the request.');
  const { created, nonce } = accepted;
  const age_s = (clock.wall_ms() - Number(created)) / 1000;
  if (!(Math.abs(age_s) <= AGE_S_MAX)) {
    fail('signature_stale', 'Sign the request again, and check the clock.', {
      seconds: Math.round(age_s),
    });
  }
  if (typeof nonce !== 'string' || !NONCE.test(nonce)) malformed('The nonce is not 16 bytes.');
  if (!nonces.take(`${actor} ${nonce}`)) {
    fail('signature_replayed', 'The request was made before: sign each one anew.');
  }
  return actor;
}

function keyOf({ headers }: Request): Uint8Array {
  const header = headers[KEY_HEADER];
  try {
    const coseKey = Uint8Array.fromBase64(String(header));
    publicKeyOf(coseKey);
    return coseKey;
  } catch {
    return malformed(`${KEY_HEADER} is no COSE_Key with ML-DSA-65 in base64.`);
  }
}

async function verified(
  request: Request,
  config: Parameters<typeof httpbis.verifyMessage>[0],
): Promise<boolean> {
  try {
    return (await httpbis.verifyMessage(config, request)) === true;
  } catch (error) {
    if (error instanceof X0tError) throw error;
    return malformed('Its headers cannot be read, or leave out what they must cover.');
  }
}

function malformed(reason: string): never {
  return fail('signature_malformed', `The request is not signed as docs/api.md says. ${reason}`);
}
