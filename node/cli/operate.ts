import { fail } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { clientOf } from './client.ts';
import type { Output } from './output.ts';
import { signingKey, submitSigned } from './signing.ts';
import { describeWritten } from './writing.ts';
import type { WritingOptions } from './writing.ts';

/** What commands of operators have in common. */

/** Signs an event with the operator's key, hands it over, and shows what became of it. */
export async function operate(
  out: Output,
  options: WritingOptions,
  kind: string,
  body: Body,
): Promise<void> {
  const key =
    (await signingKey(options)) ?? fail('usage', "Name an operator's key with --key FILE.");
  const { wait = false, timeout } = options;
  const client = await clientOf(options);
  const written = await submitSigned(client, key, kind, body, wait, timeout * 1000);
  out.show(written, () => describeWritten(written));
}

/** The 32 bytes of an actor as people write it. */
export function actorOf(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(text)) {
    const message = 'An actor is written in 64 hex digits: see `npx x0t member list`.';
    fail('usage', message, { actor: text });
  }
  return Uint8Array.fromHex(text);
}
