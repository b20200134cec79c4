import { Agent, request } from 'node:http';
import { exchange } from './exchange.ts';
import type { DirectRequest } from './exchange.ts';

/**
 * `fetch` for this machine. With NODE_USE_ENV_PROXY the one of Node sends everything to the proxy
 * that the environment names, also what is meant for a loopback address; agents that are made here
 * know of no proxy.
 */

const agent = new Agent({ keepAlive: true });

/** A `DirectFetch` for `http` addresses. */
export function loopbackFetch(
  url: URL,
  { method, headers, body, signal }: DirectRequest,
): Promise<Response> {
  const sent = request(url, { method, headers, agent, ...(signal && { signal }) });
  return exchange(sent, { ...(body && { body }), ...(signal && { signal }) });
}
