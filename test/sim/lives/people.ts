import type { Core } from '#ledger/core.ts';
import { keyId } from '#ledger/cose.ts';
import { entryOf, signEvent } from '#ledger/event.ts';
import type { Body, Entry, Event } from '#ledger/event.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { HeldKey } from '#ledger/held-keys.ts';
import type { Id } from '#ledger/ports.ts';
import { NODE_LANE } from '#ledger/submissions.ts';
import { VERDICTS } from '#ledger/verdicts.ts';
import { keyOf } from '#projections/member-keys.ts';
import { isGone } from '#projections/members-lifecycle.ts';
import { rowOf } from '#projections/members-rows.ts';
import type { TestActor } from '#test/support/cluster.ts';
import { seededPeer } from '#test/support/invites.ts';
import type { TestPeer } from '#test/support/invites.ts';
import { persist } from '#test/sim/client.ts';
import { isFinalAt } from '#test/sim/finality.ts';
import type { World } from '#test/sim/world.ts';

/** Whom a run has besides its committee: a part of the scenario. */
export interface Cast {
  /** Nodes that come by an invite: the last observers. */
  readonly comers: number;
  /** Participants without a node; they come by an invite, too. */
  readonly guests: number;
}

/** What an act is about. People are nodes by their index, and after the last node the guests. */
export interface Life {
  readonly subject: number;
  /** Who does it, where it is not the operator. */
  readonly by?: number;
  /** What differs from act to act. */
  readonly amount?: number;
  /** Whether a node takes it whatever it knows, as from another one that has acknowledged it. */
  readonly isForced?: true;
}

/** What an acknowledged event of these kinds may come to: any word of the rules, or too late. */
export const ANY: readonly number[] = Object.values(VERDICTS).filter(
  (verdict) => verdict > 255 || ([0, 1, 2, 7] as readonly number[]).includes(verdict),
);
/** Nodes that are tried in turn. */
const TRIES_MAX = 8;

/** Kinds after which nodes may be members that were none, or the other way round. */
const MOVES: ReadonlySet<string> = new Set([
  'committee.change/1',
  'member.join/1',
  'member.rekey/1',
  'member.remove/1',
  'member.retire/1',
  'member.revoke/1',
]);

/** The libp2p identity of a node that comes by an invite. */
export function peerOf(index: number): TestPeer {
  return seededPeer(`sim comer ${index}`);
}

/** The people of a run in which members come and go. */
export class People {
  readonly #world: World;
  readonly #guests: readonly TestActor[];
  readonly #cast: Cast;
  readonly #seqs = new Map<Id, number>();
  /** Nodes that are no members, by what was final last. */
  readonly #strangers = new Set<number>();
  #size = 0;
  /** Applied events about all this by kind, those refused and those denied. */
  readonly counts = new Map<string, number>();
  readonly #counted = new Set<Id>();

  constructor(world: World, cast: Cast, guests: readonly TestActor[]) {
    this.#world = world;
    this.#cast = cast;
    this.#guests = guests;
    const { length } = world.nodes;
    for (let index = length - cast.comers; index < length; index++) this.#strangers.add(index);
  }

  isComer(index: number): boolean {
    return index >= this.#world.nodes.length - this.#cast.comers;
  }

  /** Whether a node is no member, or has no key: nothing is demanded of it. */
  isStranger(index: number): boolean {
    return this.#strangers.has(index);
  }

  whoIs(person: number): TestActor {
    const { nodes } = this.#world;
    const who = nodes[person]?.who ?? this.#guests[person - nodes.length];
    if (!who) throw new Error(`no person ${person}`);
    return who;
  }

  isNode(person: number): boolean {
    return person < this.#world.nodes.length;
  }

  /** Events became final at a node: the one that is farthest says who is there. */
  finals(core: Core | undefined, events: readonly FinalEvent[]): void {
    for (const { entry, verdict } of events) this.#count(entry, verdict);
    const hasMoved = events.some(({ entry }) => MOVES.has(entry.event.kind));
    if (!core || !hasMoved || core.replica.fold.size <= this.#size) return;
    this.#size = core.replica.fold.size;
    const rows = core.rows('members', 'final');
    for (const { index, who } of this.#world.nodes) {
      const row = rowOf(rows, who.actor);
      const isHere = row ? !isGone(row) && keyOf(who.actor, rows) !== undefined : false;
      if (isHere || (!row && !this.isComer(index))) this.#strangers.delete(index);
      else this.#strangers.add(index);
    }
  }

  #count({ id, event: { kind } }: Entry, verdict: number): void {
    if (this.#counted.has(id)) return;
    this.#counted.add(id);
    const isMeant = /^(?:member|policy|posture)\./.test(kind);
    if (verdict === VERDICTS.denied) this.#add('denied');
    else if (isMeant) this.#add(verdict === 0 ? kind : 'refused');
  }

  #add(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  /** Events that were handed over, and that no number came of: their authors had left. */
  get voids(): number {
    const { honest, acts } = this.#world;
    return [...acts].filter((id) => !honest.some((node) => isFinalAt(node, id))).length;
  }

  nextSeq(actor: Id): number {
    const seq = this.#seqs.get(actor) ?? 0;
    this.#seqs.set(actor, seq + 1);
    return seq;
  }

  /** The key that signs for a person, as far as a node knows; at least the first one. */
  keyOf(person: number, asked: number): HeldKey {
    const who = this.whoIs(person);
    const id = this.#world.coreOf(asked)?.replica.fold.reducer.keyOf(who.actor);
    return (id !== undefined && this.#world.keys.get(id)) || who;
  }
}

/** An event of a person, signed with the key that it has as far as a node knows. */
export async function saidBy(
  world: World,
  person: number,
  asked: number,
  kind: string,
  body: Body,
): Promise<{ readonly entry: Entry; readonly key: HeldKey }> {
  const people = world.people as People;
  const { actor } = people.whoIs(person);
  const key = people.keyOf(person, asked);
  const id = keyId(key.coseKey);
  const event: Event = {
    chain: world.chain.id,
    actor,
    ...(id !== actor && { key: id }),
    // a node numbers what it authors itself in its own lane
    lane: people.isNode(person) ? 3 : NODE_LANE,
    seq: people.nextSeq(actor),
    kind,
    body,
    hlc: [world.clock.wall_ms(), 0],
  };
  const signed = await signEvent(event, key.signer);
  return { entry: entryOf(event, signed.sign1), key };
}

/** Gives an event to nodes in turn, or to one that takes it whatever it knows. */
export async function hand(
  world: World,
  entry: Entry,
  coseKey: Uint8Array,
  { node, life }: { readonly node: number; readonly life?: Life },
): Promise<boolean> {
  if (!life?.isForced) return persist(world, entry, node, ANY, coseKey, TRIES_MAX);
  await world.coreOf(node)?.submissions.submit(entry.bytes, coseKey, true, true);
  world.noted(entry.id);
  return true;
}

/** A node authors an event, as soon as it may; gives up after a while. */
export async function authorSoon(
  world: World,
  index: number,
  kind: string,
  body: Body,
  tries = TRIES_MAX,
): Promise<void> {
  for (let left = tries; left > 0 && !world.isHealing; left--) {
    const { core, incarnation: life } = world.at(index);
    const entry = await core?.author(kind, body, true).catch(() => undefined);
    if (entry) {
      if (world.isSame(index, life)) world.acknowledged(index, entry, ANY);
      return;
    }
    await world.sleep(400);
  }
}
