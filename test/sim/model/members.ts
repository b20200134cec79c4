import { thresholdsOf } from '#ledger/committee.ts';
import { keyId } from '#ledger/cose.ts';
import type { Event } from '#ledger/event.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { Genesis } from '#ledger/genesis.ts';
import { inviteId } from '#ledger/invite.ts';
import type { Invite } from '#ledger/invite.ts';
import type { Id } from '#ledger/ports.ts';

/**
 * Membership as docs/membership.md and docs/epochs.md tell it, in plain maps: a second telling, to
 * compare with. It is fed with the final log and takes the verdicts that it finds; it says where
 * they are not what the rules give.
 */

export interface ModelMember {
  state: string;
  isOperator: boolean;
  wantsSeat: boolean;
  labels: readonly string[];
  peer: string | undefined;
  isBarred: boolean;
  /** None: revoked. */
  key: Id | undefined;
  readonly keys: Set<Id>;
}

interface Bodies {
  readonly actor?: Uint8Array;
  readonly key?: Uint8Array;
  readonly invite?: Uint8Array;
  readonly keyHash?: Uint8Array;
  readonly inviteKey?: Uint8Array;
  readonly peer?: string;
  readonly roles?: readonly string[];
  readonly labels?: readonly string[];
  readonly notAfter_ms?: number;
  /** Members by their actor; who is none yet by key and peer id. */
  readonly add?: readonly {
    readonly actor?: Uint8Array;
    readonly key?: Uint8Array;
    readonly peer?: string;
  }[];
  readonly remove?: readonly Uint8Array[];
}

interface ModelInvite {
  readonly roles: readonly string[];
  readonly labels: readonly string[];
  readonly notAfter_ms: number;
  readonly issuer: Id;
  readonly id: Id;
  isUsed: boolean;
  isWithdrawn: boolean;
}

/** From which states a step leads where, and who may take it besides an operator. */
const STEPS: Readonly<Record<string, { from: string; to?: string; own?: true; office?: false }>> = {
  'member.ready/1': { from: 'joining', to: 'active', own: true, office: false },
  'member.cordon/1': { from: 'active', to: 'cordoned' },
  'member.uncordon/1': { from: 'cordoned draining', to: 'active' },
  'member.drain/1': { from: 'active cordoned', to: 'draining', own: true },
  'member.retire/1': { from: 'draining', to: 'retired', own: true },
  'member.remove/1': { from: 'joining active cordoned draining retired', to: 'removed' },
  'member.describe/1': { from: 'joining active cordoned draining' },
};
const TRANSITION = 562;
/** Fewer bear nobody that is down; beside them one newcomer is let in all the same. */
const TOLERANT_MIN = 4;
const SEATS_MAX = 64;

type Report = (detail: string) => void;

export class MembersModel {
  readonly members = new Map<Id, ModelMember>();
  /** By the hash of the one-time key. */
  readonly #invites = new Map<Id, ModelInvite>();
  readonly #revoked = new Set<Id>();
  readonly #report: Report;
  /** Committees by epoch, and the next one where this commit changes it. */
  readonly committees: Id[][];
  #next: Id[] | undefined;
  /** Who was invited as a validator and has no seat yet, in order. */
  #waiting: Id[] = [];
  /** Who of these gave up a seat, unseen. */
  readonly #displaced = new Set<Id>();
  /** Who sits, and none of whose blocks was ordered since it took the seat. */
  #unseen = new Set<Id>();

  constructor({ committee, operators }: Genesis, report: Report) {
    this.#report = report;
    for (const { actor, peer } of committee) this.members.set(actor, newMember(actor, { peer }));
    for (const actor of operators) {
      const known = this.members.get(actor);
      if (known) known.isOperator = true;
      else this.members.set(actor, newMember(actor, { isOperator: true }));
    }
    this.committees = [committee.map(({ actor }) => actor)];
  }

  get seated(): readonly Id[] {
    return this.committees.at(-1) ?? [];
  }

  #nextSeats(): Id[] {
    return [...(this.#next ?? this.seated)];
  }

  /** Who may speak: a member that has not left, with a key that was not revoked. */
  counts({ actor, key = actor, kind, body }: Event): boolean {
    const member = this.members.get(actor);
    if (!member || isGone(member)) return kind === 'member.join/1' && this.#isOpen(body);
    return member.keys.has(key) && !this.#revoked.has(key);
  }

  #isOpen({ inviteKey }: Bodies): boolean {
    const invite = inviteKey && this.#invites.get(keyId(inviteKey));
    if (!invite || invite.isUsed || invite.isWithdrawn) return false;
    return this.#isOfficer(invite.issuer);
  }

  #isOfficer(actor: Id): boolean {
    const member = this.members.get(actor);
    return member !== undefined && member.isOperator && !isGone(member);
  }

  take(final: FinalEvent): void {
    const { verdict, seq, entry: { event }, ts_ms } = final;
    if (!this.counts(event)) {
      this.#report(`event ${seq} has a number, and its author left or its key was revoked`);
    }
    const { kind, actor } = event;
    const body = event.body as Bodies;
    const step = STEPS[kind];
    if (step) this.#judge(final, step, body);
    if (verdict !== 0) return;
    const say = (what: string): void => this.#report(`event ${seq}, ${kind}: ${what}`);
    switch (kind) {
      case 'member.invite/1':
        if (!this.#isOfficer(actor)) say('its author is no operator');
        this.#invites.set(hex(body.keyHash), {
          roles: body.roles ?? [],
          labels: body.labels ?? [],
          notAfter_ms: body.notAfter_ms ?? 0,
          issuer: actor,
          id: idOfInvite(event),
          isUsed: false,
          isWithdrawn: false,
        });
        return;
      case 'member.withdraw/1':
        for (const one of this.#invites.values()) {
          if (one.id !== hex(body.invite)) continue;
          if (one.isUsed) say('the invite was used before');
          one.isWithdrawn = true;
        }
        return;
      case 'member.join/1':
        this.#join(actor, body, ts_ms, say);
        return;
      case 'committee.change/1':
        if (!this.#isOfficer(actor)) say('its author is no operator');
        this.#change(body, say);
        return;
      case 'committee.leave/1':
        if (!this.#nextSeats().includes(actor)) say('its author has no seat');
        this.#change({ remove: [Uint8Array.fromHex(actor)] }, say);
        return;
      case 'member.rotate/1':
        this.#bind(actor, body);
        return;
      case 'member.rekey/1':
        if (this.members.get(hex(body.actor))?.key !== undefined) say('there is a key');
        this.#bind(hex(body.actor), body);
        return;
      case 'member.revoke/1':
        this.#revoke(actor, hex(body.actor), hex(body.key), say);
        return;
      case 'member.describe/1': {
        const member = this.members.get(hex(body.actor));
        if (member && body.labels) member.labels = body.labels;
        if (member && body.roles) member.isOperator = body.roles.includes('operator');
        return;
      }
      default:
        if (step?.to !== undefined) this.#move(actor, body, step.to);
    }
  }

  /** Evidence was applied: whose seat it was, by epoch and author. */
  convict(epoch: number, author: number): void {
    const actor = this.committees[epoch]?.[author];
    const member = actor === undefined ? undefined : this.members.get(actor);
    if (!member || actor === undefined) return;
    member.isBarred = true;
    if (this.#nextSeats().length > 1) this.#unseat(actor);
  }

  /**
   * The last event of a commit was taken; `authors`: whose blocks it holds, by their indexes.
   * Returns whether an epoch ended.
   */
  endCommit(authors: readonly number[]): boolean {
    for (const author of authors) this.#unseen.delete(this.seated[author] ?? '');
    this.#seatWaiting();
    if (!this.#next) return false;
    this.#next = this.#withoutExcess(this.#next);
    this.#unseen = new Set(this.#unseenOf(this.#next));
    this.committees.push(this.#next);
    this.#next = undefined;
    return true;
  }

  #unseenOf(next: readonly Id[]): Id[] {
    return next.filter((actor) => !this.seated.includes(actor) || this.#unseen.has(actor));
  }

  /** How many more unseen ones a committee has than it bears. */
  #excess(next: readonly Id[], bearsOne = this.seated.length < TOLERANT_MIN): number {
    const faulty = thresholdsOf(next.length).validity - 1;
    return this.#unseenOf(next).length - (bearsOne ? Math.max(1, faulty) : faulty);
  }

  /** The last of the unseen give up their seats until a quorum of those who were seen is left. */
  #withoutExcess(next: readonly Id[]): Id[] {
    let seats = [...next];
    const out: Id[] = [];
    while (this.seated.length >= TOLERANT_MIN && seats.length > 1 && this.#excess(seats) > 0) {
      const last = this.#unseenOf(seats).at(-1) ?? '';
      seats = seats.filter((actor) => actor !== last);
      out.unshift(last);
      this.#displaced.add(last);
    }
    this.#waiting.push(...out);
    return seats;
  }

  #seatWaiting(): void {
    for (const actor of this.#waiting) {
      const member = this.members.get(actor);
      const seats = this.#nextSeats();
      const next = [...seats, actor];
      if (seats.length >= SEATS_MAX || this.#excess(next) > 0) return;
      const isOut = !member || member.isBarred || seats.includes(actor);
      if (isOut || !['active', 'cordoned'].includes(member.state)) this.#waitNoMore(actor);
      else if (member.state === 'active' && member.key !== undefined) {
        if (this.#displaced.has(actor) && this.#excess(next, false) > 0) continue;
        this.#waitNoMore(actor);
        this.#next = next;
      }
    }
  }

  #waitNoMore(actor: Id): void {
    this.#waiting = this.#waiting.filter((one) => one !== actor);
    this.#displaced.delete(actor);
  }

  #judge(
    { verdict, seq, entry: { event } }: FinalEvent,
    { from, own, office }: (typeof STEPS)[string],
    body: Bodies,
  ): void {
    const subject = body.actor ? hex(body.actor) : event.actor;
    const member = this.members.get(subject);
    const isLegal = member !== undefined && from.split(' ').includes(member.state);
    const text = `event ${seq}, ${event.kind} for ${member?.state ?? 'nobody'},`;
    if (verdict === TRANSITION && isLegal) this.#report(`${text} is refused`);
    if (verdict !== 0) return;
    if (!isLegal) this.#report(`${text} is applied`);
    const isOwn = subject === event.actor && (own ?? event.kind === 'member.describe/1');
    const isOrdered = office !== false && this.#isOfficer(event.actor);
    if (!isOwn && !isOrdered) this.#report(`${text} is applied for who may not`);
  }

  #move(actor: Id, body: Bodies, to: string): void {
    const subject = body.actor ? hex(body.actor) : actor;
    const member = this.members.get(subject);
    if (!member) return;
    const before = member.state;
    member.state = to;
    if (to === 'draining' || to === 'removed') this.#unseat(subject);
    if (before !== 'joining' || to !== 'active' || !member.wantsSeat) return;
    this.#waiting.push(subject);
    this.#seatWaiting();
  }

  #join(actor: Id, body: Bodies, ts_ms: number, say: Report): void {
    const invite = body.inviteKey && this.#invites.get(keyId(body.inviteKey));
    if (!invite || !this.#isOpen(body)) say('the invite is not open');
    if (!invite) return;
    if (invite.notAfter_ms < ts_ms) say('the invite had ended');
    if (this.members.has(actor)) say('it was a member before');
    invite.isUsed = true;
    const { peer } = body;
    const wantsSeat = invite.roles.includes('validator');
    const isOperator = invite.roles.includes('operator');
    const state = peer === undefined ? 'active' : 'joining';
    const { labels } = invite;
    this.members.set(actor, newMember(actor, { peer, wantsSeat, isOperator, state, labels }));
  }

  #change({ add = [], remove = [] }: Bodies, say: Report): void {
    let seats = this.#nextSeats();
    const leaving = remove.map(hex);
    if (leaving.some((one) => !seats.includes(one))) say('who leaves has no seat');
    seats = seats.filter((one) => !leaving.includes(one));
    for (const { actor, key, peer } of add) {
      const id = key ? keyId(key) : hex(actor);
      const [known] = [...this.members].find(([, member]) => member.keys.has(id)) ?? [id];
      if (actor && !this.members.has(known)) say('gives a seat to no member');
      const member = this.members.get(known) ?? newMember(known, { peer });
      if (member.peer === undefined) say('gives a seat to one without a node');
      if (member.key === undefined) say('gives a seat to one without a key');
      if (member.state !== 'active') say(`gives a seat to one that is ${member.state}`);
      if (member.isBarred) say('gives a seat to one that signed two blocks');
      if (seats.includes(known)) say('seats somebody twice');
      this.members.set(known, member);
      seats.push(known);
    }
    if (seats.length === 0) say('nobody is left');
    const before = this.#excess(this.#nextSeats());
    const after = this.#excess(seats);
    if (after > 0 && (before <= 0 || after >= before)) {
      say('leaves no quorum of validators that were seen at work');
    }
    this.#next = seats;
    for (const one of seats) this.#waitNoMore(one);
  }

  #unseat(actor: Id): void {
    this.#waitNoMore(actor);
    const seats = this.#nextSeats();
    if (seats.includes(actor)) this.#next = seats.filter((one) => one !== actor);
    if (this.#next?.length === 0) this.#report('the last validator lost its seat');
  }

  #bind(actor: Id, { key }: Bodies): void {
    const member = this.members.get(actor);
    if (!member || !key) return;
    member.key = keyId(key);
    member.keys.add(member.key);
    const seats = this.#nextSeats();
    if (seats.includes(actor)) this.#next = seats;
  }

  #revoke(by: Id, actor: Id, key: Id, say: Report): void {
    if (by !== actor && !this.#isOfficer(by)) say('its author may not');
    const member = this.members.get(actor);
    if (!member?.keys.has(key)) say('it is no key of this member');
    this.#revoked.add(key);
    if (!member || member.key !== key) return;
    member.key = undefined;
    if (this.#nextSeats().length > 1) this.#unseat(actor);
  }
}

function idOfInvite({ chain, actor, key, body }: Event): Id {
  const { keyHash, ...terms } = body as unknown as Omit<Invite, 'key'> & { keyHash: Uint8Array };
  const signer = key === undefined ? {} : { signer: key };
  return inviteId({ ...terms, chain, issuer: actor, ...signer, key: keyHash.toHex() });
}

function newMember(actor: Id, more: Partial<ModelMember>): ModelMember {
  return {
    state: 'active',
    isOperator: false,
    wantsSeat: false,
    labels: [],
    peer: undefined,
    isBarred: false,
    key: actor,
    keys: new Set([actor]),
    ...more,
  };
}

export function isGone({ state }: ModelMember): boolean {
  return state === 'retired' || state === 'removed';
}

function hex(bytes: Uint8Array | undefined): Id {
  return bytes?.toHex() ?? '';
}
