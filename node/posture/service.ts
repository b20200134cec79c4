import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Core } from '#ledger/core.ts';
import { every } from '#ledger/every.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { Clock, Id, Log } from '#ledger/ports.ts';
import type { ManagedNetwork } from '#p2p/index.ts';
import { GRADES } from '#projections/posture-grades.ts';
import { listPosture } from '#projections/posture-view.ts';
import type { PostureView } from '#projections/posture-view.ts';
import { posture } from '#projections/posture.ts';
import { ISOLATED, gradeOf, reviewOnFinal } from './access.ts';
import { isAuthoritySound } from './attestation.ts';
import { LOOK_MS, PostureKeeper } from './keeper.ts';

/** Names of the metrics of posture. */
export const POSTURE_METRICS = {
  members: 'x0t_posture_members',
  authored: 'x0t_posture_authored_total',
  reviews: 'x0t_posture_reviews_total',
  faults: 'x0t_posture_faults_total',
} as const;

export interface PostureOptions {
  readonly core: Core;
  readonly network: Pick<ManagedNetwork, 'review' | 'onPenalty' | 'status'>;
  readonly self: Id;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  readonly fallback_ms: number;
}

/**
 * Posture of a running node: what it sees of its peers becomes reports, grades that are due become
 * events, and what is final takes effect at once, on links that are open, too. In a network without
 * posture on its ledger only the last.
 */
export class PostureService {
  readonly #options: PostureOptions;
  readonly #keeper: PostureKeeper | undefined;
  readonly #stops: (() => void)[] = [];
  #isClosed = false;
  /** Whom a grade is given to by the clock: when it changes, links are reviewed. */
  #effective = '';

  constructor(options: PostureOptions) {
    this.#options = options;
    const { core, network, self, clock, log, registry, fallback_ms } = options;
    const counted = (name: string, help: string, labelNames: string[]): Counter =>
      new Counter({ name, help, labelNames, registers: [registry] });
    const reviews = counted(POSTURE_METRICS.reviews, 'Reviews of all links', []);
    const reviewed = { review: () => (reviews.inc(), network.review()) };
    this.#stops.push(reviewOnFinal(core, reviewed));
    if (!core.chain.genesis.projections.some(([name]) => name === posture.name)) return;
    const authored = counted(POSTURE_METRICS.authored, 'Own events, by kind', ['kind']);
    this.#keeper = new PostureKeeper({
      self,
      clock,
      log,
      list: () => this.list(),
      seats: () => core.replica.fold.seats,
      isMember: (actor) => core.replica.fold.reducer.standingOf(actor) !== undefined,
      author: (kind, body) => core.author(kind, body, true),
      fallback_ms,
      authored: (kind) => authored.inc({ kind }),
    });
    const keeper = this.#keeper;
    const faults = counted(POSTURE_METRICS.faults, 'Penalties of peers, by grade', ['grade']);
    network.onPenalty((actor, code) => {
      // requests that were under way end after the node has
      if (this.#isClosed) return;
      const grade = gradeOf(core, actor, clock) ?? 'none';
      faults.inc({ grade });
      if (grade !== 'none') log.info({ actor, code, grade }, 'an isolated member misbehaves');
      keeper.observations.penalised(actor, code, clock.wall_ms());
    });
    this.#stops.push(core.onFinal((events) => this.#heard(events)));
    this.#watch(reviewed.review);
    this.#showGrades(registry);
  }

  start(): void {
    this.#keeper?.start();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#keeper?.stop();
    for (const stop of this.#stops) stop();
    return Promise.resolve();
  }

  /** Of whom something is held, as final and by this node's clock. */
  list(): readonly PostureView[] {
    const { core, clock } = this.#options;
    return listPosture(core.rows(posture.name, 'final'), core.replica.fold.seats, clock.wall_ms());
  }

  /** Whether others isolate this node. */
  alarms(): { readonly code: string; readonly message: string }[] {
    if (!this.#keeper) return [];
    const { self } = this.#options;
    const own = this.list().find(({ actor }) => actor === self);
    if (!own || own.grade === 'none') return this.#refusals();
    const until = new Date(own.isolation?.until_ms ?? 0).toISOString();
    const why = `by ${own.isolation?.by}, ${own.isolation?.reason}`;
    const message = `The network isolates this node as ${own.grade} until ${until}: ${why}.`;
    return [{ code: 'node_isolated', message }];
  }

  /** Who is cut off may never see the event that says so. */
  #refusals(): { readonly code: string; readonly message: string }[] {
    const { missing } = this.#options.network.status();
    const count = missing.filter(({ lastReason }) => lastReason === ISOLATED).length;
    if (count === 0) return [];
    const message = `Peers refuse this node, since the network isolates it: ${count} of them.`;
    return [{ code: 'node_isolated', message }];
  }

  #heard(events: readonly FinalEvent[]): void {
    const { log } = this.#options;
    const ours = events.filter(({ entry }) => CONCERNS.test(entry.event.kind));
    for (const { entry, verdict } of ours) {
      const { kind, actor: author, body } = entry.event;
      if (verdict !== 0) continue;
      if (kind === AUTHORITY) void this.#attest(author, body['x509']);
      else if (kind.startsWith('posture.i')) {
        const actor = (body['actor'] as Uint8Array).toHex();
        log.warn({ actor, author, grade: body['grade'] }, 'a member is isolated');
      }
    }
    if (ours.length > 0 || events.length === 0) this.#keeper?.look();
  }

  /** An authority of the trust domain is an attestation by its node: all can check it. */
  async #attest(author: Id, x509: unknown): Promise<void> {
    const { core, clock } = this.#options;
    if (await isAuthoritySound(x509, core.chain.genesis)) return;
    this.#keeper?.observations.note(author, 'failed_attestation', 1, clock.wall_ms());
  }

  /** Isolation also ends with time, without an event. */
  #watch(review: () => void): void {
    const { clock } = this.#options;
    const look = (): void => {
      const now = this.list().map(({ actor, grade }) => `${actor} ${grade}`).join();
      if (now !== this.#effective) review();
      this.#effective = now;
    };
    this.#stops.push(every(clock, LOOK_MS, look));
  }

  #showGrades(registry: Registry): void {
    const list = (): readonly PostureView[] => this.list();
    const gauge = new Gauge({
      name: POSTURE_METRICS.members,
      help: 'Members by their grade of isolation, of those of whom something is held',
      labelNames: ['grade'],
      registers: [],
      collect() {
        for (const grade of GRADES) this.set({ grade }, 0);
        for (const { grade } of list()) this.inc({ grade });
      },
    });
    registry.registerMetric(gauge);
  }
}

const AUTHORITY = 'identity.authority/1';
const CONCERNS = /^(posture|evidence|committee|member)\.|^identity\.authority\//;
