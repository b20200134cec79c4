import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { pino } from 'pino';
import { Tokens, ensureTokens, readToken, renewToken, tokenFile } from '#node/auth/tokens.ts';
import { systemClock, systemEntropy } from '#node/system.ts';

/** Tokens as a running node knows them. */

test('who listens hears of a token that is renewed or gone, without any request', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'x0t-tokens-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  await ensureTokens(directory, systemEntropy);
  const log = pino({ level: 'silent' });
  const tokens = new Tokens({ directory, clock: systemClock, log });
  const file = tokenFile(directory, 'operator');
  const first = await readToken(file);
  t.is(await tokens.ownerOf(first), 'operator');
  const heard: true[] = [];
  const end = tokens.subscribe(() => void heard.push(true));
  await renewToken(directory, 'operator', systemEntropy);
  while (heard.length < 1) await sleep(50);
  t.is(heard.length, 1);
  t.false(tokens.isStill(first, 'operator'));
  rmSync(file);
  while (heard.length < 2) await sleep(50);
  await sleep(2000);
  t.is(heard.length, 2, 'once for each');
  end();
  await renewToken(directory, 'operator', systemEntropy);
  await sleep(1500);
  t.is(heard.length, 2);
});
