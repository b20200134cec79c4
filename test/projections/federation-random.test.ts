import * as fc from 'fast-check';
import test from 'ava';
import { bytesOf, idOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import {
  federate, federationsIn, refresh, refreshSupport,
} from '#projections/identity-federation.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** Whatever operators and validators say in whatever order: who counts, and what is kept. */

const NAME = 'other.example';
const utf8 = new TextEncoder();
const { committee: validators } = seededNet(7, 1, 'federation at random').chain.genesis;
const seats = { epoch: 0, validators };
const SUPPORT = refreshSupport(seats);
/** Without a sequence, as validators bring them. */
const documents = Array.from({ length: 3 }, (_, index) => utf8.encode(`{"keys":[],"a":${index}}`));
/** As operators do. */
const whole = (index: number) => utf8.encode(`{"keys":[],"a":${index},"spiffe_sequence":1}`);
/** Between two steps: validators replace a bundle once a minute at most. */
const STEP_MS = 20_000;
const endpoint = { url: 'https://other.example/', profile: 'https_web' } as const;

type Step =
  | { readonly is: 'set'; readonly document: number }
  | { readonly is: 'end' }
  | {
      readonly is: 'say';
      readonly who: number;
      readonly document: number;
      readonly sequence: number;
      readonly isWhole: boolean;
      readonly isOld: boolean;
    };

const index = (count: number) => fc.integer({ min: 0, max: count - 1 });
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.record({ is: fc.constant('set' as const), document: index(3) }) },
    { weight: 1, arbitrary: fc.constant({ is: 'end' as const }) },
    {
      weight: 60,
      arbitrary: fc.record({
        is: fc.constant('say' as const),
        who: index(7),
        document: index(3),
        sequence: index(6),
        isWhole: index(2).map((one) => one > 0),
        isOld: index(10).map((one) => one === 0),
      }),
    },
  ),
  { minLength: 20, maxLength: 80 },
);

class Play {
  readonly held = new Map<string, Uint8Array>();
  readonly rows = {
    get: (key: string) => this.held.get(key),
    put: (key: string, value: Uint8Array) => void this.held.set(key, value),
    remove: (key: string) => void this.held.delete(key),
  };
  /** What each said last since the bundle or the relationship changed. */
  readonly said = new Map<Id, { readonly document: number; readonly sequence: number }>();
  #count = 0;

  get one() {
    return federationsIn(this.rows)[0];
  }

  step(step: Step): void {
    const before = this.one;
    const verdict = step.is === 'say' ? this.#say(step) : this.#operate(step);
    const after = this.one;
    if (step.is !== 'say') {
      if (verdict === 'applied') this.said.clear();
      return;
    }
    if (after?.digest === before?.digest) return;
    const agreeing = [...this.said.values()].filter((one) => one.document === step.document);
    if (agreeing.length < SUPPORT) throw new Error(`${agreeing.length} replaced a bundle`);
    const reached = agreeing.map(({ sequence }) => sequence).toSorted((a, b) => b - a);
    const sequence = BigInt(reached[SUPPORT - 1] ?? 0);
    if (after?.sequence !== sequence) throw new Error(`${after?.sequence}, not ${sequence}`);
    if (sequence <= (before?.sequence ?? 0n)) throw new Error('it went back');
    if (after.endpoint?.url !== endpoint.url) throw new Error('another endpoint');
    this.said.clear();
  }

  #operate(step: Exclude<Step, { is: 'say' }>): string {
    const bundle = step.is === 'set' ? whole(step.document) : undefined;
    const body = { trustDomain: NAME, ...(bundle && { bundle, endpoint }) };
    const ts_ms = (this.#count += 1) * STEP_MS;
    const id = idOf(Uint8Array.of(this.#count));
    return federate(body, { id, ts_ms }, 'own.example', this.rows);
  }

  #say(step: Extract<Step, { is: 'say' }>): string {
    const { document: at, sequence, isWhole, isOld } = step;
    const actor = validators[step.who]?.actor ?? '';
    const document = documents[at] ?? new Uint8Array();
    const basis = bytesOf(isOld ? '11'.repeat(32) : (this.one?.basis ?? '22'.repeat(32)));
    const digest = bytesOf(idOf(document));
    const said = { trustDomain: NAME, basis, digest, sequence: String(sequence) };
    const ts_ms = (this.#count += 1) * STEP_MS;
    const body = isWhole ? { ...said, bundle: document } : said;
    const verdict = refresh(actor, body, ts_ms, this.rows, seats);
    if (verdict === 'applied') this.said.set(actor, { document: at, sequence });
    return verdict;
  }

  /** One statement of each, and nothing of a relationship that has ended. */
  check(): void {
    const pending = this.one?.pending ?? [];
    const actors = new Set(pending.map(({ actor }) => actor));
    if (actors.size !== pending.length) throw new Error('two statements of one validator');
    const isThere = this.one !== undefined;
    if (this.held.has(`bundle/${NAME}`) !== isThere) throw new Error('a bundle without relation');
    const left = [...this.held.keys()].filter((key) => key.includes(NAME));
    if (!isThere && left.length > 0) throw new Error(`${left.join()} is left`);
  }
}

test('no order of statements lets fewer replace a bundle, or leaves anything behind', (t) => {
  let replaced = 0;
  fc.assert(
    fc.property(steps, (all) => {
      const play = new Play();
      play.step({ is: 'set', document: 0 });
      for (const step of all) {
        const before = play.one?.digest;
        play.step(step);
        play.check();
        if (step.is === 'say' && play.one?.digest !== before) replaced += 1;
      }
    }),
    { numRuns: 400, seed: 7 },
  );
  t.true(replaced > 100, `${replaced} refreshes`);
});
