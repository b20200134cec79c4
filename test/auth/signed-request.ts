import type { IncomingMessage } from 'node:http';
import { signRequest } from '#node/auth/request-signature.ts';
import type { SigningParts } from '#node/auth/request-signature.ts';
import type { TestActor } from '#test/support/cluster.ts';

/** Signed requests as they come out of Node's parser, without a connection. */

export interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
}

let salt = 0;

export function partsOf(
  { coseKey, signer }: Pick<TestActor, 'coseKey' | 'signer'>,
  wall_ms: () => number,
): SigningParts {
  const random = (count: number): Uint8Array => {
    const bytes = new Uint8Array(count);
    new DataView(bytes.buffer).setUint32(0, (salt += 1));
    return bytes;
  };
  return { coseKey, signer, wall_ms, random };
}

export async function signed(
  parts: SigningParts,
  url: string,
  {
    method = 'PUT',
    body,
    headers = {},
  }: { method?: string; body?: Uint8Array; headers?: Record<string, string> } = {},
): Promise<Sent> {
  const all = await signRequest({ method, url, headers }, body, parts);
  const length = body ? { 'content-length': `${body.length}` } : {};
  const { host } = new URL(url);
  return { method, url, headers: { host, ...length, ...all } };
}

/** What Node gives a handler; `change` comes last. */
export function incoming(
  { method, url, headers }: Sent,
  change: {
    url?: string;
    remoteAddress?: string;
    localAddress?: string;
    rawHeaders?: string[];
  } = {},
): IncomingMessage {
  const { pathname, search } = new URL(url);
  const { url: target = `${pathname}${search}`, localAddress } = change;
  const { remoteAddress = '192.0.2.9' } = change;
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    method,
    url: target,
    headers: Object.fromEntries(lower),
    rawHeaders: [...lower.flat(), ...(change.rawHeaders ?? [])],
    socket: { remoteAddress, localAddress },
  } as unknown as IncomingMessage;
}
