import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Clock, Verifier } from '#ledger/ports.ts';
import type { AheadMarks } from './ahead-marks.ts';
import type { Authenticator, Caller } from './caller.ts';
import type { KeyOf } from './member-keys.ts';
import { countOf, isLocal } from './request-target.ts';
import type { OwnNames } from './request-target.ts';
import { SignatureCheck } from './signature-check.ts';
import type { Nonces } from './nonces.ts';
import type { SpiffeTrust, SvidCallers } from './svid-callers.ts';
import type { Rate } from '#ledger/token-buckets.ts';
import { TOKEN } from './tokens.ts';
import type { Tokens } from './tokens.ts';
import { VerificationWork } from './verification-work.ts';

export interface AuthenticatorParts {
  readonly clock: Clock;
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly keyOf: KeyOf;
  readonly own: () => OwnNames;
  readonly tokens: Pick<Tokens, 'ownerOf' | 'isStill' | 'subscribe'>;
  /** `undefined` in a network without identities; asked for when it is needed first. */
  readonly trust: () => Promise<SpiffeTrust | undefined>;
  /** Audiences of JWT-SVIDs besides the node's own SPIFFE IDs. */
  readonly audience: readonly string[];
  /** How often proofs of one address may fail. */
  readonly failures: Rate;
  /** Outlives the process. */
  readonly ahead: Pick<AheadMarks, 'from_s' | 'reserve'>;
  readonly nonces?: Nonces;
}

/**
 * The ways to prove who calls, of which a request takes one: a signature of a member's key, the
 * SVID of its connection, a JWT-SVID or a token of the data directory. There is no other one, and
 * nothing that turns any of them off.
 */
export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  return new Callers(parts);
}

const BEARER = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i;
const HINT =
  'Prove who you are: an operator token from this machine, a signed request, or an SVID' +
  ' (docs/api.md, "Who calls").';

class Callers implements Authenticator {
  readonly #parts: AuthenticatorParts;
  readonly #work: VerificationWork;
  readonly #signatures: SignatureCheck;
  readonly #listeners = new Set<() => void>();
  #svids: Promise<SvidCallers> | undefined;

  constructor(parts: AuthenticatorParts) {
    this.#parts = parts;
    this.#work = new VerificationWork(parts.failures, parts.clock);
    this.#signatures = new SignatureCheck({ ...parts, work: this.#work });
  }

  async authenticate(request: IncomingMessage): Promise<Caller> {
    const { headers } = request;
    const isSigned = headers['signature'] !== undefined || headers['signature-input'] !== undefined;
    const { authorization } = headers;
    const socket = certifiedSocket(request);
    const proofs = [isSigned, authorization !== undefined, socket !== undefined];
    const count = proofs.filter(Boolean).length;
    if (count === 0) fail('unauthenticated', HINT);
    if (count > 1 || countOf(request, 'authorization') > 1) {
      const message = 'The request proves more than one identity: send one proof.';
      fail('credentials_ambiguous', message);
    }
    if (isSigned) return this.#signatures.callerOf(request);
    if (socket) return (await this.#svidCallers()).x509(socket);
    const [, token] = BEARER.exec(authorization ?? '') ?? [];
    if (token === undefined) {
      const message = 'Only `authorization: Bearer` with a token or a JWT-SVID is known here.';
      fail('credentials_unknown', message);
    }
    if (TOKEN.test(token)) return this.#owner(request, token);
    if (token.includes('.')) return (await this.#svidCallers()).jwt(request, token);
    return tokenWrong();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    const endOfTokens = this.#parts.tokens.subscribe(listener);
    return () => {
      this.#listeners.delete(listener);
      endOfTokens();
    };
  }

  async #owner(request: IncomingMessage, token: string): Promise<Caller> {
    const { tokens } = this.#parts;
    const owner = await tokens.ownerOf(token);
    if (owner !== 'monitor' && !isLocal(request)) {
      const message =
        'The operator token counts on the machine of the node only, at a loopback address:' +
        ' elsewhere sign requests.';
      fail('token_not_local', message);
    }
    if (owner === undefined) return tokenWrong();
    const assertHolds = () => {
      if (!tokens.isStill(token, owner)) tokenWrong();
    };
    return { principal: { type: 'Local', id: owner }, assertHolds };
  }

  /** Loaded when somebody shows an SVID: certificates and tokens need most of a second to load. */
  #svidCallers(): Promise<SvidCallers> {
    this.#svids ??= this.#loadSvids().catch((error: unknown) => {
      this.#svids = undefined;
      throw error;
    });
    return this.#svids;
  }

  async #loadSvids(): Promise<SvidCallers> {
    const trust = await this.#parts.trust();
    if (!trust) {
      throw new X0tError('trust_domain_unknown', 'this network has no identities on its ledger');
    }
    const { SvidCallers: Checker } = await import('./svid-callers.ts');
    trust.subscribe(() => {
      for (const listener of this.#listeners) listener();
    });
    return new Checker({ ...this.#parts, trust, work: this.#work });
  }
}

/** The connection, where its other end has shown a certificate. */
function certifiedSocket({ socket }: IncomingMessage): TLSSocket | undefined {
  const tls = socket as Partial<TLSSocket>;
  return tls.getPeerX509Certificate?.() ? (socket as TLSSocket) : undefined;
}

function tokenWrong(): never {
  return fail('token_wrong', 'The token is not one of this node: read its file again.');
}
