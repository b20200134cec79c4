import { encode, splitByteStrings } from './codec.ts';
import { codeOf } from './errors.ts';
import { EVIDENCE_KIND, evidenceBody } from './evidence.ts';
import type { SignedHeader } from './evidence.ts';
import type { Body } from './event.ts';
import { idOf } from './ids.ts';
import { storeKeys } from './keys.ts';
import type { BlockStore, Clock, Id, Log } from './ports.ts';
import type { Replica } from './replica.ts';
import { rendezvous } from './submissions.ts';

/** Cases under watch: one for each author and epoch. */
const CASES_MAX = 256;
/** A report that cannot be made is tried so often, each time after twice the pause. */
const TRIES_MAX = 8;

/** Two accepted blocks of one slot. */
export interface Twins {
  readonly epoch: number;
  readonly round: number;
  readonly author: number;
  readonly ids: readonly [Id, Id];
}

interface Case {
  readonly epoch: number;
  readonly author: number;
  readonly cancel: () => void;
}

/** What the witness does for the node. */
export interface WitnessHost {
  /** Whether the log holds evidence against this author already. */
  isConvicted(epoch: number, author: number): boolean;
  /** Authors a signed event as this node. */
  author(kind: string, body: Body): Promise<unknown>;
}

/**
 * Reports equivocation (consensus.md 2.13). Every validator that holds two blocks of one slot is a
 * witness; the first by rendezvous hash reports at once, the next after a fallback each if nobody
 * has, so that one report is the rule. One case for each author and epoch.
 */
export class Witness {
  readonly #replica: Replica;
  readonly #store: Pick<BlockStore, 'get'>;
  readonly #clock: Pick<Clock, 'after'>;
  readonly #log: Log;
  readonly #host: WitnessHost;
  readonly #fallback_ms: number;
  readonly #cases = new Map<string, Case>();

  constructor(
    replica: Replica,
    ports: { readonly store: Pick<BlockStore, 'get'>; readonly clock: Clock; readonly log: Log },
    host: WitnessHost,
    fallback_ms: number,
  ) {
    this.#replica = replica;
    this.#store = ports.store;
    this.#clock = ports.clock;
    this.#log = ports.log;
    this.#host = host;
    this.#fallback_ms = fallback_ms;
  }

  stop(): void {
    for (const { cancel } of this.#cases.values()) cancel();
    this.#cases.clear();
  }

  /** Looks through the DAG that a restarted node holds. */
  start(): void {
    const { committee, orderer } = this.#replica;
    for (let round = Math.max(1, orderer.dag.horizon + 1); round <= orderer.dag.top; round++) {
      for (const author of orderer.dag.authors(round)) {
        const [a, b] = orderer.dag.slot(round, author);
        if (a && b) this.saw({ epoch: committee.epoch, round, author, ids: [a.id, b.id] });
      }
    }
  }

  /** Two blocks of one slot are in the store. */
  saw(twins: Twins): void {
    const { epoch, author } = twins;
    const name = `${epoch}/${author}`;
    if (this.#host.isConvicted(epoch, author)) {
      this.#cases.delete(name);
      return;
    }
    if (this.#cases.has(name) || !this.#hasRoom()) return;
    const { committee, author: self } = this.#replica;
    if (self === undefined) return;
    const actors = committee.validators.map(({ actor }) => actor);
    const order = rendezvous(idOf(encode([epoch, author])), actors);
    const rank = order.indexOf(committee.at(self).actor);
    this.#arm(name, twins, rank * this.#fallback_ms, TRIES_MAX);
  }

  /** Cases that the log has decided make room. */
  #hasRoom(): boolean {
    if (this.#cases.size < CASES_MAX) return true;
    for (const [name, { epoch, author }] of this.#cases) {
      if (this.#host.isConvicted(epoch, author)) this.#cases.delete(name);
    }
    return this.#cases.size < CASES_MAX;
  }

  #arm(name: string, twins: Twins, delay_ms: number, tries: number): void {
    const { epoch, author } = twins;
    const cancel = this.#clock.after(delay_ms, () => {
      this.#report(twins).catch((error: unknown) => {
        this.#log.warn({ code: codeOf(error) }, 'evidence could not be reported');
        // a later pair of blocks of the same author is a new case
        if (this.#cases.get(name)?.cancel !== cancel) return;
        const pause_ms = this.#fallback_ms * 2 ** (TRIES_MAX - tries);
        if (tries > 1) this.#arm(name, twins, pause_ms, tries - 1);
        else this.#cases.delete(name);
      });
    });
    this.#cases.set(name, { epoch, author, cancel });
  }

  async #report({ epoch, round, author, ids }: Twins): Promise<void> {
    if (this.#host.isConvicted(epoch, author)) return;
    const [a, b] = ids.map((id) => this.#header({ round, author, id }, epoch));
    const accused = this.#replica.epochs.ofEpoch(epoch)?.at(author);
    if (!a || !b || !accused) {
      this.#cases.delete(`${epoch}/${author}`);
      return;
    }
    await this.#host.author(EVIDENCE_KIND, evidenceBody(a, b, accused.coseKey));
    this.#log.warn({ epoch, round, author }, 'reported a validator that signed two blocks');
  }

  #header(
    ref: Pick<Twins, 'round' | 'author'> & { readonly id: Id },
    epoch: number,
  ): SignedHeader | undefined {
    const row = this.#store.get(storeKeys.block(ref, epoch));
    const [headerBytes, sign1] = row ? splitByteStrings(row) : [];
    return headerBytes && sign1 && { headerBytes, sign1 };
  }
}
