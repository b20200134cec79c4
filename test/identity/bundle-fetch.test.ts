import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { endpointUrl, fetchBundle } from '#node/identity/bundle-fetch.ts';
import type { EndpointProfile } from '#node/identity/bundle-fetch.ts';
import { serialiseBundle } from '#node/identity/bundle.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import { NOW_MS, craftCa, craftLeaf } from './craft.ts';
import type { Crafted } from './craft.ts';

/** Endpoints on loopback whose certificates any test can make. */
const root = await craftCa();
const between = await craftCa({}, root);
const foreign = await craftCa({ uris: ['spiffe://other.example'] });
const document = serialiseBundle({
  trustDomain: 'example.org',
  x509: [root.certificate],
  jwt: [],
  sequence: 7n,
  refreshHint_s: 60,
});
const answers: RequestListener = (_request, response) => response.end(document);

function pem(...chain: readonly Crafted[]): string {
  return chain.map(({ certificate }) => certificate.openssl.toString()).join('');
}

async function serve(
  t: ExecutionContext,
  chain: readonly [Crafted, ...Crafted[]],
  listener = answers,
): Promise<string> {
  const [{ pkcs8 }] = chain;
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toBase64()}\n-----END PRIVATE KEY-----`;
  const server: Server = createServer({ key, cert: pem(...chain) }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function spiffe(authority = root): EndpointProfile {
  return {
    type: 'https_spiffe',
    endpointId: parseSpiffeId('spiffe://example.org/bundle'),
    authorities: {
      x509AuthoritiesOf: (name) => (name === 'example.org' ? [authority.certificate] : undefined),
    },
  };
}

const fetched = (url: string, profile: EndpointProfile) =>
  fetchBundle({ url, trustDomain: 'example.org', profile }, NOW_MS);

async function refusal(url: string, profile: EndpointProfile): Promise<string> {
  return fetched(url, profile).then(
    () => 'taken',
    (error: unknown) => codeOf(error),
  );
}

test('https_spiffe: an SVID of the ID that was named, with its intermediates', async (t) => {
  const leaf = await craftLeaf(between, { uris: ['spiffe://example.org/bundle'] });
  const { bundle, document: bytes } = await fetched(await serve(t, [leaf, between]), spiffe());
  t.is(bundle.sequence, 7n);
  t.is(new TextDecoder().decode(bytes), document);
});

test('https_spiffe: other IDs, domains, signers and times are refused', async (t) => {
  const wishes = {
    bundle_endpoint_untrusted: await craftLeaf(root),
    trust_domain_unknown: await craftLeaf(foreign, { uris: ['spiffe://other.example/bundle'] }),
    svid_expired: await craftLeaf(root, {
      uris: ['spiffe://example.org/bundle'],
      from_ms: NOW_MS - 7_200_000,
      to_ms: NOW_MS - 3_600_000,
    }),
    x509_svid_invalid: await craftLeaf(root, {
      uris: ['spiffe://example.org/bundle', 'spiffe://example.org/other'],
    }),
  };
  for (const [code, leaf] of Object.entries(wishes)) {
    t.is(await refusal(await serve(t, [leaf]), spiffe()), code);
  }
  const right = await craftLeaf(root, { uris: ['spiffe://example.org/bundle'] });
  t.is(await refusal(await serve(t, [right]), spiffe(between)), 'svid_untrusted');
});

test('https_web: a certificate that no root of the web signed is refused', async (t) => {
  const leaf = await craftLeaf(root);
  t.is(await refusal(await serve(t, [leaf]), { type: 'https_web' }), 'bundle_endpoint_untrusted');
});

test('a redirection, a failure, too many bytes and no JSON are no bundle', async (t) => {
  const leaf = await craftLeaf(root, { uris: ['spiffe://example.org/bundle'] });
  const listeners: Readonly<Record<string, RequestListener>> = {
    redirect: (_request, response) => response.writeHead(302, { location: '/b' }).end(),
    failure: (_request, response) => response.writeHead(500).end(document),
    huge: (_request, response) => response.end(Buffer.alloc(2 * 1024 * 1024, 0x20)),
    cut: (_request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{');
      response.destroy();
    },
  };
  for (const [name, listener] of Object.entries(listeners)) {
    t.is(await refusal(await serve(t, [leaf], listener), spiffe()), 'bundle_endpoint_failed', name);
  }
  const text = await serve(t, [leaf], (_request, response) => response.end('hello'));
  t.is(await refusal(text, spiffe()), 'bundle_invalid');
  t.is(await refusal('https://127.0.0.1:1/', spiffe()), 'bundle_endpoint_failed');
});

test('an endpoint is an https URL without user and fragment', (t) => {
  t.is(endpointUrl('https://example.org/bundle').host, 'example.org');
  const wrong = ['http://example.org/', 'https://me@example.org/', 'nonsense', 'https://a/#b'];
  for (const url of wrong) {
    t.throws(() => endpointUrl(url), { code: 'bundle_endpoint_invalid' }, url);
  }
});
