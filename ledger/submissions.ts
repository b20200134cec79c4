import type { Chain } from './chain.ts';
import { keyId } from './cose.ts';
import { StateRefusal, fail } from './errors.ts';
import {
  decodeEntry,
  decodeEvent,
  encodeEvent,
  entryJob,
  entryLeaf,
  entryOf,
  partyOf,
  signEvent,
  signingKeyId,
} from './event.ts';
import type { Body, Entry, Event } from './event.ts';
import { innerJobs } from './inner-jobs.ts';
import { heldKey } from './held-keys.ts';
import type { HeldKey, Self } from './held-keys.ts';
import { HybridClock } from './hlc.ts';
import { sha256, textOf } from './ids.ts';
import { JOIN_KIND } from './join.ts';
import { OwnRotation } from './own-rotation.ts';
import type { Clock, Id, PolicyDecision, SignatureJob, Verifier } from './ports.ts';
import type { Replica } from './replica.ts';
import { Shares } from './shares.ts';
import type { VerdictName } from './verdicts.ts';
import type { VerifiedEntries } from './verified.ts';

/** The lane that a node uses for what it authors itself. */
export const NODE_LANE = 0;

/**
 * Signed events under verification at once, a third of a second of work for a core, shared among
 * actors and who sends for them: nobody uses up another's share with signatures that do not hold.
 */
const UNDER_WAY_MAX = 2048;

/** Verdicts that an event may get although it was in order when a node acknowledged it. */
const TOO_LATE: ReadonlySet<VerdictName> = new Set(['replayed', 'expired', 'too_many_lanes']);

export interface SubmissionCounters {
  accepted: number;
  readonly refused: Map<string, number>;
}

/** Events on their way into the pool: form, signature, and whether they would be applied now. */
export class Submissions {
  readonly #chain: Chain;
  readonly #replica: Replica;
  readonly #verifier: Verifier;
  readonly #verified: VerifiedEntries;
  readonly #clock: Clock;
  readonly #self: Self;
  readonly #fallback_ms: number;
  readonly #hlc = new HybridClock();
  readonly #underWay = new Shares(UNDER_WAY_MAX);
  readonly #rotation: OwnRotation;
  #nextSeq: number;
  #hasJumped = false;
  /** Hears what the policies said of events that came here; must not throw. */
  onDecision: ((event: Event, decision: PolicyDecision) => void) | undefined;
  readonly counters: SubmissionCounters = { accepted: 0, refused: new Map() };

  constructor(
    chain: Chain,
    replica: Replica,
    verifier: Verifier,
    verified: VerifiedEntries,
    clock: Clock,
    self: Self,
    fallback_ms: number,
  ) {
    this.#chain = chain;
    this.#replica = replica;
    this.#verifier = verifier;
    this.#verified = verified;
    this.#clock = clock;
    this.#self = self;
    this.#fallback_ms = fallback_ms;
    this.#nextSeq = firstFreeSeq(replica, self.actor);
    this.#rotation = new OwnRotation(replica, clock, self.actor);
  }

  /**
   * Takes a signed event made elsewhere. Resolves when it is kept (`accepted`), or at once when it
   * is known. Throws the codes of its form, `bad_event_signature`, `not_member`, or the reason why
   * it would not be applied, which is a `StateRefusal` where only this node's state says so.
   * `isOrigin`: a client or an observer gave it to this node, which
   * carries it in its next block. `isKept`: another node has acknowledged it, so it gets its place
   * in the log, also where its verdict will be that it came too late. `from` names the sender:
   * throws `overloaded` when it has as many events of this actor under verification as it may.
   */
  async submit(
    entryBytes: Uint8Array,
    coseKey: Uint8Array,
    isOrigin: boolean,
    isKept = false,
    from = '',
  ): Promise<Entry> {
    const entry = decodeEntry(entryBytes);
    const { event, id } = entry;
    if (event.chain !== this.#chain.id) {
      fail('foreign_chain', 'The event is for another network.', { chain: textOf(event.chain) });
    }
    if (keyId(coseKey) !== signingKeyId(event)) {
      fail('bad_key', 'The key is not the one that the event names.', { id });
    }
    const job = entryJob(entry, coseKey);
    const known = this.#replica.pool.get(id);
    if (known) {
      // its write may be under way: nothing is acknowledged before it is kept
      await this.#replica.submit(known, false);
      return entry;
    }
    // a block may carry it that is never ordered: what a client hands over is kept all the same
    const { fold } = this.#replica;
    const isElsewhere = fold.isFinalEntry(entry) || this.#replica.carrierOf(id) !== undefined;
    if (isElsewhere && !isOrigin) return entry;
    if (!isElsewhere) this.#admit(event, isKept);
    // what there is no room for costs no verification
    this.#replica.assertRoom(entry);
    const leaf = entryLeaf(entry);
    if (!this.#verified.has(leaf)) {
      const isValid = await this.#verify([job, ...innerJobs(event)], `${from} ${partyOf(event)}`);
      if (!isValid) {
        fail('bad_event_signature', 'The signature does not fit the event and the key.', { id });
      }
      this.#verified.add(leaf);
    }
    // trying a change of policies costs far more than a signature: not for forged ones
    if (!isElsewhere && !isKept) this.#assertFits(event);
    const due_ms = isOrigin ? 0 : this.dueTime_ms(id);
    const taken = { entry, coseKey, isOwn: isOrigin, due_ms };
    await this.#rotation.take(entry, () => this.#replica.submit(taken, true));
    this.counters.accepted += 1;
    return entry;
  }

  async #verify(jobs: readonly SignatureJob[], party: string): Promise<boolean> {
    if (!this.#underWay.take(party)) {
      fail('overloaded', 'The node checks as many events of this actor as it may: slow down.');
    }
    try {
      const results = await this.#verifier.verify(jobs);
      return !results.includes(false);
    } finally {
      this.#underWay.give(party);
    }
  }

  /**
   * Authors an event as this node. With `isSigned` it is kept and stands by itself, so that it may
   * be acknowledged; else it rides in an own block, and nothing may be said of it before it is
   * final (validators only). `onBehalfOf`: the actor or SPIFFE ID that this node speaks for, whom
   * policies must permit it, too. While a rotation of its key is under way it waits, then signs
   * with the new key; throws `key_rotating` where that takes too long.
   */
  async author(
    kind: string,
    body: Body,
    isSigned: boolean,
    onBehalfOf?: string,
  ): Promise<Entry> {
    const { actor } = this.#self;
    if (this.#rotation.isPending) await this.#rotation.over();
    // a store that began anew has learned since what its node authored before
    const { reducer } = this.#replica.fold;
    this.#nextSeq = Math.max(this.#nextSeq, reducer.topOfLane(actor, NODE_LANE) + 1);
    const { id: key, held } = this.#presentKey();
    const draft: Event = {
      chain: this.#chain.id,
      actor,
      ...(key !== actor && { key }),
      ...(onBehalfOf !== undefined && onBehalfOf !== actor && { onBehalfOf }),
      lane: NODE_LANE,
      seq: this.#freeSeq(),
      kind,
      body,
      hlc: this.#hlc.next(this.#clock.wall_ms()),
    };
    // as all others will read it: a text may change on its way through bytes, and a number may have
    // none
    const bytes = encodeEvent(draft);
    const event = decodeEvent(bytes);
    this.#admit(event, false);
    this.#assertFits(event);
    this.#nextSeq = event.seq + 1;
    await this.#assertInnerHold(event);
    // a halted node seals nothing: what it authors has to stand by itself
    const { author, isHalted, committee } = this.#replica;
    const mayBeBare = !isSigned && author !== undefined && !isHalted;
    const isBare = mayBeBare && committee.keyIdAt(author) === key;
    const entry = isBare
      ? entryOf(event, undefined, bytes)
      : await signEvent(event, held.signer, bytes);
    // one that came while this was signed goes before it
    if (this.#rotation.isPending) return this.author(kind, body, isSigned, onBehalfOf);
    if (!isBare) this.#verified.add(entryLeaf(entry));
    const pending = { entry, coseKey: isBare ? undefined : held.coseKey, isOwn: true, due_ms: 0 };
    await this.#rotation.take(entry, () => this.#replica.submit(pending, !isBare));
    this.counters.accepted += 1;
    return entry;
  }

  /** A block of this node that carried what others find invalid would be invalid itself. */
  async #assertInnerHold(event: Event): Promise<void> {
    const jobs = innerJobs(event);
    if (jobs.length === 0) return;
    if ((await this.#verifier.verify(jobs)).includes(false)) {
      fail('bad_event_signature', 'A signature inside the event does not fit.');
    }
  }

  /** The key that signs for this node now; an actor that is no member yet has its first. */
  #presentKey(): { readonly id: Id; readonly held: HeldKey } {
    const { actor } = this.#self;
    const { reducer } = this.#replica.fold;
    const id = reducer.keyOf(actor) ?? actor;
    const held = heldKey(this.#self, id);
    if (held) return { id, held };
    return fail('key_not_held', 'The ledger binds another key to this node than it holds.', {
      actor,
      key: id,
    });
  }

  /** The replica holds another ledger: own events go on after all that it knows. */
  reloaded(): void {
    this.#nextSeq = Math.max(this.#nextSeq, firstFreeSeq(this.#replica, this.#self.actor));
  }

  /**
   * After all that is known to be used. A store that was lost does not know that: once it is
   * noticed, numbers go on from the wall clock's milliseconds, above what a node can have used.
   */
  #freeSeq(): number {
    const { fold, hasForgotten } = this.#replica;
    if (hasForgotten && !this.#hasJumped) {
      this.#hasJumped = true;
      this.#nextSeq = Math.max(this.#nextSeq, this.#clock.wall_ms());
    }
    return Math.max(this.#nextSeq, fold.reducer.topOfLane(this.#self.actor, NODE_LANE) + 1);
  }

  /** Counts a refusal by its code. */
  refused(code: string): void {
    this.counters.refused.set(code, (this.counters.refused.get(code) ?? 0) + 1);
  }

  /** Refuses what would not be applied now: cheaper for all than ordering it. */
  #admit(event: Event, isKept: boolean): void {
    const { reducer, kinds } = this.#replica.fold;
    const { actor, key = actor } = event;
    switch (reducer.keyState(event)) {
      case 'present':
        break;
      case 'retired':
        // what was acknowledged before its actor rotated gets its verdict
        if (isKept) return;
        return fail('key_retired', 'This actor has another key by now: sign with that one.', {
          actor,
          key,
          present: reducer.keyOf(actor) ?? '',
        });
      case 'revoked':
        return fail('key_revoked', 'This key is revoked: nothing that it signs counts.', {
          actor,
          key,
        });
      case 'foreign':
        if (reducer.counts(event)) break;
        // what is wrong with an invite is said, to who presents one
        if (event.kind === JOIN_KIND) this.#assertFits(event);
        return fail(
          'not_member',
          'The actor is no member of this network, or the key is not its own.',
          { actor },
        );
    }
    const verdict = reducer.foresee(event, this.#clock.wall_ms());
    if (isKept && TOO_LATE.has(verdict)) return;
    switch (verdict) {
      case 'replayed':
        return fail('replayed', 'This lane and seq were used: take a higher seq.', {
          lane: event.lane,
          seq: event.seq,
          highest: reducer.topOfLane(event.actor, event.lane),
        });
      case 'expired':
        return fail('expired', 'notAfter_ms has passed.', { notAfter_ms: event.notAfter_ms ?? 0 });
      case 'too_many_lanes':
        return fail('too_many_lanes', 'This actor has all its lanes: use one of them.', {
          lane: event.lane,
        });
      case 'unknown_kind':
        return fail('unknown_kind', 'No active projection knows this kind.', { kind: event.kind });
      case 'bad_body':
        return fail('bad_body', 'The body does not fit the schema of its kind.', {
          kind: event.kind,
          detail: kinds.explain(event.kind, event.body),
        });
      case 'applied':
      case 'key_retired':
      case 'dep_missing':
        // a missing dependency may still come before it in the final order
        return isKept ? undefined : this.#assertPermitted(event);
    }
  }

  /** Refuses changes of policies and of members that would not be applied. */
  #assertFits(event: Event): void {
    const { reducer } = this.#replica.fold;
    const now_ms = this.#clock.wall_ms();
    try {
      reducer.assertPolicyFits(event, now_ms);
      reducer.assertMembershipFits(event, now_ms);
    } catch (error) {
      throw StateRefusal.of(error);
    }
  }

  /** Refuses what the policies deny now. */
  #assertPermitted(event: Event): void {
    const decision = this.#replica.fold.reducer.permission(event, this.#clock.wall_ms());
    if (!decision) return;
    this.onDecision?.(event, decision);
    if (!decision.isAllowed) {
      const message = `The policies do not permit this: ${reasonOf(decision)}.`;
      throw new StateRefusal('policy_denied', message, {
        actor: event.actor,
        action: event.kind,
        policies: decision.reasons,
      });
    }
  }

  /**
   * When this node carries another's event if nobody has: the first by rendezvous hash soonest
   * (consensus.md 2.9).
   */
  dueTime_ms(id: Id): number {
    const { committee } = this.#replica;
    const ranked = rendezvous(
      id,
      committee.validators.map(({ actor }) => actor),
    );
    const rank = ranked.indexOf(this.#self.actor);
    return this.#clock.monotonic_ms() + this.#fallback_ms * (1 + Math.max(0, rank));
  }
}

/**
 * The actors by highest random weight for an id: every node finds the same order without a word.
 */
export function rendezvous(id: Id, actors: readonly Id[]): Id[] {
  const weight = (actor: Id) => sha256(Uint8Array.fromHex(id + actor)).toHex();
  return actors
    .map((actor) => ({ actor, weight: weight(actor) }))
    .toSorted((a, b) => (a.weight < b.weight ? 1 : -1))
    .map(({ actor }) => actor);
}

/** Who says no, in words. */
export function reasonOf({ reasons }: PolicyDecision): string {
  return reasons.length > 0 ? `forbidden by ${reasons.join(', ')}` : 'nothing permits it';
}

/** After all that this node authored before, final or not. */
function firstFreeSeq({ fold, pool, unordered }: Replica, actor: Id): number {
  let top = fold.reducer.topOfLane(actor, NODE_LANE);
  const note = ({ event }: Entry) => {
    if (event.actor === actor && event.lane === NODE_LANE) top = Math.max(top, event.seq);
  };
  for (const { entry } of pool.values()) note(entry);
  for (const { entries } of unordered) entries.forEach(note);
  return top + 1;
}
