import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Clock } from '#ledger/ports.ts';
import { TlsListener } from '#node/api/tls-listener.ts';
import type { SvidSource } from '#node/api/tls-listener.ts';
import type { SpiffeTrust } from '#node/auth/svid-callers.ts';
import type { Certificate } from '#node/identity/certificate.ts';
import type { JwtAuthority } from '#node/identity/jwt-svid.ts';
import type { ServedSvid } from '#node/identity/own-svid.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { systemClock } from '#node/system.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import { craftCa, craftLeaf } from '#test/identity/craft.ts';
import type { Crafted } from '#test/identity/craft.ts';
import { quietLog } from '#test/identity/support.ts';
import { netOf, seededActor } from './seeded-actor.ts';
import { makeFinal, startSingleNode } from './single-node.ts';
import type { SingleNode } from './single-node.ts';

/** A node with its HTTPS listener, in this process, and the certificates of both sides. */

export const HOUR_MS = 3_600_000;
export const NOW_MS = Date.now();
export const TIMES = { from_ms: NOW_MS - HOUR_MS, to_ms: NOW_MS + HOUR_MS };
export const NODE_ID = 'spiffe://example.org/node/me';
export const WEB = 'spiffe://example.org/web';
export const root = await craftCa({ ...TIMES });
export const other = await craftCa({ ...TIMES });
export const foreign = await craftCa({ ...TIMES, uris: ['spiffe://other.org'] });
export const own = await craftLeaf(root, { ...TIMES, uris: [NODE_ID] });
export const web = await craftLeaf(root, { ...TIMES, uris: [WEB] });

/** Bundles that a test changes. */
export class HeldTrust implements SpiffeTrust {
  readonly ownIds = [NODE_ID];
  readonly #listeners = new Set<() => void>();
  x509: Readonly<Record<string, readonly Certificate[]>> = { 'example.org': [root.certificate] };
  jwt: Readonly<Record<string, readonly JwtAuthority[]>> = {};
  x509AuthoritiesOf = (name: string) => this.x509[name];
  jwtAuthoritiesOf = (name: string) => this.jwt[name];
  assertVouched = () => undefined;

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  set(change: Partial<Pick<HeldTrust, 'x509' | 'jwt'>>): void {
    Object.assign(this, change);
    for (const listener of this.#listeners) listener();
  }
}

/** What the listener shows; a test may replace it. */
export class HeldSvid implements SvidSource {
  current: ServedSvid | undefined;
  #listener: () => void = () => undefined;

  constructor(current: ServedSvid | undefined) {
    this.current = current;
  }

  subscribe(listener: () => void): () => void {
    this.#listener = listener;
    return () => undefined;
  }

  set(current: ServedSvid | undefined): void {
    this.current = current;
    this.#listener();
  }
}

export const keyPem = ({ pkcs8 }: Crafted): string =>
  createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' });
export const certPem = (...chain: readonly Crafted[]): string =>
  chain.map(({ der }) => new X509Certificate(der).toString()).join('');
export const served = (leaf: Crafted, id = NODE_ID): ServedSvid => ({
  id: parseSpiffeId(id),
  cert: certPem(leaf),
  key: keyPem(leaf),
  notAfter_ms: NOW_MS + HOUR_MS,
});

/** The system's clock, but that its wall is ahead. */
export const aheadBy = (ahead_ms: () => number): Clock => ({
  monotonic_ms: () => systemClock.monotonic_ms(),
  wall_ms: () => systemClock.wall_ms() + ahead_ms(),
  after: (delay_ms, act) => systemClock.after(delay_ms, act),
});

export interface TlsNode {
  readonly node: SingleNode;
  readonly trust: HeldTrust;
  readonly svid: HeldSvid;
  readonly port: number;
  /** From now on workloads may read what the policy says. */
  readonly permit: (text: string) => Promise<void>;
}

let seq = 0;

/** `ahead_ms`: by how much the clock is ahead by which callers are judged. */
export async function startTlsNode(
  t: ExecutionContext,
  ahead_ms: () => number = () => 0,
): Promise<TlsNode> {
  const operator = seededActor('svid operator');
  const seats = [seededActor('svid validator')];
  const net = netOf(seats, [operator], 'svids', newGenesisSchema());
  const trust = new HeldTrust();
  const names: string[] = [];
  const clock = aheadBy(ahead_ms);
  const node = await startSingleNode({ net, trust: async () => trust, names, clock });
  const svid = new HeldSvid(served(own));
  const options = { host: '127.0.0.1', port: 0, own: svid, log: quietLog };
  const listener = await TlsListener.open(node.api, options);
  names.push(`127.0.0.1:${listener.port}`);
  t.teardown(async () => {
    await listener.close();
    await node.close();
  });
  const permit = async (text: string): Promise<void> => {
    const body = { id: 'workloads', text };
    await makeFinal(node, (seq += 1), { kind: 'policy.put/1', body });
  };
  return { node, trust, svid, port: listener.port, permit };
}
