import { stat } from 'node:fs/promises';
import type { Id } from '#ledger/ports.ts';
import type { SigningParts } from '#node/auth/request-signature.ts';
import { readToken } from '#node/auth/tokens.ts';
import { systemClock, systemEntropy } from './system.ts';

/** A request before it is sent. */
export interface Outgoing {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

/** How a client proves who it is: the headers that a request has then. */
export type ClientAuth = (request: Outgoing) => Promise<Readonly<Record<string, string>>>;

/**
 * With the token in a file, read again when the file has changed. Throws `token_unreadable`. For
 * the node that the token is of: whoever answers at the address gets to know it.
 */
export function withToken(file: string): ClientAuth {
  let known: { readonly mark: number; readonly token: string } | undefined;
  return async ({ headers }) => {
    const { mtimeMs: mark } = await stat(file).catch(() => ({ mtimeMs: -1 }));
    if (!known || known.mark !== mark) known = { mark, token: await readToken(file) };
    return { ...headers, authorization: `Bearer ${known.token}` };
  };
}

/**
 * By signing every request with an actor's key; for the node of this actor and no other, where it
 * is given.
 */
export function withSignature(
  key: Pick<SigningParts, 'coseKey' | 'signer' | 'actor'>,
  node?: Id,
): ClientAuth {
  const { coseKey, signer, actor } = key;
  const parts: SigningParts = {
    coseKey,
    signer,
    ...(actor !== undefined && { actor }),
    ...(node !== undefined && { node }),
    wall_ms: () => systemClock.wall_ms(),
    random: (count) => systemEntropy.bytes(count),
  };
  return async ({ method, url, headers, body }) => {
    // loaded when it is needed: most commands use a token
    const { signRequest } = await import('#node/auth/request-signature.ts');
    return signRequest({ method, url, headers: { ...headers } }, body, parts);
  };
}
