import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ensureTokens } from '#node/auth/tokens.ts';
import { systemEntropy } from '#node/system.ts';
import { Seat } from './seats.ts';
import { differences, untilSettled } from './verify.ts';

/** The soak finds what is wrong between nodes: here they are servers that tell what a test says. */

const directory = mkdtempSync(join(tmpdir(), 'x0t-soak-'));
await ensureTokens(directory, systemEntropy);
test.after.always(() => rmSync(directory, { recursive: true }));

interface Told {
  readonly log: readonly string[];
  readonly stateRoot?: string;
  readonly alarm?: string;
}

async function seatTelling(t: ExecutionContext, index: number, told: Told): Promise<Seat> {
  const { log, stateRoot = 's', alarm } = told;
  const server = createServer((request, response) => {
    const from = Number(/from=(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
    const status = {
      pending: 0,
      finalSeq: log.length,
      logRoot: 'l',
      stateRoot,
      summaryHash: 'h',
      alarms: alarm ? [{ code: alarm }] : [],
    };
    const events = log.slice(from - 1).map((id) => ({ id }));
    response.end(JSON.stringify(from > 0 ? { events } : status));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  const seat = new Seat(index, directory);
  seat.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return seat;
}

const GOOD: Told = { log: ['a', 'b', 'c'] };
const CASES: readonly (readonly [string, Told, RegExp | undefined])[] = [
  ['nothing where all agree', GOOD, undefined],
  ['a lost event', { log: ['a', 'b'] }, /lacks 1 acknowledged: c/],
  ['a doubled event', { log: ['a', 'b', 'c', 'b'] }, /has 1 events twice/],
  ['another order', { log: ['b', 'a', 'c'] }, /differ from 1 on/],
  ['another state', { ...GOOD, stateRoot: 'other' }, /stateRoot differs/],
  ['a slot signed twice', { ...GOOD, alarm: 'equivocation' }, /node 1 raises equivocation/],
];

for (const [what, told, expected] of CASES) {
  test(`the soak finds ${what}`, async (t) => {
    const seats = [await seatTelling(t, 0, GOOD), await seatTelling(t, 1, told)];
    const acknowledged = new Set(GOOD.log);
    const settled = await untilSettled(seats, acknowledged, 300);
    const found = differences(settled, acknowledged);
    if (expected) t.regex(found.join('\n'), expected);
    else t.deepEqual(found, []);
    t.is(settled.openAtHeal, told.log.includes('c') ? 0 : 1);
  });
}
