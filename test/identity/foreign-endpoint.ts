import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { serialiseBundle } from '#node/identity/bundle.ts';
import { craftCa, craftLeaf } from './craft.ts';
import type { Crafted, Wish } from './craft.ts';

/** Good by every clock of a test: the machine's, and the virtual ones. */
const ALWAYS = { from_ms: Date.UTC(2020, 0, 1), to_ms: Date.UTC(2049, 0, 1) } as const;
export const FOREIGN = 'example.org';
export const ENDPOINT_ID = `spiffe://${FOREIGN}/bundle`;

export const authority = (wish: Wish = {}): Promise<Crafted> => craftCa({ ...ALWAYS, ...wish });

/** What the server of an endpoint shows by each profile. */
export const svidOf = (
  ca: Crafted,
  uri = ENDPOINT_ID,
  to_ms: number = ALWAYS.to_ms,
): Promise<Crafted> => craftLeaf(ca, { ...ALWAYS, to_ms, uris: [uri] });
export const webCertificateOf = (ca: Crafted): Promise<Crafted> =>
  craftLeaf(ca, { ...ALWAYS, uris: [], names: [{ type: 'ip', value: '127.0.0.1' }] });

export function pemOf(...chain: readonly Crafted[]): string {
  return chain.map(({ certificate }) => certificate.openssl.toString()).join('');
}

/** A document of the foreign trust domain; `hint_s` 0: without a refresh hint. */
export function documentOf(
  authorities: readonly Crafted[],
  sequence: bigint,
  hint_s = 60,
): string {
  const x509 = authorities.map(({ certificate }) => certificate);
  const refreshHint_s = hint_s === 0 ? undefined : hint_s;
  return serialiseBundle({ trustDomain: FOREIGN, x509, jwt: [], sequence, refreshHint_s });
}

/** A real bundle endpoint on loopback whose operator does as a test wishes. */
export class ForeignEndpoint {
  document = '';
  requests = 0;
  readonly #server: Server;
  #isDown = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(shown: Crafted, document: string): Promise<ForeignEndpoint> {
    const server = createServer(contextOf(shown));
    const one = new ForeignEndpoint(server);
    one.document = document;
    server.on('request', (_request, response) => {
      one.requests += 1;
      response.setHeader('connection', 'close').end(one.document);
    });
    // while it is down it keeps its port, which another process might take
    server.on('connection', (socket: Socket) => one.#isDown && socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return one;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}/bundle`;
  }

  /** From the next connection on. */
  show(crafted: Crafted): void {
    this.#server.setSecureContext(contextOf(crafted));
  }

  up(): void {
    this.#isDown = false;
  }

  /** Ends every connection, and each new one before a word is said. */
  down(): void {
    this.#isDown = true;
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.down();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function contextOf(shown: Crafted): { readonly key: string; readonly cert: string } {
  const key = `-----BEGIN PRIVATE KEY-----\n${shown.pkcs8.toBase64()}\n-----END PRIVATE KEY-----`;
  return { key, cert: pemOf(shown) };
}
