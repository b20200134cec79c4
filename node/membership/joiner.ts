import type { Core } from '#ledger/core.ts';
import { X0tError, codeOf } from '#ledger/errors.ts';
import type { Id, Log } from '#ledger/ports.ts';
import { requestJoin } from '#p2p/index.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { readMember } from '#projections/index.ts';
import type { Member } from '#projections/index.ts';
import { dropPendingJoin } from './join-file.ts';
import type { PendingJoin } from './join-file.ts';
import { decodeReply, encodeJoin } from './join-exchange.ts';
import type { JoinReply } from './join-exchange.ts';
import { addressesOf } from './addresses.ts';
import { systemClock } from '#node/system.ts';

const LOOK_MS = 250;
/** Between two requests to a member. */
const ASK_MS = 500;
/** An own event that is not final after so long is authored again. */
const AGAIN_MS = 15_000;

/**
 * Hands a pending join to one member after the other; throws what the last one answered. `missed`
 * hears of every one that did not take it.
 */
export async function askToJoin(
  { message, addrs }: PendingJoin,
  peerKey: Uint8Array,
  missed: (error: unknown) => void = () => undefined,
): Promise<JoinReply> {
  const request = encodeJoin(message);
  let last: unknown = new X0tError('join_no_address', 'The invite names no address to join at.');
  for (const addr of addrs) {
    try {
      return decodeReply(
        await requestJoin({ key: peerKey, addr, message: request, clock: systemClock }),
      );
    } catch (error) {
      last = error;
      missed(error);
      if (isFinal(error)) throw error;
    }
  }
  throw last;
}

/** A member's word that asking again does not change. */
export function isFinal(error: unknown): boolean {
  if (!(error instanceof X0tError) || error.code !== 'join_refused') return false;
  return !PASSING.has(String(error.data['reason']));
}
const PASSING = new Set([
  'actor_quota', 'closed', 'engine_closed', 'join_busy', 'join_timeout', 'overloaded', 'pool_full',
  'slot_pending', 'stopping', 'store_failed', 'unknown',
]);

export interface JoinerParts {
  readonly directory: string;
  readonly core: Pick<Core, 'rows' | 'author' | 'antiEntropy'>;
  readonly network: Pick<ManagedNetwork, 'dialNow' | 'status'>;
  readonly log: Log;
  readonly actor: Id;
  readonly peerKey: Uint8Array;
  readonly pending: PendingJoin | undefined;
}

/**
 * Brings the own node into the network: hands its join to members until the ledger has it, then,
 * once in step, says that it is ready. Ends when the node is active.
 */
export class Joiner {
  readonly #parts: JoinerParts;
  #cancel: (() => void) | undefined;
  #isStopped = false;
  #asked_ms = -Infinity;
  #said_ms = -Infinity;
  /** What the last request came to: a state, or the code of a refusal. */
  progress = 'waiting';

  constructor(parts: JoinerParts) {
    this.#parts = parts;
  }

  /** The own member as the final log has it here. */
  get member(): Member | undefined {
    return readMember(this.#parts.core.rows('members', 'final'), this.#parts.actor);
  }

  start(): void {
    // what was under way may end when the store is closed
    if (this.#isStopped) return;
    const { member } = this;
    const isComing = member ? member.state === 'joining' : this.#parts.pending !== undefined;
    if (!isComing) {
      if (member && this.#parts.pending) void dropPendingJoin(this.#parts.directory);
      return;
    }
    this.#cancel = systemClock.after(LOOK_MS, () => void this.#look().finally(() => this.start()));
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { log } = this.#parts;
    try {
      const { member } = this;
      if (!member) await this.#ask();
      else await this.#say(member);
    } catch (error) {
      const reason = error instanceof X0tError ? error.data['reason'] : undefined;
      this.progress = typeof reason === 'string' ? reason : codeOf(error);
      log.info({ code: codeOf(error), reason: this.progress }, 'not a member yet');
    }
  }

  async #ask(): Promise<void> {
    const { pending, peerKey, network } = this.#parts;
    const now_ms = systemClock.monotonic_ms();
    if (!pending || now_ms - this.#asked_ms < ASK_MS) return;
    this.#asked_ms = now_ms;
    const { state } = await askToJoin(pending, peerKey);
    this.progress = state;
    // it was refused until now
    if (state === 'member') network.dialNow();
  }

  /** What only the node itself can say: where it is, and that it has caught up. */
  async #say({ addrs }: Member): Promise<void> {
    const { core, network, actor } = this.#parts;
    const now_ms = systemClock.monotonic_ms();
    if (!core.antiEntropy.isInStep || core.antiEntropy.catchUp.isRunning) return;
    if (now_ms - this.#said_ms < AGAIN_MS) return;
    this.#said_ms = now_ms;
    const own = addressesOf(network.status().addrs);
    if (!addrs && own.length > 0) {
      const body = { actor: Uint8Array.fromHex(actor), addrs: own };
      await core.author('member.describe/1', body, true);
    }
    await core.author('member.ready/1', {}, true);
  }
}
