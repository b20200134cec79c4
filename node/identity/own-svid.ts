import { createPrivateKey } from 'node:crypto';
import { codeOf } from '#ledger/errors.ts';
import type { Clock, Id, Log } from '#ledger/ports.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import type { Authority } from './authority.ts';
import { readCertificates } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import type { WorkloadClient } from './workload-client.ts';
import type { OwnSvid } from './workload-materials.ts';
import { BACKDATED_MS } from './x509-issuing.ts';

/** The node's own X.509-SVID in the form in which TLS takes it. */
export interface ServedSvid {
  readonly id: SpiffeId;
  /** The leaf and its intermediates, PEM. */
  readonly cert: string;
  /** PKCS #8, PEM. Secret. */
  readonly key: string;
  readonly notAfter_ms: number;
}

/** Life of an SVID that a node issues to itself: a new one is made at half of it. */
export const OWN_SVID_TTL_S = 3600;
/** After a failure it is not tried again for so long. */
const RETRY_MS = 5000;

/** The SPIFFE ID that a node has in its network's trust domain. */
export function nodeId(trustDomain: string, actor: Id): SpiffeId {
  return parseSpiffeId(`spiffe://${trustDomain}/node/${actor}`);
}

export interface OwnIdentityParts {
  readonly actor: Id;
  readonly clock: Clock;
  readonly log: Log;
  /** Wins: somebody else says who this node is. */
  readonly client: WorkloadClient | undefined;
  /** The own authority, while it is in the bundle. */
  readonly authority: () => Authority | undefined;
}

/**
 * What a node shows who it is with: the default SVID of its Workload API where it has one, else one
 * that it issues to itself as an issuer of its network's trust domain. `look` is called from time
 * to time and makes what is due. Nothing that has expired is shown.
 */
export class OwnIdentity {
  readonly #parts: OwnIdentityParts;
  readonly #listeners = new Set<() => void>();
  #current: ServedSvid | undefined;
  #issuedBy: Authority | undefined;
  #madeAt_ms = 0;
  #renewAt_ms = 0;
  #isWorking = false;

  constructor(parts: OwnIdentityParts) {
    this.#parts = parts;
  }

  /** `undefined` while there is none that holds. */
  get current(): ServedSvid | undefined {
    const now_ms = this.#parts.clock.wall_ms();
    return this.#current && now_ms < this.#current.notAfter_ms ? this.#current : undefined;
  }

  /** Called after `current` was replaced. The returned function ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async look(): Promise<void> {
    const { client, log } = this.#parts;
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      if (client) this.#takeFrom(client);
      else await this.#issue();
    } catch (error) {
      log.warn({ code: codeOf(error) }, 'this node has no SVID of its own');
      this.#renewAt_ms = this.#parts.clock.wall_ms() + RETRY_MS;
    } finally {
      this.#isWorking = false;
    }
  }

  #takeFrom(client: WorkloadClient): void {
    const now_ms = this.#parts.clock.wall_ms();
    const own = client.current.svids.find(({ notAfter_ms }) => now_ms < notAfter_ms);
    if (!own) return this.#set(undefined);
    const svid = servedSvid(own);
    if (svid.cert !== this.#current?.cert) this.#set(svid);
  }

  async #issue(): Promise<void> {
    const { authority, clock, actor } = this.#parts;
    const by = authority();
    const now_ms = clock.wall_ms();
    if (!by) {
      // what it issued before is in no bundle any more
      if (this.#issuedBy) this.#set(undefined);
      this.#issuedBy = undefined;
      return;
    }
    // where the clock was set back, what was made is not valid yet
    const isValid = now_ms >= this.#madeAt_ms - BACKDATED_MS;
    if (by === this.#issuedBy && isValid && now_ms < this.#renewAt_ms) return;
    const id = nodeId(by.trustDomain.trustDomain, actor);
    const { chain, key, notAfter_ms } = await by.issueX509(id, OWN_SVID_TTL_S);
    const pem = createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' });
    this.#issuedBy = by;
    this.#madeAt_ms = now_ms;
    this.#renewAt_ms = now_ms + (notAfter_ms - now_ms) / 2;
    this.#set({
      id,
      cert: pemOf(readCertificates(chain)),
      key: pem.export({ type: 'pkcs8', format: 'pem' }),
      notAfter_ms,
    });
  }

  #set(svid: ServedSvid | undefined): void {
    if (svid === this.#current) return;
    this.#current = svid;
    for (const listener of this.#listeners) listener();
  }
}

/** An SVID of a Workload API as TLS takes it. */
export function servedSvid({ id, chain, privateKey, notAfter_ms }: OwnSvid): ServedSvid {
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  return { id, cert: pemOf(chain), key, notAfter_ms };
}

function pemOf(chain: readonly Certificate[]): string {
  return chain.map(({ openssl }) => openssl.toString()).join('');
}
