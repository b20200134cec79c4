import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { fail } from '#ledger/errors.ts';
import type { Id } from '#ledger/ports.ts';

/**
 * What a request is for, in the one spelling that is taken where it counts who said it: in signed
 * requests, and where a token is taken from this machine only.
 */

const LOOPBACK_ADDRESS = /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
const LOOPBACK_NAMES: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];
const WILDCARDS = new Set(['0.0.0.0', '::']);
/** A name or an address, in lower case, and a port. */
const HOST = /^(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?::[1-9]\d{0,4})?$/;
const PASSED_ON = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

export function isLoopbackAddress(address: string | undefined): boolean {
  return address !== undefined && (address === '::1' || LOOPBACK_ADDRESS.test(address));
}

/** Whether a URL names this machine by a loopback name or address. */
export function isLoopbackUrl({ hostname }: URL): boolean {
  return hostname === '[::1]' || hostname === 'localhost' || LOOPBACK_ADDRESS.test(hostname);
}

/** Whether it came over TLS that this process ended. */
export function isEncrypted({ socket }: IncomingMessage): boolean {
  return (socket as { readonly encrypted?: boolean }).encrypted === true;
}

/** How often a header stands in the request; Node shows some of them once. */
export function countOf({ rawHeaders }: IncomingMessage, name: string): number {
  return rawHeaders.filter((one, i) => i % 2 === 0 && one.toLowerCase() === name).length;
}

/** Whether a proxy says that it passes the request on for somebody. */
export function isPassedOn({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return PASSED_ON.some((one) => headers[one] !== undefined);
}

/**
 * Whether a request comes from this machine and means it: from a loopback address, to a loopback
 * name (else a page in a browser may have led its name here), and not passed on by a proxy, which
 * speaks for others.
 */
export function isLocal(request: IncomingMessage): boolean {
  const { headers, socket } = request;
  const { host = '' } = headers;
  const name = host.replace(/:\d+$/, '');
  return (
    isLoopbackAddress(socket.remoteAddress) &&
    countOf(request, 'host') === 1 &&
    HOST.test(host) &&
    LOOPBACK_NAMES.includes(name) &&
    !isPassedOn(request)
  );
}

/** The node that a signed request is for: its actor, 64 hex digits. */
export const NODE_HEADER = 'x0t-node';

/** The names by which a node is meant, and where it listens. */
export interface OwnNames {
  /** Of the node itself: no other one has it. */
  readonly actor: Id;
  /** Hosts, each with a port or without: then with that of the listener. */
  readonly names: readonly string[];
  /** Those of the listeners: what the configuration says, and the port that was taken. */
  readonly listeners: readonly { readonly host: string; readonly port: number }[];
}

/**
 * The URL of a request. Throws `target_not_canonical` where host or target are written in another
 * way than `URL` writes them, and `signature_other_node` where the host is none of `own`, or the
 * request says that it is for another actor: loopback names are every machine's, so they count for
 * requests of this machine only.
 */
export function targetOf(request: IncomingMessage, own: OwnNames): string {
  const { headers, url: target = '', socket } = request;
  const { host = '' } = headers;
  const scheme = isEncrypted(request) ? 'https' : 'http';
  const url = URL.parse(`${scheme}://${host}${target}`);
  const isCanonical =
    countOf(request, 'host') === 1 &&
    HOST.test(host) &&
    url?.host === host &&
    target === `${url.pathname}${url.search}`;
  if (!isCanonical) {
    const message = 'A signed request names host and target as `new URL()` writes them.';
    fail('target_not_canonical', message);
  }
  if (!isOwn(host, scheme, own, socket)) {
    const message = 'The request is signed for another node, or this one does not know the name: ';
    fail('signature_other_node', `${message}api.names in its configuration lists them.`, { host });
  }
  const node = String(headers[NODE_HEADER] ?? own.actor);
  if (node !== own.actor) {
    fail('signature_other_node', 'The request is signed for another node.', { node });
  }
  return `${scheme}://${host}${target}`;
}

function isOwn(
  host: string,
  scheme: string,
  own: OwnNames,
  { remoteAddress, localAddress }: Pick<Socket, 'remoteAddress' | 'localAddress'>,
): boolean {
  const wanted = withPort(host, scheme);
  const named = own.names.some((name) =>
    /:\d+$/.test(name) && !name.endsWith(']')
      ? name === wanted
      : own.listeners.some(({ port }) => `${name}:${port}` === wanted),
  );
  if (named) return true;
  const isFromHere = isLoopbackAddress(remoteAddress);
  return own.listeners.some(({ host: given, port }) => {
    // who listens on all addresses is meant by the one that the caller has reached
    const at = WILDCARDS.has(given) ? localAddress?.replace(/^::ffff:/, '') : given;
    const isMeant = at !== undefined && (isFromHere || !isLoopbackHost(at));
    const names = [...(isMeant ? [bracketed(at)] : []), ...(isFromHere ? LOOPBACK_NAMES : [])];
    return names.some((name) => `${name}:${port}` === wanted);
  });
}

function isLoopbackHost(host: string): boolean {
  return isLoopbackAddress(host) || LOOPBACK_NAMES.includes(host);
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function withPort(host: string, scheme: string): string {
  return /:\d+$/.test(host) && !host.endsWith(']') ? host : `${host}:${DEFAULT_PORTS[scheme]}`;
}
