import { X509Certificate, createHash, randomUUID } from 'node:crypto';
import type { webcrypto } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { SignJWT, exportJWK } from 'jose';
import type { ExecutionContext } from 'ava';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { Caller } from '#node/auth/caller.ts';
import { SvidCallers } from '#node/auth/svid-callers.ts';
import type { SpiffeTrust } from '#node/auth/svid-callers.ts';
import { VerificationWork } from '#node/auth/verification-work.ts';
import { IdentityService } from '#node/identity/service.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import { ada, bob } from '#test/ledger/fold-support.ts';
import { craftCa, craftLeaf } from './craft.ts';
import type { Crafted } from './craft.ts';
import { HandLedger, domain, genesis } from './ledger.ts';
import { quietLog } from './support.ts';

/** A network with two issuers whose keys a test holds, as one has them who stole a node. */

const HOUR_MS = 3_600_000;
const [operator] = genesis.operators as [Id];
export const idOf = (path: string): string => `spiffe://${domain}/${path}`;

/** The keys of a node. */
export class StolenIssuer {
  readonly root: Crafted;
  readonly #signs: Crafted;
  readonly #jwt: webcrypto.CryptoKeyPair;
  readonly #kid: string;
  readonly body: object;

  private constructor(root: Crafted, signs: Crafted, jwt: webcrypto.CryptoKeyPair, row: JwtRow) {
    this.root = root;
    this.#signs = signs;
    this.#jwt = jwt;
    this.#kid = row.kid;
    this.body = { x509: root.der, jwt: row, notAfter_ms: Date.now() + 20 * HOUR_MS };
  }

  static async make(): Promise<StolenIssuer> {
    const root = await craftCa(caWish());
    const { subtle } = globalThis.crypto;
    const jwt = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
    const { x = '', y = '' } = await exportJWK(jwt.publicKey);
    const text = JSON.stringify({ crv: 'P-256', kty: 'EC', x, y });
    const kid = createHash('sha256').update(text).digest('base64url');
    const row = { kid, x: bytes(x), y: bytes(y) };
    return new StolenIssuer(root, await craftCa(caWish(), root), jwt, row);
  }

  /** The intermediate below the root. */
  get intermediate(): Crafted {
    return this.#signs;
  }

  /** The leaf, then its intermediate. */
  async x509(path: string, life_ms = HOUR_MS): Promise<readonly Crafted[]> {
    const times = { from_ms: Date.now() - 60_000, to_ms: Date.now() + life_ms };
    return [await craftLeaf(this.#signs, { ...times, uris: [idOf(path)] }), this.#signs];
  }

  async jwt(path: string, audience: string, life_ms = 300_000): Promise<string> {
    return new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', kid: this.#kid })
      .setSubject(idOf(path))
      .setAudience([audience])
      .setExpirationTime(Math.floor((Date.now() + life_ms) / 1000))
      .sign(this.#jwt.privateKey);
  }
}

interface JwtRow {
  readonly kid: string;
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

export const caWish = () => ({
  uris: [`spiffe://${domain}`],
  from_ms: Date.now() - HOUR_MS,
  to_ms: Date.now() + 20 * HOUR_MS,
});

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64url'));

/** Both have published what they have; `ofAda` and `ofBob` say which is whose. */
export async function twoIssuers(t: ExecutionContext, agent = '') {
  const ledger = new HandLedger();
  const [ofAda, ofBob] = [await StolenIssuer.make(), await StolenIssuer.make()];
  ledger.say(ada, 'identity.authority/1', ofAda.body);
  ledger.say(bob, 'identity.authority/1', ofBob.body);
  const service = await IdentityService.open(
    { socket: '', agent },
    { ledger: ledger.of(ada), actor: ada, clock, entropy, log: quietLog, refused: () => undefined },
  );
  t.teardown(() => service.close());
  const { trust } = service;
  if (!trust) throw new Error('no identities');
  const enter = (id: string, changes?: object): void => {
    const entry = changes && {
      spiffeId: idOf(id), selectors: ['unix:uid:1'], x509Ttl_s: 3600, ...changes,
    };
    ledger.say(operator, 'identity.entry/1', { id, ...(entry && { entry }) });
    if (ledger.verdicts.at(-1) !== 'applied') throw new Error(ledger.verdicts.at(-1));
  };
  return { ledger, trust, service, ofAda, ofBob, enter, onAda: { nodes: [bytesOf(ada)] } };
}

/** Requests over one connection that is kept, with this chain. */
export function connectionOf(
  trust: SpiffeTrust,
  [leaf, intermediate]: readonly Crafted[],
): () => Promise<Caller> {
  const work = new VerificationWork({ perSecond: 100, burst: 100 }, clock);
  const callers = new SvidCallers({ trust, clock, work, audience: ['api'] });
  const certificate = new X509Certificate(leaf?.der ?? '');
  Object.defineProperty(certificate, 'issuerCertificate', {
    value: new X509Certificate(intermediate?.der ?? ''),
  });
  const socket = { remoteAddress: '192.0.2.1', getPeerX509Certificate: () => certificate };
  return () => callers.x509(socket as unknown as TLSSocket);
}
