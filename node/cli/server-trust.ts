import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { codeOf, fail } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';
import { addressFile } from '#node/address-file.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { withToken } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import type { DirectFetch } from '#node/exchange.ts';
import type { ServedSvid } from '#node/identity/own-svid.ts';
import type { WorkloadClient } from '#node/identity/workload-client.ts';
import { ENDPOINT_VARIABLE, locateEndpoint } from '#node/identity/workload-endpoint.ts';
import type { X509Authorities } from '#node/identity/x509-svid.ts';
import type { SpiffePeers } from '#node/spiffe-fetch.ts';
import { systemClock } from '#node/system.ts';
import { parseSpiffeId, parseTrustDomain } from '#projections/spiffe-id.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import { whenEnded } from './ending.ts';
import { onlyToOwner } from './listener.ts';
import { firstState, openWorkload } from './workload.ts';

/** Whom a command believes at an https address, and what it shows there. */

export interface ServerOptions {
  readonly trustBundle?: string;
  readonly serverId?: string;
  readonly workloadApi?: string;
}

export function withServer(command: Command): Command {
  return command
    .option(
      '--trust-bundle <file>',
      'https: the SPIFFE bundle that the node is judged by (`x0t identity bundle`)',
    )
    .option('--server-id <spiffe-id>', "https: the node's SPIFFE ID (default: any node's)")
    .option(
      '--workload-api <uri>',
      `https: gives the bundle, and a certificate to show (default: ${ENDPOINT_VARIABLE})`,
    );
}

interface Options extends ServerOptions {
  readonly data: string;
  readonly url?: string;
}

/** The actor of the one node that `--server-id` names; other IDs do not tell it. */
export function namedNode({ serverId = '' }: ServerOptions): Id | undefined {
  return /^spiffe:\/\/[^/]+\/node\/([0-9a-f]{64})$/.exec(serverId)?.[1];
}

type Trust = Pick<SpiffePeers, 'authorities' | 'servers'>;

/**
 * For an https address: a `fetch` to a server that is judged by the bundle of `--trust-bundle`,
 * else by those of the Workload API, else by that of the data directory's node, where it runs;
 * `undefined` where there is none of them. `isProved`: requests prove otherwise who sends them;
 * else the SVID of the Workload API is shown. For another address throws `usage` where options say
 * who is to be believed, wherever it is from, or `--workload-api` is given beside it as `--url`;
 * also `spiffe_id_invalid`, and the codes of bundles and of Workload APIs.
 */
export async function secureFetchFor(
  url: string,
  options: Options,
  isProved: boolean,
): Promise<DirectFetch | undefined> {
  const { data, trustBundle, serverId, workloadApi } = options;
  if (URL.parse(url)?.protocol !== 'https:') {
    const isUseless =
      (trustBundle ?? serverId) !== undefined ||
      (url === options.url && workloadApi !== undefined);
    const message = '--trust-bundle, --server-id and --workload-api are for https addresses.';
    return isUseless ? fail('usage', message, { url }) : undefined;
  }
  const wanted = serverId === undefined ? undefined : parseSpiffeId(serverId);
  const endpoint = locateEndpoint(workloadApi ?? '', process.env);
  const isAsked = endpoint !== '' && (!isProved || trustBundle === undefined);
  const workload = isAsked ? await workloadAt(endpoint) : undefined;
  const trust =
    trustBundle === undefined
      ? ((workload && trustOf(workload, wanted)) ?? (await trustOfDirectory(data, wanted)))
      : await trustInFile(trustBundle, wanted);
  if (!trust) return undefined;
  const { spiffeFetch } = await import('#node/spiffe-fetch.ts');
  const own = isProved ? undefined : workload && (await shownBy(workload));
  return spiffeFetch({ ...trust, clock: systemClock, ...(own && { own }) });
}

async function workloadAt(endpoint: string): Promise<WorkloadClient> {
  const client = await openWorkload(endpoint);
  whenEnded(() => client.close());
  await firstState(client);
  return client;
}

function trustOf(client: WorkloadClient, wanted: SpiffeId | undefined): Trust {
  return {
    authorities: client,
    servers: [wanted ?? parseTrustDomain(client.defaultSvid.id.trustDomain)],
  };
}

async function trustInFile(file: string, wanted: SpiffeId | undefined): Promise<Trust> {
  const { BundleFile } = await import('#node/identity/trust-bundle.ts');
  const held = new BundleFile(file, wanted?.trustDomain);
  const { trustDomain } = held.bundle;
  return { authorities: held, servers: [wanted ?? parseTrustDomain(trustDomain)] };
}

/** What the directory's node says, while it runs: its network's bundle. */
async function trustOfDirectory(
  data: string,
  wanted: SpiffeId | undefined,
): Promise<Trust | undefined> {
  const [address, token] = [addressFile(data), tokenFile(data, 'operator')];
  if (!existsSync(address) || !existsSync(token)) return undefined;
  const auth = onlyToOwner(withToken(token), token);
  const client = new Client(readFileSync(address, 'utf8').trim(), { auth });
  try {
    const { readTrustBundle } = await import('#node/identity/trust-bundle.ts');
    const { trustDomain, x509 } = readTrustBundle(
      await client.identityBundle(),
      wanted?.trustDomain,
    );
    const authorities: X509Authorities = {
      x509AuthoritiesOf: (name) => (name === trustDomain ? x509 : undefined),
    };
    return { authorities, servers: [wanted ?? parseTrustDomain(trustDomain)] };
  } catch (error) {
    if (codeOf(error) === 'node_unreachable') return undefined;
    throw error;
  }
}

/** The default SVID of the Workload API, made ready for TLS once for each. */
async function shownBy(client: WorkloadClient): Promise<() => ServedSvid> {
  const { servedSvid } = await import('#node/identity/own-svid.ts');
  let made: { readonly of: WorkloadClient['defaultSvid']; readonly svid: ServedSvid } | undefined;
  return () => {
    const { defaultSvid: of } = client;
    if (made?.of !== of) made = { of, svid: servedSvid(of) };
    return made.svid;
  };
}
