/**
 * Signs requests as an actor (docs/api.md, "Who calls"): RFC 9421 with ML-DSA-65, by Node's own
 * OpenSSL, from what stands in a key file of `x0t key`.
 */
import { createHash, createPrivateKey, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

const COSE_KEY = /-----BEGIN X0T COSE KEY-----\n([A-Za-z0-9+/=\n]+)-----END/;
const ACTOR = /-----BEGIN X0T ACTOR-----\n([A-Za-z0-9+/=\n]+)-----END/;

export interface RequestKey {
  readonly privateKey: KeyObject;
  /** base64 */
  readonly coseKey: string;
  /** SHA-256 of the COSE_Key in hex. */
  readonly id: string;
  /** Whose key it is: 64 hex digits, its own id where it is the actor's first. */
  readonly actor: string;
}

/** Of a file that is not encrypted. */
export function readRequestKey(pem: string): RequestKey {
  const [, text] = COSE_KEY.exec(pem) ?? [];
  if (text === undefined) throw new Error('this is no key file of x0t');
  const coseKey = text.replaceAll('\n', '');
  const id = createHash('sha256').update(Buffer.from(coseKey, 'base64')).digest('hex');
  const [, whose] = ACTOR.exec(pem) ?? [];
  const actor = whose === undefined ? id : Buffer.from(whose, 'base64').toString('hex');
  return { privateKey: createPrivateKey(pem), coseKey, id, actor };
}

/** The headers that a request has besides its own; `url` is the one that the node has to know. */
export function signedHeaders(
  { privateKey, coseKey, id, actor }: RequestKey,
  method: string,
  url: URL,
  body: string | undefined,
  now_ms: number,
): Record<string, string> {
  const headers: Record<string, string> = { 'x0t-actor': actor, 'x0t-key': coseKey };
  if (body !== undefined) {
    const digest = createHash('sha256').update(body).digest('base64');
    headers['content-digest'] = `sha-256=:${digest}:`;
    headers['content-type'] = 'text/plain';
  }
  const covered = new Map([
    ['@method', method],
    ['@authority', url.host],
    ['@path', url.pathname],
    ['@query', url.search || '?'],
    ...Object.entries(headers),
  ]);
  const names = [...covered.keys()].map((name) => `"${name}"`).join(' ');
  const nonce = randomBytes(16).toString('base64url');
  const created = Math.floor(now_ms / 1000);
  const params =
    `(${names});created=${created};nonce="${nonce}";keyid="${id}"` +
    ';alg="ml-dsa-65";tag="x0t-api"';
  const lines = [...covered].map(([name, value]) => `"${name}": ${value}`);
  const base = [...lines, `"@signature-params": ${params}`].join('\n');
  const signature = sign(null, Buffer.from(base), privateKey).toString('base64');
  return { ...headers, 'signature-input': `sig=${params}`, signature: `sig=:${signature}:` };
}
