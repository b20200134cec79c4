import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { AheadMarks, aheadFile } from '#node/auth/ahead-marks.ts';
import { dataPaths } from '#node/data-paths.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';

/** What a data directory remembers of requests that were ahead of their time. */

const clock = new VirtualClock(1_800_000_000_000);
const NOW_S = 1_800_000_000;

test('it is there for the next process, and what is of the past is not kept', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'x0t-ahead-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const warned: string[] = [];
  const log = { warn: (_fields: object, message: string) => void warned.push(message) };
  const open = () => AheadMarks.open({ file: aheadFile(directory), clock, log });
  const one = await open();
  t.true(one.from_s('a') < NOW_S);
  await Promise.all([one.reserve('a', NOW_S + 3), one.reserve('b', NOW_S + 1)]);
  await one.reserve('c', NOW_S);
  t.is((await stat(dataPaths(directory).apiAhead)).mode & 0o077, 0);
  const next = await open();
  t.deepEqual(['a', 'b'].map((who) => next.from_s(who) - NOW_S), [6, 4]);
  t.true(next.from_s('c') < NOW_S);
  await clock.run(4000);
  await next.reserve('d', NOW_S + 9);
  const last = await open();
  t.deepEqual(['a', 'd'].map((who) => last.from_s(who) - NOW_S), [6, 12]);
  t.true(last.from_s('b') < NOW_S);
  t.deepEqual(warned, []);
  await writeFile(dataPaths(directory).apiAhead, '{');
  t.is((await open()).from_s('z') - NOW_S, 4 + 13);
  t.is(warned.length, 1);
});
