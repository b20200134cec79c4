import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import { startNode } from '#node/node.ts';
import type { Node } from '#node/node.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { makeActor } from './cluster.ts';
import type { TestActor } from './cluster.ts';

/**
 * Real nodes in this process, on loopback, each with its directory: validators, and one member that
 * seals nothing. An operator without a node signs what it is asked for.
 */
export class MemberNet {
  readonly validators: readonly Node[];
  readonly member: Node;
  readonly #operator: TestActor;
  readonly #base: string;
  #seq = 0;

  private constructor(nodes: readonly Node[], operator: TestActor, base: string) {
    this.validators = nodes.slice(0, -1);
    this.member = nodes.at(-1) as Node;
    this.#operator = operator;
    this.#base = base;
  }

  static async start(count: number): Promise<MemberNet> {
    const base = await mkdtemp(join(tmpdir(), 'x0t-members-'));
    const names = Array.from({ length: count + 1 }, (_, i) => join(base, `node-${i}`));
    const keys = [];
    for (const name of names) keys.push(await createNodeKeys(name));
    const operator = await makeActor();
    // an operator of the genesis is a member, whether it has a node or not
    const operators = [operator.actor, keys[count]?.actor as string];
    const active = newGenesisSchema();
    const genesis = makeGenesis('members', keys.slice(0, count), operators, Date.now(), active);
    const nodes: Node[] = [];
    for (const directory of names) {
      const bootstrap = nodes.flatMap((node) => node.network.status().addrs.slice(0, 1));
      const p2p = { listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap };
      const crypto = { workers: 0 };
      await finishDataDir(directory, genesis, { p2p, crypto, api: { port: 0 } });
      nodes.push(await startNode({ directory, log: pino({ level: 'silent' }) }));
    }
    const net = new MemberNet(nodes, operator, base);
    await until(() => nodes.every((one) => one.network.peers().length === count), 'a full mesh');
    return net;
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
   * time at which the first of the validators told so.
   */
  async operate(kind: string, body: Body): Promise<FinalEvent & { readonly told_ms: number }> {
    const { actor, coseKey, signer } = this.#operator;
    const chain = this.first.core.chain.id;
    const seq = (this.#seq += 1);
    const entry = await signEvent({ chain, actor, lane: 0, seq, kind, body, hlc: [0, 0] }, signer);
    const told = Promise.withResolvers<number>();
    const stops = this.validators.map(({ core }) =>
      core.onFinal((events) => {
        if (events.some((one) => one.entry.id === entry.id)) told.resolve(performance.now());
      }),
    );
    await this.first.core.submit(entry.bytes, coseKey);
    const told_ms = await told.promise;
    for (const stop of stops) stop();
    const final = await this.first.core.waitFinal(entry.id, 10_000);
    if (!final) throw new Error('not final');
    return { ...final, told_ms };
  }

  async stop(): Promise<void> {
    for (const node of [this.member, ...this.validators]) await node.stop();
    await rm(this.#base, { recursive: true, force: true });
  }
}

/** Looks again and again, in pauses that a measurement can bear. */
export async function until(isDone: () => boolean, what: string, limit_ms = 30_000): Promise<void> {
  const end_ms = performance.now() + limit_ms;
  while (!isDone()) {
    if (performance.now() > end_ms) throw new Error(`still not after ${limit_ms} ms: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}
