import { encodeVote } from '#ledger/certificate.ts';
import type { Certifier } from '#ledger/certifier.ts';
import { decode, encode } from '#ledger/codec.ts';
import { codeOf } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import type { Clock, Entropy, Log, Network, PeerName } from '#ledger/ports.ts';

/** Certificates and votes in one answer: at n = 31 some 5 MB; the asker asks again for more. */
const CERTIFICATES_MAX = 32;
const VOTES_MAX = 128;
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
const TIMEOUT_MS = 15_000;
/** A peer is asked at most so often because it came up. */
const AGAIN_MS = 200;
/** A cut that is not certified after this time is asked for, then less and less often. */
const PATIENCE_MS = 1000;
const PATIENCE_MS_MAX = 10_000;

/**
 * Brings votes and certificates to nodes that missed them: on connecting, and while an own cut
 * waits for its certificate, a peer is asked for what it has, and everybody is sent the own vote on
 * the end of an epoch again. A network whose log is covered asks
 * for nothing.
 */
export class CheckpointSync {
  readonly #certifier: Certifier;
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #log: Log;
  readonly #busy = new Set<PeerName>();
  readonly #asked_ms = new Map<PeerName, number>();
  /** Peers were asked for everything up to this size. */
  #filled: number;
  #cancel: (() => void) | undefined;
  #patience_ms = PATIENCE_MS;
  #isStopped = false;

  constructor(
    certifier: Certifier,
    network: Network,
    ports: { readonly clock: Clock; readonly entropy: Entropy; readonly log: Log },
  ) {
    this.#certifier = certifier;
    this.#network = network;
    this.#clock = ports.clock;
    this.#entropy = ports.entropy;
    this.#log = ports.log;
    this.#filled = certifier.latest?.checkpoint.size ?? 0;
    certifier.onCertified(({ checkpoint }) => {
      // what is made here in its turn needs no asking
      if (this.#busy.size === 0) this.#filled = Math.max(this.#filled, checkpoint.size);
    });
  }

  /** Registers the handler; call it before the network starts. */
  serve(): void {
    this.#network.serve('checkpoints', (message) => this.#answer(decodeRequest(message)));
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  /** An own cut waits for its certificate. */
  expect(): void {
    this.#patience_ms = PATIENCE_MS;
    this.#arm();
  }

  #arm(): void {
    if (this.#isStopped || this.#cancel) return;
    const [a = 0, b = 0] = this.#entropy.bytes(2);
    this.#cancel = this.#clock.after(this.#patience_ms * (0.75 + a / 512), () => {
      this.#cancel = undefined;
      if (!this.#certifier.uncertified) return;
      this.#certifier.again();
      this.#patience_ms = Math.min(PATIENCE_MS_MAX, this.#patience_ms * 2);
      const peers = this.#network.peers();
      const chosen = peers[b % Math.max(1, peers.length)];
      if (chosen) void this.ask(chosen.peer);
      this.#arm();
    });
  }

  /** Asks a peer for what is lacking here. Never throws. */
  async ask(peer: PeerName): Promise<void> {
    const now_ms = this.#clock.monotonic_ms();
    const isSoon = now_ms - (this.#asked_ms.get(peer) ?? -AGAIN_MS) < AGAIN_MS;
    if (this.#busy.has(peer) || isSoon || this.#isStopped) return;
    this.#busy.add(peer);
    if (this.#asked_ms.size > 1024) this.#asked_ms.clear();
    this.#asked_ms.set(peer, now_ms);
    try {
      for (let more = true; more && !this.#isStopped; ) more = await this.#pull(peer);
    } catch (error) {
      this.#log.debug({ peer, code: codeOf(error) }, 'checkpoints could not be fetched');
    } finally {
      this.#busy.delete(peer);
    }
  }

  /** One answer; returns whether there is more. */
  async #pull(peer: PeerName): Promise<boolean> {
    const limits = { timeout_ms: TIMEOUT_MS, responseBytes_max: ANSWER_BYTES_MAX + 1024 * 1024 };
    const { uncertified } = this.#certifier;
    const from = Math.min(this.#filled + 1, uncertified?.size ?? Number.MAX_SAFE_INTEGER);
    const message = encode({ from });
    let certificates = 0;
    let largest = this.#filled;
    for await (const frame of this.#network.request(peer, 'checkpoints', message, limits)) {
      try {
        // a map is a certificate, a list is a vote
        if ((frame[0] ?? 0) >> 5 === 5) {
          certificates += 1;
          largest = Math.max(largest, await this.#certifier.takeCertificate(frame));
        } else await this.#certifier.take(frame);
      } catch (error) {
        this.#network.penalise(peer, codeOf(error));
        throw error;
      }
    }
    const hasMoved = largest > this.#filled;
    this.#filled = largest;
    return hasMoved && certificates >= CERTIFICATES_MAX;
  }

  async *#answer(from: number): AsyncIterable<Uint8Array> {
    let bytes = 0;
    for (const certificate of await this.#certifier.store.certificatesFrom(
      from,
      CERTIFICATES_MAX,
    )) {
      bytes += certificate.bytes.length;
      if (bytes > ANSWER_BYTES_MAX) return;
      yield certificate.bytes;
    }
    for (const vote of this.#certifier.votesToGive(VOTES_MAX)) {
      const frame = encodeVote(vote);
      bytes += frame.length;
      if (bytes > ANSWER_BYTES_MAX) return;
      yield frame;
    }
  }
}

const KNOWN = new Set(['from']);

/** `{from}`: certificates that cover this event or a later one, and votes. */
function decodeRequest(bytes: Uint8Array): number {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'request for checkpoints');
  return field.integerOf(fields, 'from', 0, Number.MAX_SAFE_INTEGER);
}
