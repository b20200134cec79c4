import test from 'ava';
import * as fc from 'fast-check';
import { keyId, sign1Of } from '#ledger/cose.ts';
import type { Entry } from '#ledger/event.ts';
import { bytesOf } from '#ledger/ids.ts';
import { SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';
import type { KeyState } from '#ledger/projection.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { readMember } from '#projections/index.ts';
import { HandFold, net, put } from '#test/ledger/fold-support.ts';
import { seededActor } from '#test/support/seeded-actor.ts';

/** Any sequence of changes of keys, by anybody with any key: what must hold whatever comes. */

const people = [...net.validators, ...net.operators];
const operators = new Set(net.operators.map(({ actor }) => actor));
// keys that are some member's first, and others
const keys = [...people, ...Array.from({ length: 5 }, (_, i) => seededActor(`random ${i}`))];
const ids = keys.map(({ actor }) => actor);
const proof = sign1Of(new Uint8Array(SIGNATURE_BYTES));

interface Step {
  readonly kind: 'rotate' | 'revoke' | 'rekey' | 'put';
  /** Who authors, with which key, whom it is about, and which key. */
  readonly author: number;
  readonly signing: number;
  readonly about: number;
  readonly key: number;
  /** Whether the author signs with its present key, whatever `signing` says. */
  readonly isRight: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('rotate', 'rotate', 'revoke', 'rekey', 'put'),
  author: fc.nat(people.length - 1),
  signing: fc.nat(keys.length - 1),
  about: fc.nat(people.length - 1),
  key: fc.nat(keys.length - 1),
  isRight: fc.boolean(),
});

function entryOf(hand: HandFold, one: Step, seq: number): Entry {
  const actor = people[one.author]?.actor as Id;
  const about = people[one.about]?.actor as Id;
  const { coseKey } = keys[one.key] as (typeof keys)[number];
  const present = hand.fold.reducer.keyOf(actor);
  const signing = one.isRight && present !== undefined ? present : (ids[one.signing] as Id);
  const more = signing === actor ? {} : { key: signing };
  if (one.kind === 'put') return put(actor, seq, 'k', more);
  const bodies = {
    rotate: { key: coseKey, proof },
    rekey: { actor: bytesOf(about), key: coseKey, proof },
    revoke: { actor: bytesOf(about), key: bytesOf(keyId(coseKey)), reason: 'r' },
  };
  return put(actor, seq, '', { ...more, kind: `member.${one.kind}/1`, body: bodies[one.kind] });
}

type View = ReadonlyMap<Id, ReadonlyMap<Id, KeyState>>;

/** What every key is to every member. */
const viewOf = ({ fold: { reducer } }: HandFold): View =>
  new Map(
    people.map(({ actor }) => [
      actor,
      new Map(ids.map((key) => [key, reducer.keyState({ actor, key })])),
    ]),
  );

const NEXT: Readonly<Record<KeyState, readonly KeyState[]>> = {
  foreign: ['foreign', 'present'],
  present: ['present', 'retired', 'revoked'],
  retired: ['retired', 'revoked'],
  revoked: ['revoked'],
};

function problems(before: View, after: View, hand: HandFold): string[] {
  const found: string[] = [];
  const { reducer, seats } = hand.fold;
  for (const [actor, states] of after) {
    for (const [key, state] of states) {
      const was = before.get(actor)?.get(key) ?? 'foreign';
      if (!NEXT[was].includes(state)) found.push(`${key} went from ${was} to ${state}`);
      const owner = reducer.actorOfKey(key);
      if (state !== 'foreign' && owner !== actor) found.push(`${key} has two owners`);
    }
    const present = [...states].filter(([, state]) => state === 'present').map(([key]) => key);
    if (present.length > 1 || present[0] !== reducer.keyOf(actor)) found.push(`${actor}: present`);
    const shown = readMember(reducer.rowsOf('members'), actor)?.keys;
    for (const { id, state } of shown ?? []) {
      if (states.get(id) !== state) found.push(`${id} is shown as ${state}`);
    }
  }
  for (const { actor, coseKey } of seats.validators) {
    const key = reducer.keyOf(actor);
    const isLast = seats.validators.length === 1;
    if (key === undefined ? !isLast : key !== keyId(coseKey)) found.push(`${actor}: seat`);
  }
  return found;
}

test('keys go one way, have one owner, and sign where they are present', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const hand = new HandFold();
      let before = viewOf(hand);
      for (const [i, one] of steps.entries()) {
        const entry = entryOf(hand, one, i + 1);
        const { actor, key = actor } = entry.event;
        const state = before.get(actor)?.get(key) as KeyState;
        const [final] = hand.apply([[entry]]);
        const verdict = final && verdictName(final.verdict);
        const after = viewOf(hand);
        const isVoid = state === 'foreign' || state === 'revoked';
        if (isVoid !== (final === undefined)) return false;
        if ((state === 'retired') !== (verdict === 'key_retired')) return false;
        const isChange = JSON.stringify([...after.values()].map((row) => [...row])) !==
          JSON.stringify([...before.values()].map((row) => [...row]));
        if (isChange && verdict !== 'applied') return false;
        // no member but its operators changes another's keys
        for (const { actor: other } of people) {
          const [was, is] = [before.get(other), after.get(other)];
          const isTouched = ids.some((id) => was?.get(id) !== is?.get(id));
          if (isTouched && other !== actor && !operators.has(actor)) return false;
        }
        if (problems(before, after, hand).length > 0) return false;
        before = after;
      }
      await hand.write();
      const again = hand.restarted();
      const isSame = JSON.stringify(again.fold.summary()) === JSON.stringify(hand.fold.summary());
      return isSame && problems(before, viewOf(again), again).length === 0;
    }),
    { numRuns: 150, seed: 5 },
  );
  t.pass();
});
