import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { X0tError } from '#ledger/errors.ts';
import type { PolicyEntity } from '#ledger/ports.ts';
import { AGE_S_MAX, signerOf } from '#node/auth/request-signature.ts';
import type { CheckParts } from '#node/auth/request-signature.ts';
import { Nonces } from '#node/auth/nonces.ts';
import type { Api } from './parts.ts';
import { byAddress } from './permission.ts';
import type { PrincipalResolver } from './permission.ts';

/**
 * Finds out who calls, before any route does anything: a request that carries a signature is of the
 * actor that made it, or it is refused with `signature_malformed`, `signature_stale`,
 * `signature_replayed` or `signature_wrong`; others are told apart by where they come from.
 */
export function authenticateCallers(
  app: Api,
  { verifier, clock }: Pick<CheckParts, 'verifier'> & { readonly clock: FullClock },
): PrincipalResolver {
  // a request may be made up to its age before and after the node's own time
  const nonces = new Nonces(clock, 2 * 1000 * AGE_S_MAX);
  const signers = new WeakMap<FastifyRequest, PolicyEntity>();
  app.addHook('onRequest', async (request) => {
    const { headers, method, raw } = request;
    if (headers['signature'] === undefined && headers['signature-input'] === undefined) return;
    const url = `http://${request.host}${raw.url ?? ''}`;
    const sent = { method, url, headers: headers as Record<string, string | string[]> };
    const actor = await signerOf(sent, hasBody(request), { verifier, clock, nonces });
    signers.set(request, { type: 'Actor', id: actor });
  });
  app.addHook('preParsing', async (request, _reply, payload) =>
    signers.has(request) && hasBody(request)
      ? payload.pipe(comparing(String(request.headers['content-digest'])))
      : payload,
  );
  return (request) => signers.get(request) ?? byAddress(request);
}

type FullClock = ConstructorParameters<typeof Nonces>[0] & CheckParts['clock'];

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Lets a body pass, and fails at its end where it is not the one that was signed. */
function comparing(digest: string): Transform {
  const hash = createHash('sha256');
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const isSame = digest === `sha-256=:${hash.digest('base64')}:`;
      const message = 'The body is not the one that was signed.';
      done(isSame ? null : new X0tError('signature_wrong', message));
    },
  });
}
