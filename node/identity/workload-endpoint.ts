import { isIPv4, isIPv6 } from 'node:net';
import { fail } from '#ledger/errors.ts';

/** Where a Workload API is: the name that `@grpc/grpc-js` takes for it. */
export interface WorkloadEndpoint {
  readonly target: string;
}

/**
 * Reads the value of `SPIFFE_ENDPOINT_SOCKET` (Workload Endpoint, 4): `unix:///path` or
 * `unix:/path` without authority, or `tcp://IP:PORT` with nothing else. Fails with
 * `workload_endpoint_invalid`.
 */
export function parseEndpoint(uri: string): WorkloadEndpoint {
  const [, scheme, rest = ''] = /^([a-z]+):(.*)$/s.exec(uri) ?? [];
  if (scheme === 'unix') return unixOf(rest);
  if (scheme === 'tcp') return tcpOf(rest);
  return refuse('scheme', 'the scheme of a Workload API endpoint is unix or tcp');
}

/** The environment's name for the endpoint (Workload Endpoint, 4). */
export const ENDPOINT_VARIABLE = 'SPIFFE_ENDPOINT_SOCKET';

/** What is configured, else what the environment says, else nothing. */
export function locateEndpoint(
  configured: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return configured === '' ? (environment[ENDPOINT_VARIABLE] ?? '') : configured;
}

function unixOf(rest: string): WorkloadEndpoint {
  const [, authority, path] = /^(?:\/\/([^/]*))?(.*)$/s.exec(rest) ?? [];
  if (authority) return refuse('authority', 'a unix endpoint has no authority: unix:///path');
  if (!path?.startsWith('/') || path === '/') {
    return refuse('path', 'a unix endpoint has the absolute path of a socket');
  }
  if (/[?#]/.test(path)) return refuse('component', 'a unix endpoint has a path and nothing else');
  return { target: `unix://${path}` };
}

function tcpOf(rest: string): WorkloadEndpoint {
  const [, v6, v4, port] = /^\/\/(?:\[([^\]]+)\]|([^:/?#@]+)):(\d{1,5})$/.exec(rest) ?? [];
  if (port === undefined) {
    return refuse('tcp', 'a tcp endpoint has an IP address and a port and nothing else');
  }
  if (Number(port) < 1 || Number(port) > 65_535) return refuse('port', 'no such TCP port');
  if (v4 !== undefined && isIPv4(v4)) return { target: `ipv4:${v4}:${Number(port)}` };
  if (v6 !== undefined && isIPv6(v6)) return { target: `ipv6:[${v6}]:${Number(port)}` };
  return refuse('host', 'the host of a tcp endpoint is an IP address');
}

function refuse(rule: string, message: string): never {
  return fail('workload_endpoint_invalid', message, { rule });
}
