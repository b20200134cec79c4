import test from 'ava';
import { idOf } from '#ledger/ids.ts';
import { countsOf, intervalOf, orderIn, windowOf } from '#node/identity/federation-turns.ts';
import type { Federation } from '#projections/identity-federation.ts';

const actors = Array.from({ length: 7 }, (_, index) => idOf(Uint8Array.of(index)));
const of = (name: string, more: Partial<Federation> = {}): Federation => ({
  trustDomain: name,
  basis: idOf(new TextEncoder().encode(name)),
  endpoint: undefined,
  digest: '',
  sequence: undefined,
  hint_s: undefined,
  changed_ms: 0,
  pending: [],
  ...more,
});
const one = of('other.example');

test('Federation 4.1: the interval is the refresh hint, within bounds, or five minutes', (t) => {
  const hints = [undefined, 0, 299, 390, 86_400, 2_592_000];
  const intervals = hints.map((hint_s) => intervalOf({ hint_s }));
  t.deepEqual(intervals, [300, 300, 300, 390, 86_400, 86_400]);
});

test('windows are as long as the interval, and begin at other times for others', (t) => {
  const starts = ['a.example', 'b.example', 'c.example'].map((name) => {
    const federation = of(name, { hint_s: 300 });
    const first = windowOf(federation, 0);
    let at_ms = 0;
    while (windowOf(federation, at_ms) === first) at_ms += 1;
    t.is(windowOf(federation, at_ms + 299_999), first + 1);
    t.is(windowOf(federation, at_ms + 300_000), first + 2);
    return at_ms;
  });
  t.is(new Set(starts).size, 3);
});

test('each validator is first in one of as many windows as there are validators', (t) => {
  const firsts = actors.map((_, window) => orderIn(window + 1000, one, actors)[0]);
  t.is(new Set(firsts).size, actors.length);
  t.deepEqual(orderIn(3, one, actors), orderIn(3, one, actors.toReversed()), 'all find the same');
  t.deepEqual(orderIn(4, one, actors)[0], orderIn(3, one, actors)[1]);
});

test('only others that have a seat are counted', (t) => {
  const [self = '', second = '', third = ''] = actors;
  const said = { digest: 'd', sequence: 1n };
  const pending = [self, second, third, 'who left'].map((actor) => ({ actor, ...said }));
  t.deepEqual([...countsOf(of('a', { pending }), self, actors)], [['d', 2]]);
});
