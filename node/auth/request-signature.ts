import { createHash } from 'node:crypto';
import { httpbis } from 'http-message-signatures';
import type { Request } from 'http-message-signatures';
import { keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import type { Id, Signer } from '#ledger/ports.ts';
import { NODE_HEADER } from './request-target.ts';

/**
 * Requests that an actor signs with its ML-DSA-65 key: HTTP Message Signatures (RFC 9421) over
 * method, authority, path, query, what the headers say of the body and its digest (RFC 9530). The
 * algorithm is not among the registered ones; the key comes with the request, and `keyid` is its
 * hash. `signature-check.ts` is the other side.
 */

export const ALGORITHM = 'ml-dsa-65';
/** Keeps these apart from what else a key may sign by this RFC. */
export const TAG = 'x0t-api';
export const KEY_HEADER = 'x0t-key';
export const ACTOR_HEADER = 'x0t-actor';
export const DIGEST_HEADER = 'content-digest';
/** Covered in every request. */
export const FIELDS = ['@method', '@authority', '@path', '@query', ACTOR_HEADER, KEY_HEADER];
/** Covered where the request has them: they change what it does, or say where it counts. */
export const FIELDS_IF_THERE = ['content-type', 'if-match', 'if-none-match', NODE_HEADER];
/**
 * Covered by this signer where the request has them, and by others if they like: they choose the
 * form of the answer and where a stream begins, nothing else. Clients add `accept` after signing.
 */
const FIELDS_OF_ANSWER = ['accept', 'last-event-id'];
export const PARAMS = ['created', 'nonce', 'keyid', 'alg', 'tag'];
const NONCE_BYTES = 16;

/** `content-digest` of a body. */
export function digestOf(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

export interface SigningParts {
  readonly coseKey: Uint8Array;
  /** Whose key it is, where it is not the actor's first one. */
  readonly actor?: Id;
  /** The node that is to take it, by its actor; without it, any that has the name in the URL. */
  readonly node?: Id;
  readonly signer: Signer;
  readonly wall_ms: () => number;
  readonly random: (bytes: number) => Uint8Array;
}

/** The request's headers with those that prove who sends it. */
export async function signRequest(
  { method, url, headers }: Request,
  body: Uint8Array | undefined,
  { coseKey, actor, node, signer, wall_ms, random }: SigningParts,
): Promise<Record<string, string>> {
  const keyid = keyId(coseKey);
  const hasBody = body !== undefined && body.length > 0;
  const all: Record<string, string> = {
    ...(headers as Record<string, string>),
    [KEY_HEADER]: coseKey.toBase64(),
    [ACTOR_HEADER]: actor ?? keyid,
    ...(node !== undefined && { [NODE_HEADER]: node }),
    ...(hasBody && { [DIGEST_HEADER]: digestOf(body) }),
  };
  const there = new Set(Object.keys(all).map((name) => name.toLowerCase()));
  const fields = [...FIELDS, DIGEST_HEADER, ...FIELDS_IF_THERE, ...FIELDS_OF_ANSWER].filter(
    (name) => name.startsWith('@') || there.has(name),
  );
  const signed = await httpbis.signMessage(
    {
      key: {
        id: keyid,
        alg: ALGORITHM,
        sign: async (base) => Buffer.from(await signer.sign(base)),
      },
      fields,
      params: PARAMS,
      paramValues: {
        created: new Date(wall_ms()),
        nonce: random(NONCE_BYTES).toBase64({ alphabet: 'base64url', omitPadding: true }),
        tag: TAG,
      },
    },
    { method, url, headers: all },
  );
  return signed.headers;
}

/** What `Signature-Input` says. */
export interface SignatureInput {
  readonly fields: readonly string[];
  readonly created_s: number;
  readonly nonce: string;
  readonly keyid: Id;
}

const FIELD = String.raw`"[@a-z][a-z0-9-]*"`;
const PARAM = String.raw`;[a-z]+=(?:"[^"\\]*"|[0-9]{1,12})`;
const INPUT = new RegExp(
  String.raw`^([a-z][a-z0-9_-]{0,31})=\((${FIELD}(?: ${FIELD})*)\)((?:${PARAM})+)$`,
);
const SIGNATURE = /^([a-z][a-z0-9_-]{0,31})=:[A-Za-z0-9+/]+={0,2}:$/;
const NONCE = /^"[A-Za-z0-9_-]{22}"$/;
const KEY_ID = /^"[0-9a-f]{64}"$/;
/** Characters: the fields and parameters above, twice. */
const INPUT_CHARS_MAX = 1024;

/**
 * One signature, of fields without parameters, each once, and with the parameters of this API and
 * no others. Throws `signature_malformed`.
 */
export function readSignatureInput(input: unknown, signature: unknown): SignatureInput {
  const [, label, listed = '', given = ''] =
    typeof input === 'string' && input.length <= INPUT_CHARS_MAX ? (INPUT.exec(input) ?? []) : [];
  const [, name] = typeof signature === 'string' ? (SIGNATURE.exec(signature) ?? []) : [];
  if (label === undefined || label !== name) malformed('It has one signature, under one name.');
  const fields = listed.split(' ').map((field) => field.slice(1, -1));
  if (new Set(fields).size < fields.length) malformed('A field is covered twice.');
  const pairs = given.slice(1).split(';').map((one) => one.split('=') as [string, string]);
  const params = new Map(pairs);
  if (pairs.length !== PARAMS.length || !PARAMS.every((one) => params.has(one))) {
    malformed(`Its parameters are ${PARAMS.join(', ')}, each once.`);
  }
  const { created = '', nonce = '', keyid = '', alg, tag } = Object.fromEntries(params);
  if (alg !== `"${ALGORITHM}"` || tag !== `"${TAG}"`) malformed('Another algorithm or tag.');
  if (!/^[0-9]+$/.test(created)) malformed('created is whole seconds.');
  if (!NONCE.test(nonce)) malformed('nonce is 16 bytes in base64url.');
  if (!KEY_ID.test(keyid)) malformed('keyid is 64 hex digits.');
  return {
    fields,
    created_s: Number(created),
    nonce: nonce.slice(1, -1),
    keyid: keyid.slice(1, -1),
  };
}

export function malformed(reason: string): never {
  return fail('signature_malformed', `The request is not signed as docs/api.md says. ${reason}`);
}
