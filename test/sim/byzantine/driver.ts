import { encodeBlock } from '#ledger/block.ts';
import type { Block, Draft } from '#ledger/block.ts';
import type { Core } from '#ledger/core.ts';
import { genesisBlockId } from '#ledger/genesis.ts';
import type { Ref } from '#ledger/header.ts';
import type { Clock, Network, Protocol } from '#ledger/ports.ts';
import { propose } from '#ledger/propose.ts';
import { DEFAULT_CONFIG } from '#node/config.ts';
import type { FakeNetwork } from '#test/support/fake-network.ts';
import type { SimNode } from '#test/sim/node.ts';
import { randomOf } from '#test/sim/random.ts';
import type { Random } from '#test/sim/random.ts';
import type { Traitor } from '#test/sim/scenario.ts';
import type { World } from '#test/sim/world.ts';
import { HABITS } from './habits.ts';
import type { Habit } from './habits.ts';
import { Treason } from './treason.ts';

/** How often it looks whether it can seal, and how seldom it does something on its own. */
const TICK_MS = 8;
const MISCHIEF_SHARE = 0.03;
/** It keeps the protocol now and then, so that its peers go on listening. */
const GOOD_SHARE = 0.25;
/** What its habits put into blocks keeps the network awake. */
const PAYLOAD_SHARE = 0.3;

/** What it remembers of an epoch: its last block, and the newest of others it has referred to. */
interface Standing {
  last: Ref;
  readonly referenced: Map<number, number>;
}

/**
 * Plays a traitor: its core follows the network as an observer would, and this seals in its name,
 * by the product's own proposal rule where no habit says otherwise, with no memory of what it
 * signed: in every epoch in which it has a seat.
 */
export class TraitorDriver {
  readonly #world: World;
  readonly #node: SimNode;
  readonly #habits: readonly Habit[];
  readonly #random: Random;
  #treason: Treason | undefined;
  #clock: Clock | undefined;
  readonly #standings = new Map<number, Standing>();
  #lastSeal_ms = Number.NEGATIVE_INFINITY;
  #life = 0;
  #seq = 0;
  /** Set for good when traitors have to be silent. */
  #isSilenced = false;

  constructor(world: World, node: SimNode, { habits }: Traitor) {
    this.#world = world;
    this.#node = node;
    this.#habits = habits.map((name) => HABITS[name]);
    this.#random = randomOf(world.scenario.seed, `traitor ${node.index}`);
  }

  /** Whether it fills no rounds: those that nobody decided stay without its votes. */
  get #runsAhead(): boolean {
    return this.#habits.some((habit) => habit.isHasty === true || 'skips' in habit);
  }

  /** The port for its core: requests of others go to its habits first. */
  wrap(network: FakeNetwork): Network {
    const serve: Network['serve'] = (protocol, handler) =>
      network.serve(protocol, (message, from) => {
        const honest = (): AsyncIterable<Uint8Array> => handler(message, from);
        return this.#answer(protocol, message, from, honest) ?? honest();
      });
    return new Proxy<Network>(network, {
      get: (target, name) => {
        if (name === 'serve') return serve;
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  #answer(
    protocol: Protocol,
    message: Uint8Array,
    from: string,
    honest: () => AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> | undefined {
    const treason = this.#treason;
    if (!treason || this.#isSilenced) return undefined;
    for (const habit of this.#habits) {
      const answer = habit.answer?.(treason, protocol, message, from, honest);
      if (answer) return answer;
    }
    return undefined;
  }

  start(core: Core, network: FakeNetwork, clock: Clock): void {
    const { who } = this.#node;
    const life = ++this.#life;
    this.#clock = clock;
    this.#seq += 10_000;
    const { store = { rows: new Map() } } = this.#node;
    this.#treason = new Treason({
      core, network, store, random: this.#random, who, seq: this.#seq,
    });
    const tick = (): void => {
      if (life !== this.#life || this.#isSilenced) return;
      this.#tick(life).catch((error: unknown) => {
        this.#world.report('traitor', `${this.#node.name}: ${String(error)}`);
      });
    };
    this.#again = () => clock.after(this.#runsAhead ? 1 : TICK_MS, tick);
    this.#again();
  }
  #again: () => void = () => undefined;

  stop(): void {
    this.#life += 1;
    this.#treason = undefined;
  }

  silence(): void {
    this.#isSilenced = true;
  }

  async #tick(life: number): Promise<void> {
    const treason = this.#treason;
    if (!treason) return;
    await this.#seal(treason);
    if (this.#random.chance(MISCHIEF_SHARE)) {
      for (const habit of this.#habits) await habit.tick?.(treason);
    }
    if (life === this.#life) this.#again();
  }

  #standingIn({ core, committee, author }: Treason): Standing {
    const { epoch } = committee;
    const known = this.#standings.get(epoch);
    if (known) return known;
    const last = { round: 0, author, id: genesisBlockId(core.chain.id, committee, author) };
    const standing = { last, referenced: new Map<number, number>() };
    this.#standings.set(epoch, standing);
    return standing;
  }

  async #seal(treason: Treason): Promise<void> {
    const { core, author, committee } = treason;
    const clock = this.#clock;
    const hasSeat = committee.indexOf(treason.who.actor) !== undefined;
    if (!clock || !hasSeat || core.replica.orderer.isEnded) return;
    const standing = this.#standingIn(treason);
    const { last } = standing;
    const { orderer, roundClock } = core.replica;
    const runsAhead = this.#runsAhead;
    const now_ms = clock.monotonic_ms();
    const situation = {
      orderer,
      committee,
      self: author,
      clockRound: roundClock.round,
      entered_ms: runsAhead ? 0 : roundClock.entered_ms,
      last: runsAhead ? { ...last, round: Math.max(last.round, roundClock.round - 1) } : last,
      lastSeal_ms: runsAhead ? Number.NEGATIVE_INFINITY : this.#lastSeal_ms,
      lateness_ms: 0,
      referenced: standing.referenced,
      hasPayload: runsAhead || this.#random.chance(0.01),
      isConnected: () => !runsAhead,
    };
    const proposal = propose(situation, DEFAULT_CONFIG, now_ms);
    if (proposal.type !== 'seal') return;
    if (this.#habits.some((habit) => habit.skips?.(treason, proposal.round))) return;
    const parents = [last, ...proposal.parents.slice(1)];
    const below = parents.filter(({ round }) => round === proposal.round - 1);
    if (committee.stakeOf(below.map((parent) => parent.author)) < committee.quorum) return;
    const isSteadfast = this.#habits.some((habit) => habit.isSteadfast);
    const isGood = !isSteadfast && this.#random.chance(GOOD_SHARE);
    const habits = isGood ? [] : this.#habits;
    let draft: Draft = {
      chain: core.chain.id,
      epoch: committee.epoch,
      committee: committee.id,
      round: proposal.round,
      author,
      ts_ms: clock.wall_ms(),
      parents,
    };
    for (const habit of habits) draft = habit.draft?.(treason, draft) ?? draft;
    const fills = habits.find(
      (habit) => 'payload' in habit && (isSteadfast || this.#random.chance(PAYLOAD_SHARE)),
    );
    const made = fills?.payload?.(treason);
    const entries = made?.entries ?? (this.#random.chance(0.1) ? [treason.event('own')] : []);
    const block = await treason.seal(draft, entries, made?.keys);
    this.#lastSeal_ms = now_ms;
    standing.last = block.ref;
    for (const parent of proposal.parents) standing.referenced.set(parent.author, parent.round);
    treason.keep(block);
    // another epoch may have begun while it was signed, and while it was taken
    if (core.replica.committee !== committee) return;
    await core.intake.take(encodeBlock(block), undefined);
    if (core.replica.committee !== committee) return;
    await this.#spread(treason, habits, block);
  }

  async #spread(treason: Treason, habits: readonly Habit[], block: Block): Promise<void> {
    const ways = habits.filter((one) => 'spread' in one);
    const habit = ways.find((one) => one.isSteadfast) ?? this.#random.pick([...ways, undefined]);
    const sendings = await habit?.spread?.(treason, block);
    for (const { block: one, to } of sendings ?? [{ block, to: treason.peers() }]) {
      treason.send(one, to);
    }
  }
}
