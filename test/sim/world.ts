import type { Core } from '#ledger/core.ts';
import type { HeldKey } from '#ledger/held-keys.ts';
import { EVIDENCE_KIND } from '#ledger/evidence.ts';
import type { Entry, Event } from '#ledger/event.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { Id, StoreOp, Topic, Verifier } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { ROTATE_KIND } from '#ledger/rotation.ts';
import { VERDICTS } from '#ledger/verdicts.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import type { TestActor, TestNet } from '#test/support/cluster.ts';
import type { Way } from '#test/support/fake-link.ts';
import { FakeHub } from '#test/support/fake-network.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';
import { rememberingVerifier } from '#test/support/sim-cluster.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { schema } from '#projections/index.ts';
import { newGenesisSchema, schemaFor } from '#node/schema.ts';
import { makeCheckers } from '#test/sim/checkers/index.ts';
import type { Checker } from '#test/sim/checkers/index.ts';
import { simActor, simVerifier } from './keys.ts';
import { isVoid } from '#test/sim/lives/access.ts';
import { ANY, People, peerOf } from '#test/sim/lives/people.ts';
import { SimNode } from './node.ts';
import type { Snare } from './node.ts';
import type { Scenario } from './scenario.ts';
import { SnapshotCounts } from './snapshot-counts.ts';
import type { DiskState } from './store.ts';
import { Trace } from './trace.ts';

/** What an acknowledgement promised: the event becomes final, with one of these verdicts. */
export interface Owed {
  readonly verdicts: readonly number[];
  readonly by: Set<number>;
  readonly event: Event;
}

/** Something that must not happen. */
export interface Finding {
  readonly checker: string;
  readonly at_ms: number;
  readonly detail: string;
}

/** Findings kept: the first ones tell most. */
const FINDINGS_MAX = 20;

/** The simulated machines and what joins them; faults and load act through it. */
export class World {
  readonly scenario: Scenario;
  readonly clock = new VirtualClock(CREATED_MS + 60_000);
  readonly hub: FakeHub;
  readonly chain: TestNet['chain'];
  readonly client: TestActor;
  readonly verifier: Verifier;
  readonly nodes: readonly SimNode[];
  readonly trace = new Trace();
  readonly findings: Finding[] = [];
  readonly owed = new Map<Id, Owed>();
  /** Keys of nodes besides their first ones. */
  readonly keys = new Map<Id, HeldKey>();
  /** What checkers saw that a summary tells. */
  readonly counts = { checkpoints: 0, receipts: 0 };
  readonly snapshots = new SnapshotCounts();
  readonly schema: Schema;
  /** Events of which nothing was promised, where members come and go. */
  readonly acts = new Set<Id>();
  /** Events that changed the committee. */
  readonly changes = new Set<Id>();
  /** Who comes and goes, in runs that have it. */
  readonly people: People | undefined;
  readonly #remembered: Pick<Schema, 'remembered'>;
  readonly #checkers: readonly Checker[];
  #clientSeq = 0;
  isHealing = false;

  private constructor(scenario: Scenario, verifier: Verifier) {
    this.scenario = scenario;
    const { remembered } = scenario;
    this.#remembered = remembered === undefined ? {} : { remembered };
    this.schema = this.freshSchema();
    this.verifier = verifier;
    const actor = scenario.isReal ? seededActor : simActor;
    const many = (count: number, name: string): TestActor[] =>
      Array.from({ length: count }, (_, i) => actor(`sim ${name} ${i}`));
    const seats = many(scenario.validators, 'validator');
    const observers = many(scenario.observers, 'observer');
    this.client = actor('sim client');
    const { lives } = scenario;
    const strangers = (scenario.newcomers ?? 0) + (lives?.comers ?? 0);
    const members = observers.slice(0, observers.length - strangers);
    const active = lives && newGenesisSchema();
    this.chain = netOf(seats, [this.client, ...members], 'sim', active).chain;
    this.hub = new FakeHub({
      clock: this.clock,
      seed: scenario.seed,
      link: scenario.link,
      detect_ms: 150,
      reconnect_ms: 20,
      watch: {
        published: (from, topic, message) => this.#published(from, topic, message),
        delivered: (from, to, bytes) => this.#delivered(from, to, bytes),
      },
    });
    this.#checkers = makeCheckers(this);
    const clones = scenario.clones.flatMap((author) => seats[author] ?? []);
    this.nodes = [...seats, ...observers, ...clones].map((who, index) => {
      const traitor = scenario.traitors.find(({ author }) => author === index);
      return new SimNode(this, index, who, traitor);
    });
    if (lives) this.people = new People(this, lives, many(lives.guests, 'guest'));
  }

  /** The projections as a node has them when it starts: what they remember of policies is new. */
  freshSchema(): Schema {
    const active = this.scenario.lives ? schemaFor(newGenesisSchema()) : schema;
    return { ...active, ...this.#remembered };
  }

  /** The name of a node on the network: of one that comes by an invite, its libp2p peer id. */
  nameOf(index: number): string {
    return this.#isComer(index) ? peerOf(index).peer : `peer-${index}`;
  }

  #isComer(index: number): boolean {
    const { validators, observers, lives } = this.scenario;
    return index >= validators + observers - (lives?.comers ?? 0) && index < validators + observers;
  }

  /** Keys of any name. */
  actor(name: string): TestActor {
    return (this.scenario.isReal ? seededActor : simActor)(`sim ${name}`);
  }

  /** All links are judged again by what is final at their ends. */
  review(): void {
    if (!this.people) return;
    for (const { network } of this.nodes) network?.review();
  }

  /** The key with which a traitor's core follows. */
  shadow(name: string): TestActor {
    return (this.scenario.isReal ? seededActor : simActor)(`sim shadow ${name}`);
  }

  static async create(scenario: Scenario): Promise<World> {
    return new World(scenario, scenario.isReal ? await rememberingVerifier() : simVerifier);
  }

  /** Virtual milliseconds since the start. */
  get now_ms(): number {
    return this.clock.monotonic_ms();
  }

  at(index: number): SimNode {
    const node = this.nodes[index];
    if (!node) throw new Error(`no node ${index}`);
    return node;
  }

  /** -1 for a name that no node has. */
  indexOf(name: string): number {
    return this.nodes.findIndex((node) => node.name === name);
  }

  coreOf(index: number): Core | undefined {
    return this.nodes[index]?.core;
  }

  /** Whether the node runs since then without a break. */
  isSame(index: number, incarnation: number): boolean {
    return this.at(index).isUp && this.at(index).incarnation === incarnation;
  }

  /** Those that keep the protocol and belong to the network. */
  get honest(): readonly SimNode[] {
    return this.nodes.filter(({ isHonest, index }) => isHonest && !this.isStranger(index));
  }

  /** Whether more validators are traitors than the protocol stands. */
  get isBeyond(): boolean {
    const { validators, traitors, clones } = this.scenario;
    return traitors.length + clones.length > Math.floor((validators - 1) / 3);
  }

  // what happens

  report(checker: string, detail: string): void {
    if (this.findings.length >= FINDINGS_MAX) return;
    this.findings.push({ checker, at_ms: this.now_ms, detail });
  }

  #published(from: string, topic: Topic, message: Uint8Array): void {
    const node = this.nodes.find(({ name }) => name === from);
    this.trace.note(this.now_ms, `${from} publishes ${topic}`);
    if (!node || node.driver) return;
    for (const checker of this.#checkers) {
      if (topic === 'block') checker.published?.(node, message);
      if (topic === 'checkpoint') checker.voted?.(node, message);
    }
  }

  #delivered(from: string, to: string, bytes: Uint8Array): void {
    this.trace.note(this.now_ms, `${from} ${to}`, bytes);
    for (const checker of this.#checkers) checker.carried?.(bytes);
  }

  wrote(node: SimNode, ops: readonly StoreOp[], sync: boolean): void {
    this.trace.write(this.now_ms, node.name, ops, sync);
    if (node.isHonest) this.snapshots.wrote(node, ops);
    for (const checker of this.#checkers) checker.wrote?.(node, ops);
  }

  /** A node has read its store and is about to start. */
  opened(node: SimNode): void {
    if (!node.isHonest) return;
    for (const checker of this.#checkers) checker.opened?.(node);
  }

  finals(node: SimNode, events: readonly FinalEvent[]): void {
    if (node.isHonest) this.people?.finals(node.core, events);
    for (const { seq, verdict, entry } of events) {
      this.trace.note(this.now_ms, `${node.name} final ${seq} ${verdict} ${entry.id}`);
      if (verdict === 0 && isChange(entry.event.kind)) this.changes.add(entry.id);
    }
    if (!node.isHonest) return;
    for (const checker of this.#checkers) checker.finals?.(node, events);
  }

  acknowledged(index: number, { id, event }: Entry, verdicts: readonly number[]): void {
    if (!this.at(index).isHonest) return;
    const isMeant = !this.people || event.kind.startsWith('kv.');
    const allowed = this.#allowed(isMeant ? verdicts : ANY);
    const owed = this.owed.get(id) ?? { verdicts: allowed, by: new Set(), event };
    this.owed.set(id, owed);
    owed.by.add(index);
  }

  /** Where nodes rotate, what they sign may come too late for its key. */
  #allowed(verdicts: readonly number[]): readonly number[] {
    const rotates = this.scenario.load.some(({ kind }) => kind === 'rotate');
    const late = rotates ? [VERDICTS.key_retired] : [];
    const judged = this.people ? [VERDICTS.denied] : [];
    return [...verdicts, ...late, ...judged];
  }

  /** What is owed by nodes that keep their promises. */
  due(): [Id, Owed][] {
    const isReliable = (index: number) => this.at(index).isHonest && !this.isStranger(index);
    return [...this.owed].filter(([id, { by, event }]) => {
      if (![...by].some(isReliable)) return false;
      return !this.people || !isVoid(this.honest, id, event);
    });
  }

  /** Whether a node is no member: it does as it should, and nothing comes of it. */
  isStranger(index: number): boolean {
    return this.people?.isStranger(index) === true;
  }

  /** An event of which nothing was promised. */
  noted(id: Id): void {
    this.trace.note(this.now_ms, `bare ${id}`);
    if (this.people) this.acts.add(id);
  }

  /** Looks at the bounds. */
  sample(): void {
    this.review();
    for (const checker of this.#checkers) checker.sample?.();
  }

  /** The last checks, when all is quiet. */
  async end(): Promise<void> {
    for (const checker of this.#checkers) await checker.end?.();
  }

  // what the load needs

  /** Another key for a node, in the order of their making; it is held at once. */
  freshKey(name: string): HeldKey {
    const actor = this.scenario.isReal ? seededActor : simActor;
    const { actor: id, coseKey, signer } = actor(`sim ${name} key ${this.keys.size}`);
    const key = { coseKey, signer };
    this.keys.set(id, key);
    return key;
  }

  /** The key that signs for a node, as far as another one knows; at least its first. */
  presentKey(index: number, asked: number): HeldKey {
    const { who } = this.at(index);
    const id = this.coreOf(asked)?.replica.fold.reducer.keyOf(who.actor);
    return (id !== undefined && this.keys.get(id)) || who;
  }

  nextClientSeq(): number {
    return this.#clientSeq++;
  }

  sleep(duration_ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.after(duration_ms, resolve);
    });
  }

  // what faults do

  crash(index: number, how: 'kill' | 'power'): boolean {
    return this.at(index).crash(how);
  }

  restart(index: number): void {
    void this.at(index).start();
  }

  holdBack(index: number): void {
    this.at(index).isHeldBack = true;
  }

  trap(index: number, writes: number, snare?: Snare): void {
    this.at(index).trap(writes, snare);
  }

  untrap(index: number): void {
    this.at(index).untrap();
  }

  disk(index: number, change: Partial<DiskState>): void {
    Object.assign(this.at(index).disk, change);
  }

  stall(index: number, isStalled: boolean): void {
    this.at(index).stall(isStalled);
    if (isStalled) this.hub.stall(this.at(index).name);
    else this.hub.resume(this.at(index).name);
  }

  stepClock(index: number, by_ms: number): void {
    this.at(index).stepClock(by_ms);
  }

  copyDisk(index: number): void {
    this.at(index).copyDisk();
  }

  setBack(index: number): void {
    void this.at(index).setBack();
  }

  setWay(from: number, to: number, change: Partial<Omit<Way, 'waiting'>>): void {
    this.hub.setWay(this.at(from).name, this.at(to).name, change);
  }

  /** Cuts, or heals, every link between these nodes and the others. */
  split(indexes: readonly number[], isCut: boolean): void {
    for (const one of this.nodes) {
      for (const other of this.nodes) {
        if (!indexes.includes(one.index) || indexes.includes(other.index)) continue;
        if (isCut) this.hub.cut(one.name, other.name);
        else this.hub.heal(one.name, other.name);
      }
    }
  }

  flap([a = 0, b = 0]: readonly number[], period_ms: number, for_ms: number): void {
    const [one, other] = [this.at(a).name, this.at(b).name];
    const end_ms = this.now_ms + for_ms;
    const toggle = (isCut: boolean): void => {
      const isOver = this.isHealing || this.now_ms >= end_ms;
      if (isCut && !isOver) this.hub.cut(one, other);
      else this.hub.heal(one, other);
      if (!isOver) this.clock.after(period_ms, () => toggle(!isCut));
    };
    toggle(true);
  }

  /** All links lose this share of gossip; without it what the scenario says. */
  storm(loss: number | undefined): void {
    const { link } = this.scenario;
    const shape = loss === undefined ? link : { loss, duplicate: loss / 3 };
    for (const one of this.nodes) {
      for (const other of this.nodes) {
        if (one.index < other.index) this.hub.shape(one.name, other.name, shape);
      }
    }
  }

  /** Everything works again: links, disks, clocks, machines. */
  heal(): void {
    this.isHealing = true;
    this.storm(undefined);
    this.hub.healAll();
    for (const node of this.nodes) {
      node.untrap();
      node.stepClock((this.scenario.skew_ms[node.index] ?? 0) - node.offset_ms);
      this.stall(node.index, false);
      Object.assign(node.disk, this.scenario.disk, { isFull: false, failsSync: false });
      void node.start();
    }
  }
}

function isChange(kind: string): boolean {
  const kinds = ['committee.change/1', 'committee.leave/1', EVIDENCE_KIND, ROTATE_KIND];
  return kinds.includes(kind);
}
