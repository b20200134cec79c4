import { readFileSync } from 'node:fs';
import { tokenFile } from '#node/auth/tokens.ts';
import type { TokenName } from '#node/auth/tokens.ts';

/** Headers with the token of a data directory, as `curl` in the documents has them. */
export function tokenHeaders(
  directory: string,
  name: TokenName = 'operator',
): { readonly authorization: string } {
  return { authorization: `Bearer ${readFileSync(tokenFile(directory, name), 'utf8').trim()}` };
}

/** `fetch` as the operator of the node whose data directory it is. */
export function fetchAs(directory: string, url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('authorization', tokenHeaders(directory).authorization);
  return fetch(url, { ...init, headers });
}
