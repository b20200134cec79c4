import { setTimeout as sleep } from 'node:timers/promises';
import { makeActors } from '#bench/presign.ts';
import type { LoadActor } from '#bench/presign.ts';
import { signStatement, submissionOf } from '#governance/participant.ts';
import { coseKeyOf } from '#ledger/cose.ts';
import { textOf } from '#ledger/ids.ts';
import type { Id, Signer } from '#ledger/ports.ts';
import { loadEngine } from '#native/engine.ts';
import type { Random } from '#test/sim/random.ts';
import type { Seat } from './seats.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** Requests under way at once; a node that is down or slow must not pile them up. */
const UNDER_WAY_MAX = 256;
/** An answer that takes longer is given up: the event counts as not acknowledged. */
const ANSWER_MS_MAX = 15_000;
/** How often an event is sent to another node when one does not answer. */
const SENDS_MAX = 3;

interface Actor extends LoadActor {
  readonly signer: Signer;
  seq: number;
}

export async function loadActors(count: number): Promise<readonly Actor[]> {
  const engine = await loadEngine('liboqs');
  const actors = await makeActors(count);
  return actors.map((actor) => {
    return { ...actor, signer: engine.createSigner(actor.secretKey, actor.publicKey), seq: 0 };
  });
}

/**
 * Steady load over HTTP: events of clients, signed here and sent again to another node when one
 * does not answer, sometimes to two at once; and writes that the nodes sign. Only what a node has
 * acknowledged is promised.
 */
export class SoakLoad {
  /** Ids that a node has acknowledged, as texts. */
  readonly acknowledged = new Set<string>();
  sent = 0;
  /** Requests that brought no acknowledgement, by code. */
  readonly refused: Record<string, number> = {};
  readonly #chain: Id;
  readonly #actors: readonly Actor[];
  readonly #seats: readonly Seat[];
  readonly #random: Random;
  readonly #underWay = new Set<Promise<void>>();

  constructor(chain: Id, actors: readonly Actor[], seats: readonly Seat[], random: Random) {
    this.#chain = chain;
    this.#actors = actors;
    this.#seats = seats;
    this.#random = random;
  }

  /** Sends until told to stop; resolves when every request has ended. */
  async run(perSecond: number, signal: AbortSignal): Promise<void> {
    const start_ms = performance.now();
    for (let due = 0; !signal.aborted; ) {
      const now_due = ((performance.now() - start_ms) / 1000) * perSecond;
      for (; due < now_due; due++) {
        if (this.#underWay.size >= UNDER_WAY_MAX) continue;
        const one = this.#one().finally(() => this.#underWay.delete(one));
        this.#underWay.add(one);
      }
      await sleep(20);
    }
    await Promise.all(this.#underWay);
  }

  async #one(): Promise<void> {
    this.sent += 1;
    const draw = this.#random.next();
    if (draw < 0.5) await this.#signed(draw < 0.1);
    else await this.#written(draw > 0.95);
  }

  /** An event of a client; `isDoubled`: two nodes get it at the same time. */
  async #signed(isDoubled: boolean): Promise<void> {
    const actor = this.#random.pick(this.#actors);
    const seq = (actor.seq += 1);
    const coseKey = coseKeyOf(actor.publicKey);
    const entry = await signStatement(
      { actor: actor.actor, coseKey, signer: actor.signer },
      {
        chain: this.#chain,
        lane: 0,
        seq,
        kind: 'kv.put/1',
        body: {
          key: `${actor.actor.slice(0, 6)}/${seq % 50}`,
          value: new Uint8Array(40).fill(seq),
        },
        wall_ms: Date.now(),
      },
    );
    const request = {
      method: 'POST',
      headers: { 'content-type': 'application/cbor' },
      body: Buffer.from(submissionOf(entry, coseKey)),
    };
    const send = async (): Promise<boolean> =>
      (await this.#send(this.#random.pick(this.#seats), '/v1/events', request)) !== undefined;
    const tries = async (): Promise<boolean> => {
      for (let i = 0; i < SENDS_MAX; i++) {
        if (await send()) return true;
        await sleep(this.#random.between(10, 500));
      }
      return false;
    };
    const taken = await Promise.all(isDoubled ? [tries(), tries()] : [tries()]);
    if (taken.includes(true)) this.acknowledged.add(textOf(entry.id));
  }

  /** A write that the node signs, or with `isFinal` one that it answers for when it is final. */
  async #written(isFinal: boolean): Promise<void> {
    const number = this.sent;
    const path = `/v1/kv/soak/${number % 200}${isFinal ? '?wait=final' : ''}`;
    const request = { method: 'PUT', body: `value ${number}` };
    const id = await this.#send(this.#random.pick(this.#seats), path, request);
    if (id !== undefined) this.acknowledged.add(id);
  }

  /** The id that the node answers with when it has taken the event. */
  async #send(
    { url, directory }: Seat,
    path: string,
    request: RequestInit,
  ): Promise<string | undefined> {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const answer = await fetchAs(directory, `${url}${path}`, { ...request, signal });
      const body = (await answer.json()) as { id?: string; code?: string };
      if (answer.ok && body.id !== undefined) return body.id;
      this.#count(body.code ?? `${answer.status}`);
    } catch (error) {
      const { cause, name } = error as Error & { cause?: { code?: string } };
      this.#count(cause?.code ?? name);
    }
    return undefined;
  }

  #count(code: string): void {
    this.refused[code] = (this.refused[code] ?? 0) + 1;
  }
}
