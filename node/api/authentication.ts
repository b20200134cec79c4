import { createHash } from 'node:crypto';
import { Transform, pipeline } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import type { Clock } from '#ledger/ports.ts';
import type { Authenticator, Caller } from '#node/auth/caller.ts';
import { hasBody } from '#node/auth/signature-check.ts';
import { LOOPBACK, TokenBuckets, networkOf } from '#ledger/token-buckets.ts';
import type { Rate } from '#ledger/token-buckets.ts';
import type { ApiMeters } from '#node/metrics.ts';
import { ACTIONS, operationOf } from './permission.ts';
import type { CallerOf } from './permission.ts';
import type { Api } from './parts.ts';
import { noteProof } from './unproved.ts';

/** How many requests are answered. */
export interface ApiRates {
  /** Of one caller that has proved who it is. */
  readonly identity: Rate;
  /** Of one address, for requests that prove nothing. */
  readonly anonymous: Rate;
}

export interface AuthenticationParts {
  readonly authenticator: Authenticator;
  readonly rates: ApiRates;
  readonly clock: Clock;
  readonly metrics: { readonly api: Pick<ApiMeters, 'refusals'> };
}

export interface Authentication {
  readonly callerOf: CallerOf;
  /** Finds out who sends what fastify answers before it asks anybody. Throws as below. */
  readonly assertCaller: (request: FastifyRequest) => Promise<void>;
}

/**
 * Finds out who calls, before any route does anything, also where there is no route: whoever does
 * not prove it sees whether the node lives and is ready, and nothing else. Throws what
 * `Authenticator` throws, and `rate_limited`.
 */
export function authenticateCallers(
  app: Api,
  { authenticator, rates, clock, metrics }: AuthenticationParts,
): Authentication {
  const callers = new WeakMap<FastifyRequest, Caller>();
  const identities = new TokenBuckets(rates.identity, clock);
  const strangers = new TokenBuckets(rates.anonymous, clock);
  const find = async (request: FastifyRequest, operation?: string): Promise<void> => {
    const address = networkOf(request.socket.remoteAddress);
    const isPath = request.raw.url?.startsWith('/') === true;
    if (isPath && ACTIONS[operation ?? ''] === 'open') {
      // who fails to prove itself from there does not make the node look dead; a refusal costs as
      // much as the answer, so that here, where others call too, none would only harm
      if (address !== LOOPBACK) takeFrom(strangers, `probe ${address}`);
      return;
    }
    let caller: Caller;
    try {
      if (!isPath) {
        fail('target_not_canonical', 'The target of a request is a path, without scheme and host.');
      }
      caller = await authenticator.authenticate(request.raw);
    } catch (error) {
      takeFrom(strangers, address);
      throw error;
    }
    noteProof(request.raw.socket);
    const { type, id } = caller.principal;
    takeFrom(identities, `${type} ${id}`);
    callers.set(request, caller);
  };
  const counted = async (finding: Promise<void>): Promise<void> =>
    finding.catch((error: unknown) => {
      metrics.api.refusals.inc({ code: codeOf(error) });
      throw error;
    });
  app.addHook('onRequest', (request) =>
    counted(find(request, operationOf(request)).then(() => assertBodyTaken(request))),
  );
  app.addHook('preParsing', async (request, _reply, payload) => {
    const digest = callers.get(request)?.contentDigest;
    if (digest === undefined) return payload;
    // what is wrong is told to who reads; where nobody does, the body counts for nothing
    return pipeline(payload, comparing(digest), () => undefined);
  });
  return {
    callerOf: (request) =>
      callers.get(request) ?? fail('unauthenticated', 'Nobody was asked who calls.'),
    assertCaller: (request) => counted(find(request)),
  };
}

const WITH_BODY = new Set(['PUT', 'POST']);

/** What no route would read is refused before it is sent. */
function assertBodyTaken({ raw, is404, method, url }: FastifyRequest): void {
  if (!hasBody(raw)) return;
  if (is404) noSuchRoute(method, url);
  if (!WITH_BODY.has(method)) {
    fail('body_unexpected', 'This route takes no body: send the request without one.', { method });
  }
}

export function noSuchRoute(method: string, url: string): never {
  return fail('no_such_route', 'There is no such route: see /openapi.json.', { method, url });
}

function takeFrom(buckets: TokenBuckets, party: string): void {
  if (buckets.take(party)) return;
  const retryAfter_s = buckets.wait_s(party);
  fail('rate_limited', 'Too many requests: wait, then send fewer.', { retryAfter_s });
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

