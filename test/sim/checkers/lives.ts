import { decodeCommit } from '#ledger/commit.ts';
import { EVIDENCE_KIND, readEvidence } from '#ledger/evidence.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { Core } from '#ledger/core.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { BlockStore } from '#ledger/ports.ts';
import { VERDICTS } from '#ledger/verdicts.ts';
import { viewOf } from '#governance/policy-view.ts';
import { listMembers } from '#projections/index.ts';
import { MembersModel } from '#test/sim/model/members.ts';
import { RulesModel, standingOf } from '#test/sim/model/rules.ts';
import { wholeNodes } from '#test/sim/finality.ts';
import type { World } from '#test/sim/world.ts';
import type { MakeChecker } from './index.ts';

/**
 * The log of the first honest node that has all of it, told to a model of membership, policies and
 * posture: nothing of who left, or whose key was revoked, has a number after that; what rules deny
 * at an event's number is denied, and nothing else; every epoch's committee is the one that the
 * events of the epoch before it give; nobody is isolated on the word of too few.
 */
export const lives: MakeChecker = (world, report) => ({
  end() {
    const { core, store } = wholeNodes(world)[0] ?? {};
    if (!core || !store || !world.people) return;
    new Telling(world, core, store, report).tell();
  },
});

/** Verdicts of who was asked: `applied`, `denied`, `kv_precondition`. */
const JUDGED: ReadonlySet<number> = new Set([0, 7, 256]);

class Telling {
  readonly #core: Core;
  readonly #store: Pick<BlockStore, 'get'>;
  readonly #report: (detail: string) => void;
  readonly #members: MembersModel;
  readonly #rules: RulesModel;

  constructor(
    { chain }: World,
    core: Core,
    store: Pick<BlockStore, 'get'>,
    report: (detail: string) => void,
  ) {
    this.#core = core;
    this.#store = store;
    this.#report = report;
    this.#members = new MembersModel(chain.genesis, report);
    this.#rules = new RulesModel(report);
  }

  tell(): void {
    const { log, replica } = this.#core;
    let commit = 0;
    for (const final of log.range(1, replica.fold.size)) {
      if (final.commit !== commit) this.#endCommit(commit);
      ({ commit } = final);
      this.#take(final);
    }
    this.#endCommit(commit);
    const shown = new Map(
      listMembers(this.#core.rows('members', 'final')).map((one) => [one.actor, one]),
    );
    for (const [actor, { state, isOperator }] of this.#members.members) {
      const { state: held = 'active', roles = [] } = shown.get(actor) ?? {};
      if (held === state && roles.includes('operator') === isOperator) continue;
      this.#report(`${actor} is ${held}, not ${state}; its roles are ${roles.join(', ')}`);
    }
    const { policies, roles } = viewOf(this.#core.rows('policy', 'final'));
    const { standing } = this.#rules;
    const held = standingOf(new Map(policies.map(({ id, text }) => [id, text])), roles);
    if (held !== standing) this.#report(`rules are ${held}, not ${standing}`);
    if (shown.size !== this.#members.members.size) this.#report(`${shown.size} are members`);
  }

  #endCommit(commit: number): void {
    const row = this.#store.get(storeKeys.commit(commit));
    const authors = row ? decodeCommit(row).blocks.map(({ author }) => author) : [];
    if (!this.#members.endCommit(authors)) return;
    const epoch = this.#members.committees.length - 1;
    const held = this.#core.replica.epochs.ofEpoch(epoch)?.validators.map(({ actor }) => actor);
    if (held?.join() === this.#members.seated.join()) return;
    const size = held?.length ?? 'no';
    this.#report(`epoch ${epoch} has ${size} validators, not ${this.#members.seated.length}`);
  }

  #take(final: FinalEvent): void {
    const { verdict, seq, entry: { event }, ts_ms } = final;
    const { actor, kind, body } = event;
    if (kind.startsWith('kv.')) {
      const isSeated = this.#members.seated.includes(actor);
      const { labels = [] } = this.#members.members.get(actor) ?? {};
      const key = String(body['key']);
      const isDenied = this.#rules.denies({ actor, key, labels, isSeated, ts_ms });
      const isJudged = JUDGED.has(verdict);
      if (isJudged && isDenied !== (verdict === VERDICTS.denied)) {
        this.#report(`event ${seq} of ${key} has the verdict ${verdict}`);
      }
    }
    const evidence = kind === EVIDENCE_KIND && verdict === 0 ? readEvidence(body) : undefined;
    if (evidence) {
      const { epoch, author } = evidence;
      this.#rules.convict(this.#members.committees[epoch]?.[author] ?? '');
    }
    this.#members.take(final);
    if (evidence) this.#members.convict(evidence.epoch, evidence.author);
    if (verdict === VERDICTS.applied) this.#rules.take(final, this.#members.seated);
  }
}
