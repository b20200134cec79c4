import { request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { X0tError, fail } from '#ledger/errors.ts';
import { BUNDLE_BYTES_MAX } from '#projections/bundle-head.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import { parseBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import { chainOf } from './tls-chain.ts';
import { validateX509Svid } from './x509-svid.ts';
import type { X509Authorities } from './x509-svid.ts';

/**
 * How the server of a bundle endpoint shows who it is (SPIFFE Federation, 5.2): with a certificate
 * of the web for the host's name, or with an X.509-SVID of this very ID, judged by authorities that
 * the client holds already.
 */
export type EndpointProfile =
  | { readonly type: 'https_web' }
  | {
      readonly type: 'https_spiffe';
      readonly endpointId: SpiffeId;
      readonly authorities: X509Authorities;
    };

export interface BundleEndpoint {
  /** `https`, without user information. */
  readonly url: string;
  readonly trustDomain: string;
  readonly profile: EndpointProfile;
}

export interface FetchedBundle {
  readonly bundle: Bundle;
  /** As it came. */
  readonly document: Uint8Array;
}

/** From the connection to the last byte. */
const FETCH_MS_MAX = 15_000;

/**
 * Fetches the bundle of a foreign trust domain. The endpoint need not be of that domain: the caller
 * says which one's it is. Redirections are not followed (SPIFFE Federation, 7.5.1). Throws
 * `bundle_endpoint_invalid` for a URL that is none, `bundle_endpoint_untrusted` where the server is
 * not who it should be, `bundle_endpoint_failed` where it does not answer with a bundle, and the
 * codes of the validation, of `parseBundle` and of `assertOwn`.
 */
export async function fetchBundle(
  { url, trustDomain, profile }: BundleEndpoint,
  now_ms: number,
): Promise<FetchedBundle> {
  const target = endpointUrl(url);
  const document = await get(target, (socket) => assertServer(socket, profile, now_ms), profile);
  const bundle = parseBundle(trustDomain, document);
  assertOwn(bundle);
  return { bundle, document };
}

/**
 * A document does not name its trust domain, but its certificates may: fails with
 * `bundle_other_domain` where one has the SPIFFE ID of another (Federation, 7.3).
 */
export function assertOwn({ trustDomain, x509 }: Bundle): void {
  const own = `spiffe://${trustDomain}`;
  const isForeign = (uri: string) => uri.startsWith('spiffe://') && uri !== own;
  const found = x509.flatMap(({ uris }) => uris).find(isForeign);
  if (found === undefined) return;
  fail('bundle_other_domain', 'The bundle holds a certificate of another trust domain.', {
    trustDomain,
    found,
  });
}

/** SPIFFE Federation, 5.2.1.1 and 5.2.2.1. */
export function endpointUrl(text: string): URL {
  const url = URL.parse(text);
  const isPlain =
    url?.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '';
  if (!url || !isPlain) {
    fail('bundle_endpoint_invalid', 'A bundle endpoint is an https URL without a user.', {
      url: text.slice(0, URL_CHARS_SHOWN),
    });
  }
  return url;
}

const URL_CHARS_SHOWN = 256;

/** With `https_web` the TLS library has judged the server before. */
function assertServer(socket: TLSSocket, profile: EndpointProfile, now_ms: number): void {
  if (profile.type === 'https_web') return;
  const { id } = validateX509Svid(chainOf(socket), profile.authorities, now_ms);
  if (id.uri !== profile.endpointId.uri) {
    fail('bundle_endpoint_untrusted', 'The server of the bundle endpoint has another SPIFFE ID.', {
      expected: profile.endpointId.uri,
      found: id.uri,
    });
  }
}

function get(
  url: URL,
  assertPeer: (socket: TLSSocket) => void,
  { type }: EndpointProfile,
): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const limit = AbortSignal.timeout(FETCH_MS_MAX);
  const sent = request(url, {
    agent: false,
    signal: limit,
    minVersion: 'TLSv1.2',
    // an SVID names no host, and its authorities are no roots of the web: `assertPeer` judges it
    rejectUnauthorized: type === 'https_web',
    ...(type === 'https_spiffe' && { checkServerIdentity: () => undefined }),
    headers: { accept: 'application/json' },
  });
  const giveUp = (error: unknown): void => {
    reject(asFailure(error, url));
    sent.destroy();
  };
  sent.once('socket', (socket) => {
    // before anything that the server says is read
    socket.once('secureConnect', () => {
      try {
        assertPeer(socket as TLSSocket);
      } catch (error) {
        giveUp(error);
      }
    });
  });
  sent.once('error', giveUp);
  sent.once('response', (response: IncomingMessage) => {
    readBody(response).then(resolve, giveUp);
  });
  sent.end();
  return promise;
}

async function readBody(response: IncomingMessage): Promise<Uint8Array> {
  if (response.statusCode !== 200) {
    fail('bundle_endpoint_failed', 'The bundle endpoint does not answer with a bundle.', {
      status: response.statusCode ?? 0,
    });
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BUNDLE_BYTES_MAX) {
      fail('bundle_endpoint_failed', 'The bundle is too large.', { bytes_max: BUNDLE_BYTES_MAX });
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** What TLS and the network say comes as one code, with theirs in its data. */
function asFailure(error: unknown, { host }: URL): X0tError {
  if (error instanceof X0tError) return error;
  const { code = 'unknown', name } = error as NodeJS.ErrnoException;
  const isCertificate = CERTIFICATE_CODES.test(code);
  const reason = name === 'TimeoutError' || name === 'AbortError' ? 'timeout' : code;
  return isCertificate
    ? new X0tError(
        'bundle_endpoint_untrusted',
        'The certificate of the bundle endpoint is not trusted for its host.',
        { host, reason },
        { cause: error },
      )
    : new X0tError(
        'bundle_endpoint_failed',
        'The bundle endpoint cannot be reached.',
        { host, reason },
        { cause: error },
      );
}

/** Of OpenSSL and Node: `CERT_HAS_EXPIRED`, `DEPTH_ZERO_SELF_SIGNED_CERT`, `ERR_TLS_CERT_...`. */
const CERTIFICATE_CODES = /CERT|UNABLE_TO|SELF_SIGNED|ERR_TLS_CERT/;
