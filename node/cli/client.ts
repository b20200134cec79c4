import { existsSync, readFileSync } from 'node:fs';
import { isLoopbackUrl } from '#node/auth/request-target.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { addressFile } from '#node/address-file.ts';
import { withSignature, withToken } from '#node/client-auth.ts';
import type { ClientAuth } from '#node/client-auth.ts';
import { Client } from '#node/client.ts';
import { dataPaths } from '#node/data-paths.ts';
import { onlyToOwner } from './listener.ts';
import { apiUrl } from './places.ts';
import type { NodeOptions } from './places.ts';
import { namedNode, secureFetchFor } from './server-trust.ts';
import { readSigningKey, signingKey } from './signing.ts';
import type { SigningKey } from './signing.ts';

/** The node that a command asks, and how the command proves who it is. */

/** Names a file with the token for nodes of this machine. */
const TOKEN_VARIABLE = 'X0T_TOKEN_FILE';

export async function clientOf(options: NodeOptions): Promise<Client> {
  const url = apiUrl(options);
  return clientWith(await authFor(url, options), url, options);
}

/** As `clientOf`, for another node than the options name: it does not get `--token-file`. */
export async function clientAt(url: string, options: NodeOptions): Promise<Client> {
  const { tokenFile: _, ...rest } = options;
  const auth = await authFor(url, url === options.url ? options : rest);
  return clientWith(auth, url, options);
}

/** As `clientAt`, with another proof of who the command is. */
export async function clientWith(
  auth: ClientAuth | undefined,
  url: string,
  options: NodeOptions,
): Promise<Client> {
  const secureFetch = await secureFetchFor(url, options, auth !== undefined);
  return new Client(url, { ...(auth && { auth }), ...(secureFetch && { secureFetch }) });
}

/**
 * The token of `--token-file`; else, for nodes of this machine, that of the data directory where it
 * is the directory's node, or the one that the environment names; else requests are signed with
 * `--key`, or with a key of the directory that `--data` names, unless `--workload-api` gives the
 * proof. A token goes nowhere by itself but to the node that it is of.
 */
async function authFor(url: string, options: NodeOptions): Promise<ClientAuth | undefined> {
  const { tokenFile: given, data, key, workloadApi, isDataGiven = false } = options;
  const named = URL.parse(url);
  const isHere = named !== null && isLoopbackUrl(named);
  if (given !== undefined) return isHere ? tokenHere(given) : withToken(given);
  if (workloadApi !== undefined && key === undefined) return undefined;
  if (isHere) {
    if (isOfDirectory(named, data)) return tokenHere(tokenFile(data, 'operator'));
    const other = process.env[TOKEN_VARIABLE];
    if (other !== undefined && other !== '') return tokenHere(other);
  }
  if (key === undefined && !isDataGiven) return undefined;
  const found = (await signingKey(options)) ?? (await nodeKey(options));
  return found && withSignature(found, namedNode(options));
}

/** Sent to the node on this machine, and not to who took its port after it ended. */
function tokenHere(file: string): ClientAuth {
  return onlyToOwner(withToken(file), file);
}

/** The own key of the directory's node, which is a member's where it seals blocks. */
async function nodeKey(options: NodeOptions): Promise<SigningKey | undefined> {
  const file = dataPaths(options.data).key;
  return existsSync(file) ? readSigningKey(file, options) : undefined;
}

function isOfDirectory({ origin }: URL, data: string): boolean {
  const file = addressFile(data);
  if (!existsSync(file) || !existsSync(tokenFile(data, 'operator'))) return false;
  return URL.parse(readFileSync(file, 'utf8').trim())?.origin === origin;
}
