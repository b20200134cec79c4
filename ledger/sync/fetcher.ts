import { codeOf } from '#ledger/errors.ts';
import type { Ref } from '#ledger/header.ts';
import type { BlockIntake } from '#ledger/intake.ts';
import type { Clock, Entropy, Id, Log, Network, PeerName } from '#ledger/ports.ts';
import type { Replica } from '#ledger/replica.ts';
import { encodeBlocksRequest, REFS_MAX } from './messages.ts';
import { ANSWER_BYTES_MAX } from './server.ts';

/** Missing blocks under request at once; waiting blocks name them again later. */
const WANTED_MAX = 4096;
/** A block may be on its way by gossip: asking at once would fetch most of them twice. */
const PATIENCE_MS = 30;
const RETRY_MS = 300;
const TIMEOUT_MS = 5000;

interface Wanted {
  readonly ref: Ref;
  /** Who named it; asked first. */
  readonly from: PeerName | undefined;
  tries: number;
  next_ms: number;
}

/**
 * Fetches the parents that waiting blocks lack: from the sender first, then from others, until they
 * are held.
 */
export class Fetcher {
  readonly #replica: Replica;
  readonly #intake: BlockIntake;
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #log: Log;
  readonly #wanted = new Map<Id, Wanted>();
  #cancel: (() => void) | undefined;
  #isStopped = false;
  fetched = 0;

  constructor(
    replica: Replica,
    intake: BlockIntake,
    network: Network,
    clock: Clock,
    entropy: Entropy,
    log: Log,
  ) {
    this.#replica = replica;
    this.#intake = intake;
    this.#network = network;
    this.#clock = clock;
    this.#entropy = entropy;
    this.#log = log;
  }

  want(refs: readonly Ref[], from: PeerName | undefined): void {
    this.#add(refs, from, this.#clock.monotonic_ms() + PATIENCE_MS);
    this.#arm(PATIENCE_MS);
  }

  /** What does not fit now is named again by the blocks that wait for it. */
  #add(refs: Iterable<Ref>, from: PeerName | undefined, next_ms: number): void {
    for (const ref of refs) {
      if (this.#wanted.size >= WANTED_MAX) return;
      if (!this.#wanted.has(ref.id)) this.#wanted.set(ref.id, { ref, from, tries: 0, next_ms });
    }
  }

  #arm(delay_ms: number): void {
    if (this.#isStopped || this.#cancel || this.#wanted.size === 0) return;
    this.#cancel = this.#clock.after(delay_ms, () => {
      this.#cancel = undefined;
      this.#ask();
      this.#arm(RETRY_MS / 3);
    });
  }

  #ask(): void {
    if (this.#replica.isHalted) this.#wanted.clear();
    const now_ms = this.#clock.monotonic_ms();
    const perPeer = new Map<PeerName, Ref[]>();
    for (const [id, wanted] of this.#wanted) {
      if (this.#replica.isKnown(wanted.ref) || !this.#replica.waiting.isWanted(id)) {
        this.#wanted.delete(id);
        continue;
      }
      if (wanted.next_ms > now_ms) continue;
      const peer = this.#peerFor(wanted);
      if (peer === undefined) continue;
      const refs = perPeer.get(peer) ?? [];
      if (refs.length >= REFS_MAX) continue;
      perPeer.set(peer, refs);
      refs.push(wanted.ref);
      wanted.tries += 1;
      wanted.next_ms = now_ms + RETRY_MS * Math.min(16, 2 ** wanted.tries);
    }
    for (const [peer, refs] of perPeer) void this.#request(peer, refs);
    if (this.#wanted.size < WANTED_MAX / 2 && !this.#replica.isHalted) {
      this.#add(this.#replica.waiting.wanted(), undefined, now_ms);
    }
  }

  #peerFor({ from, tries }: Wanted): PeerName | undefined {
    const peers = this.#network.peers().map(({ peer }) => peer);
    if (tries === 0 && from !== undefined && peers.includes(from)) return from;
    const [byte = 0] = this.#entropy.bytes(1);
    return peers[byte % Math.max(1, peers.length)];
  }

  async #request(peer: PeerName, refs: readonly Ref[]): Promise<void> {
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: ANSWER_BYTES_MAX + REFS_MAX * 16 };
    const { epoch } = this.#replica.committee;
    const message = encodeBlocksRequest({ epoch, refs });
    try {
      for await (const frame of this.#network.request(peer, 'blocks', message, limits)) {
        this.fetched += 1;
        await this.#intake.take(frame, peer);
      }
    } catch (error) {
      this.#log.debug({ peer, code: codeOf(error) }, 'blocks could not be fetched');
      this.#network.penalise(peer, codeOf(error));
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }
}
