import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Log } from '#ledger/ports.ts';
import { peerKernel } from '#native/peer-process.ts';
import type { PeerKernel } from '#native/peer-process.ts';
import { Attestor } from '#node/identity/attest.ts';
import { AuthorityKeeper } from '#node/identity/authority-keeper.ts';
import type { PublishedAuthority } from '#node/identity/authority.ts';
import type { Bundle } from '#node/identity/bundle.ts';
import type { IdentitySnapshot, IdentityState } from '#node/identity/entries.ts';
import { Provider } from '#node/identity/provider.ts';
import { parseEntry } from '#projections/identity-entries.ts';
import type { EntryText } from '#projections/identity-entries.ts';
import { parseTrustDomain } from '#projections/spiffe-id.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { WorkloadServer } from '#node/identity/workload-server.ts';
import { systemClock, systemEntropy } from '#node/system.ts';

export const TRUST_DOMAIN = 'example.org';

export const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A snapshot that the test replaces, in the place of the ledger's projection. */
export class HeldState implements IdentityState {
  readonly #listeners = new Set<() => void>();
  current: IdentitySnapshot = {
    trustDomain: parseTrustDomain(TRUST_DOMAIN),
    entries: [],
    bundle: { trustDomain: TRUST_DOMAIN, x509: [], jwt: [], sequence: 0n, refreshHint_s: 60 },
    federated: [],
    vouching: { assert: () => undefined, knows: () => true },
  };

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  set(change: Partial<IdentitySnapshot>): void {
    this.current = { ...this.current, ...change };
    for (const listener of this.#listeners) listener();
  }

  enter(...entries: readonly EntryText[]): void {
    this.set({ entries: entries.map(parseEntry) });
  }

  addAuthority({ x509, jwt }: PublishedAuthority): void {
    const { bundle } = this.current;
    const grown: Bundle = {
      ...bundle,
      x509: [...bundle.x509, x509],
      jwt: [...bundle.jwt, jwt],
      sequence: (bundle.sequence ?? 0n) + 1n,
    };
    this.set({ bundle: grown });
  }
}

export interface Rig {
  readonly state: HeldState;
  readonly keeper: AuthorityKeeper;
  readonly provider: Provider;
  readonly server: WorkloadServer;
  readonly socket: string;
  /** Codes of what was refused, in order. */
  readonly refused: string[];
  client(): WorkloadClient;
  stop(): Promise<void>;
}

/** A provider with a socket of its own, whose entries the test sets. */
export async function makeRig(
  options: { readonly clock?: Clock; readonly kernel?: PeerKernel; readonly socket?: string } = {},
): Promise<Rig> {
  const { clock = systemClock, kernel = peerKernel() } = options;
  const state = new HeldState();
  const keeper = new AuthorityKeeper({
    state,
    clock,
    entropy: systemEntropy,
    log: quietLog,
    publish: (authority) => Promise.resolve(state.addAuthority(authority)),
  });
  await keeper.look();
  const refused: string[] = [];
  const provider = new Provider({
    state,
    authority: () => keeper.active,
    attestor: new Attestor(clock),
    clock,
  });
  const server = new WorkloadServer({
    provider,
    kernel,
    clock,
    log: quietLog,
    refused: (code) => void refused.push(code),
  });
  const socket = options.socket ?? join(mkdtempSync(join(tmpdir(), 'x0t-')), 'api.sock');
  await server.listen(socket);
  state.subscribe(() => void server.look());
  const clients: WorkloadClient[] = [];
  return {
    state,
    keeper,
    provider,
    server,
    socket,
    refused,
    client() {
      const endpoint = { target: `unix://${socket}` };
      const parts = { endpoint, clock, entropy: systemEntropy, log: quietLog };
      const client = new WorkloadClient(parts);
      clients.push(client);
      return client;
    },
    async stop() {
      for (const client of clients) client.close();
      await server.close();
    },
  };
}

/** Resolves once `isTrue` holds, looked at whenever the client's state changes. */
export async function until(client: WorkloadClient, isTrue: () => boolean): Promise<void> {
  if (isTrue()) return;
  await new Promise<void>((resolve) => {
    const end = client.subscribe(() => {
      if (!isTrue()) return;
      end();
      resolve();
    });
  });
}

/** The entry that fits this very process by its uid. */
export function ownEntry(changes: Partial<EntryText> = {}): EntryText {
  return {
    id: 'own',
    spiffeId: `spiffe://${TRUST_DOMAIN}/own`,
    selectors: [`unix:uid:${process.getuid?.() ?? 0}`],
    ...changes,
  };
}
