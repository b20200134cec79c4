import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Committee } from '#ledger/committee.ts';
import type { Core } from '#ledger/core.ts';
import { X0tError } from '#ledger/errors.ts';
import type { HeldKey, Self } from '#ledger/held-keys.ts';
import type { Id } from '#ledger/ports.ts';
import type { KeyState } from '#ledger/projection.ts';
import { PROOFS_MAX } from '#node/hello.ts';
import { Keyring } from '#node/keyring.ts';
import { createKeyFile } from '#node/keys.ts';
import { assertOwnKeys, helloKeys } from '#node/own-keys.ts';
import { codeIn } from '#test/support/codes.ts';
import { freshKey } from '#test/support/rotations.ts';
import { seededActor } from '#test/support/seeded-actor.ts';

/** Which of its keys a node shows, from one hello to the next. */

type Key = HeldKey & { readonly id: Id };

const ada = seededActor('own keys');
const other = seededActor('own keys, another');
const KEYS = ['a', 'b', 'c', 'd', 'e'].map((name) => freshKey(`own ${name}`));
const [keyA, keyB, keyC] = KEYS as [Key, Key, Key];

/** A node that holds all of `KEYS`, the last one newest; the rest is as its ledger says. */
function showing(
  known: Readonly<Record<Id, KeyState>>,
  present: Id | undefined,
  seat?: HeldKey,
) {
  const byId = new Map(KEYS.map((key) => [key.id, key]));
  const self: Self = { ...ada, otherKey: (id) => byId.get(id) };
  const seated = seat ? { actor: ada.actor, coseKey: seat.coseKey } : other;
  const { actor } = seated;
  const committee = new Committee(0, [
    { actor, coseKey: seated.coseKey, peer: 'peer-0', stake: 1 },
  ]);
  const reducer = {
    keyOf: () => present,
    keyState: ({ key }: { key: Id }) => known[key] ?? 'foreign',
  };
  const core = { replica: { committee, fold: { reducer } } } as unknown as Pick<Core, 'replica'>;
  const newestFirst = KEYS.map(({ id }) => id).toReversed();
  const keys = helloKeys({ core }, self, { newestFirst, get: (id) => byId.get(id) });
  return () => keys.own().slice(0, PROOFS_MAX).map(({ coseKey }) => coseKey);
}

test('with an empty ledger every held key is shown in its turn, the newest first', (t) => {
  const shown = showing({ [ada.actor]: 'present' }, ada.actor, ada);
  const hellos = KEYS.map(() => shown());
  t.true(hellos.every(([first]) => first === ada.coseKey));
  t.deepEqual(hellos.map(([, second]) => second), KEYS.map((key) => key.coseKey).toReversed());
  t.is(shown()[1], KEYS.at(-1)?.coseKey);
});

test('the key of the seat is shown although further keys lie there', (t) => {
  const shown = showing({ [keyA.id]: 'retired', [keyB.id]: 'present' }, keyB.id, keyA);
  const seconds = Array.from({ length: 6 }, () => {
    const [first, second] = shown();
    t.is(first, keyB.coseKey);
    return second;
  });
  t.is(seconds.filter((one) => one === keyA.coseKey).length, 3);
  t.is(seconds[0], keyA.coseKey);
  t.is(new Set(seconds).size, 4, 'the three that are not known come, too');
});

test('who holds no key that its ledger knows goes through all others', (t) => {
  const shown = showing({ [keyC.id]: 'retired' }, freshKey('lost').id);
  t.is(new Set([shown(), shown(), shown()].flat()).size, 4);
});

test('a key ring tells the newest file first', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'x0t-keys-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const made = new Keyring(folder, ada.actor);
  const one = await made.create();
  const two = await made.create();
  await utimes(made.fileOf(one.id), 2000, 2000);
  await utimes(made.fileOf(two.id), 1000, 1000);
  const read = new Keyring(folder, ada.actor);
  await read.refresh();
  t.deepEqual(read.newestFirst, [one.id, two.id]);
});

test('a file that does not open holds up no other, and is tried once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'x0t-keys-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const at = (digit: string) => join(folder, `${digit.repeat(16)}.key`);
  await createKeyFile(at('0'));
  await createKeyFile(at('1'), async () => 'another passphrase');
  await writeFile(at('2'), 'no key');
  await mkdir(at('3'));
  const made = await new Keyring(folder, ada.actor).create();
  let asked = 0;
  const read = new Keyring(folder, ada.actor, undefined, async () => {
    asked += 1;
    return 'this is not the one';
  });
  t.true(await read.refresh());
  t.deepEqual(read.newestFirst, [made.id]);
  const codes = ['key_of_other', 'passphrase_wrong', 'key_malformed', 'key_unreadable'];
  t.deepEqual(read.bad.map(({ code }) => code), codes);
  const { bad } = read;
  t.false(await read.refresh());
  t.is(asked, 1, 'to open it costs a good part of a second');
  t.deepEqual(read.bad.map((one, i) => one === bad[i]), [true, true, true, true]);
  const late = await new Keyring(folder, ada.actor).create();
  t.true(await read.refresh());
  t.truthy(read.get(late.id));
  await rm(at('1'));
  await writeFile(at('2'), 'no key either');
  t.false(await read.refresh());
  t.deepEqual(read.bad.map(({ file }) => file), [at('0'), at('3'), at('2')]);
});

test('a node starts without what it does not need, and not without its key', (t) => {
  const lost = freshKey('lost').id;
  const start = (present: Id | undefined, seat: Id | undefined, files: readonly string[]) => {
    const committee = {
      indexOf: () => (seat === undefined ? undefined : 0),
      keyIdAt: () => seat,
    };
    const core = { replica: { committee, fold: { reducer: { keyOf: () => present } } } };
    const bad = files.map((file) => ({ file, code: 'a', error: new X0tError('key_wrong', file) }));
    const keyring = { bad, fileOf: (id: Id) => `${id}.key` };
    return codeIn(() => assertOwnKeys(core as unknown as Core, ada, keyring));
  };
  t.is(start(ada.actor, ada.actor, ['stray']), 'none');
  t.is(start(undefined, undefined, ['stray']), 'none');
  t.is(start(lost, ada.actor, ['stray']), 'key_not_held');
  t.is(start(ada.actor, lost, ['stray']), 'key_not_held');
  t.is(start(ada.actor, lost, ['stray', `${lost}.key`]), 'key_wrong');
  t.is(start(lost, lost, []), 'none', 'the log tells of it');
});
