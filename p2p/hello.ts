/**
 * The hello: after the transport's handshake both sides prove with a post-quantum signature which
 * actor of which chain they are (`wire.md`, Peers). The protocol's name carries no chain, so that
 * a node of another chain gets a coded refusal instead of silence. The dialler opens the stream;
 * then each side sends, in step with the other,
 *
 *   DATA challenge (32 fresh bytes) -> DATA hello over the other's challenge -> END or REFUSAL code
 *
 * and the link is admitted when both have sent END.
 */
import { codeOf, fail, X0tError } from '#ledger/errors.ts';
import type { Id, PeerName } from '#ledger/ports.ts';
import { reasonOf } from './failures.ts';
import { DATA, END, REFUSAL } from './frames.ts';
import type { FrameStream } from './frames.ts';
import { CHALLENGE_BYTES, HELLO_BYTES_MAX } from './limits.ts';

export const HELLO_PROTOCOL = '/x0t/hello/1';

/**
 * Makes and checks hello messages `{t:'hello', v:1, chain, actor, peer, challenge}`; `node/`
 * realises it.
 */
export interface HelloAuth {
  /**
   * The signed hello of this node for the other side's `challenge`, at most 16 KiB; `self` is its
   * own peer name.
   */
  make(challenge: Uint8Array, self: PeerName): Promise<Uint8Array>;
  /**
   * The actor that `message` proves for `peer` and for the `challenge` that this node sent. Throws
   * an `X0tError`: `foreign_chain` for another genesis, `hello_invalid` for anything else that is
   * wrong.
   */
  check(
    message: Uint8Array,
    challenge: Uint8Array,
    peer: PeerName,
  ): Promise<{ readonly actor: Id }>;
}

/**
 * Runs the exchange; both sides are alike. Resolves with the proven actor, throws the local or the
 * peer's refusal.
 */
export async function exchangeHello(
  frames: FrameStream,
  auth: HelloAuth,
  names: { readonly self: PeerName; readonly peer: PeerName },
  signal: AbortSignal,
): Promise<Id> {
  const mine = crypto.getRandomValues(new Uint8Array(CHALLENGE_BYTES));
  await frames.write(DATA, mine, signal);
  const theirs = await readData(frames, CHALLENGE_BYTES, signal);
  if (theirs.byteLength !== CHALLENGE_BYTES) fail('hello_invalid', 'A challenge has 32 bytes.');
  await frames.write(DATA, await auth.make(theirs, names.self), signal);
  const message = await readData(frames, HELLO_BYTES_MAX, signal);
  let actor: Id;
  try {
    actor = (await auth.check(message, mine, names.peer)).actor;
  } catch (error) {
    const code = codeOf(error);
    await refuse(frames, code, signal);
    throw error instanceof X0tError
      ? error
      : new X0tError('hello_invalid', 'The hello could not be checked.', {}, { cause: error });
  }
  await frames.write(END, new Uint8Array(0), signal);
  const verdict = await frames.read(HELLO_BYTES_MAX, signal);
  if (verdict?.kind === END) return actor;
  return refused(verdict?.payload);
}

/**
 * Sends the refusal and waits until the peer closed its side, so that the caller's closing of the
 * connection does not overtake it. Never rejects: the peer may have refused first.
 */
async function refuse(frames: FrameStream, code: string, signal: AbortSignal): Promise<void> {
  try {
    await frames.write(REFUSAL, new TextEncoder().encode(code), signal);
    await frames.stream.close({ signal });
    while ((await frames.read(HELLO_BYTES_MAX, signal)) !== undefined);
  } catch {
    // nobody listens any more
  }
}

async function readData(
  frames: FrameStream,
  bytes_max: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const frame = await frames.read(bytes_max, signal);
  return frame?.kind === DATA
    ? frame.payload
    : refused(frame?.kind === REFUSAL ? frame.payload : undefined);
}

function refused(payload: Uint8Array | undefined): never {
  return fail('hello_refused', 'The peer refuses this node; its reason says what differs.', {
    reason: payload === undefined ? 'closed' : reasonOf(payload),
  });
}
