import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import { openChain } from '#ledger/chain.ts';
import { inviteAhead } from '#node/membership/invite-ahead.ts';
import { writePendingJoin } from '#node/membership/join-file.ts';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import { startNode } from '#node/node.ts';
import type { Node } from '#node/node.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { makeActor } from './cluster.ts';
import type { TestActor } from './cluster.ts';
import { fetchAs } from './fetch-as.ts';

/**
 * Real nodes in this process, on loopback, each with its directory: validators, and members that
 * seal nothing, which come by invites. An operator without a node signs what it is asked for.
 */
export class MemberNet {
  readonly validators: Node[] = [];
  /** The one that came last. */
  member!: Node;
  readonly #operator: TestActor;
  readonly #base: string;
  readonly #genesis: Uint8Array;
  #seq = 0;
  #joined = 0;

  private constructor(operator: TestActor, base: string, genesis: Uint8Array) {
    this.#operator = operator;
    this.#base = base;
    this.#genesis = genesis;
  }

  /** So many validators and one member, all linked. */
  static async start(count: number): Promise<MemberNet> {
    const base = await mkdtemp(join(tmpdir(), 'x0t-members-'));
    const names = Array.from({ length: count }, (_, i) => join(base, `validator-${i}`));
    const keys = [];
    for (const name of names) keys.push(await createNodeKeys(name));
    const operator = await makeActor();
    const active = newGenesisSchema();
    const genesis = makeGenesis('members', keys, [operator.actor], Date.now(), active);
    const net = new MemberNet(operator, base, genesis);
    for (const directory of names) net.validators.push(await net.#run(directory));
    await net.#untilMeshed(net.validators);
    await net.join();
    return net;
  }

  async #run(directory: string): Promise<Node> {
    const p2p = { listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: this.#addrs() };
    const config = { p2p, crypto: { workers: 0 }, api: { port: 0 } };
    await finishDataDir(directory, this.#genesis, config);
    return startNode({ directory, log: pino({ level: 'silent' }) });
  }

  #addrs(): string[] {
    return this.validators.flatMap(({ network }) => network.status().addrs.slice(0, 1));
  }

  async #untilMeshed(nodes: readonly Node[]): Promise<void> {
    await until(() => {
      return nodes.every(({ network }) => network.peers().length >= nodes.length - 1);
    }, 'a full mesh');
  }

  /** One more member, in place of `member`. */
  async join(): Promise<void> {
    const directory = join(this.#base, `member-${this.#joined}`);
    const node = await createNodeKeys(directory);
    const { id: chain } = openChain(this.#genesis);
    const seq = this.#joined;
    const ahead = { chain, operator: this.#operator, node, roles: ['observer'] as const, seq };
    await writePendingJoin(directory, await inviteAhead({ ...ahead, addrs: this.#addrs() }));
    this.#joined += 1;
    this.member = await this.#run(directory);
    // validators let it in once its membership is final; it may have to catch up then
    await until(() => this.isLinked, 'a member');
  }

  /** Asks the first validator's API, as the operator on its machine. */
  get(path: string): Promise<Response> {
    return fetchAs(join(this.#base, 'validator-0'), `${this.first.url}${path}`);
  }

  get first(): Node {
    return this.validators[0] as Node;
  }

  /** Whether every validator is linked to the member. */
  get isLinked(): boolean {
    const { self } = this.member.network;
    return this.validators.every(({ network }) => network.peers().some((one) => one.peer === self));
  }

  /** Whether no validator is. */
  get isCutOff(): boolean {
    const { self } = this.member.network;
    return !this.validators.some(({ network }) => network.peers().some((one) => one.peer === self));
  }

  /**
   * An event of the operator through the first validator; resolves when it is final there, with the
   * times at which validators told so: the first of them, and each.
   */
  async operate(kind: string, body: Body): Promise<Told> {
    const { actor, coseKey, signer } = this.#operator;
    const chain = this.first.core.chain.id;
    const seq = (this.#seq += 1);
    const entry = await signEvent({ chain, actor, lane: 0, seq, kind, body, hlc: [0, 0] }, signer);
    const first = Promise.withResolvers<number>();
    const each_ms = new Map<Node, number>();
    for (const node of this.validators) {
      const stop = node.core.onFinal((events) => {
        if (!events.some((one) => one.entry.id === entry.id)) return;
        each_ms.set(node, performance.now());
        first.resolve(performance.now());
        stop();
      });
    }
    await this.first.core.submit(entry.bytes, coseKey);
    const told_ms = await first.promise;
    const final = await this.first.core.waitFinal(entry.id, 60_000);
    if (!final) throw new Error('not final');
    return { ...final, told_ms, each_ms };
  }

  /** When each validator's link to the member was gone. */
  async cutOff(): Promise<ReadonlyMap<Node, number>> {
    const { self } = this.member.network;
    const gone = new Map<Node, number>();
    await until(() => {
      for (const node of this.validators) {
        const isLinked = node.network.peers().some((one) => one.peer === self);
        if (!isLinked && !gone.has(node)) gone.set(node, performance.now());
      }
      return gone.size === this.validators.length;
    }, 'the cut');
    return gone;
  }

  async stop(): Promise<void> {
    for (const node of [this.member, ...this.validators]) await node.stop();
    await rm(this.#base, { recursive: true, force: true });
  }
}

export interface Told extends FinalEvent {
  readonly told_ms: number;
  /** Filled in as they tell. */
  readonly each_ms: ReadonlyMap<Node, number>;
}

/** Looks again and again, in pauses that a measurement can bear. */
export async function until(isDone: () => boolean, what: string, limit_ms = 90_000): Promise<void> {
  const end_ms = performance.now() + limit_ms;
  while (!isDone()) {
    if (performance.now() > end_ms) throw new Error(`still not after ${limit_ms} ms: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}
