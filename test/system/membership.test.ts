import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createNodeKeys, finishDataDir, makeGenesis } from '#node/data-dir.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { createKeyFile } from '#node/keys.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { reasonToSkip, TwoHosts } from './namespaces.ts';

/**
 * Two hosts with a wire between them. On the second one nothing is set up: a token and one command
 * bring it into the network of the first. It is refused until its membership is final, then let in,
 * and cut off as soon as its removal is final, while all are busy.
 */

const MAIN = join(import.meta.dirname, '..', '..', 'node', 'cli', 'main.ts');
const LOAD = `
  const { readFileSync } = require('node:fs');
  const headers = { authorization: 'Bearer ' + readFileSync(process.argv[1], 'utf8').trim() };
  let i = 0, done = 0, slowest_ms = 0;
  const put = () => fetch('http://127.0.0.1:8420/v1/kv/load-' + (i++ % 50) + '?wait=final',
    { method: 'PUT', body: 'v' + i, headers },
  ).then((answer) => { if (answer.ok) done++; }, () => undefined);
  const one = async () => {
    const from_ms = performance.now();
    await put();
    slowest_ms = Math.max(slowest_ms, performance.now() - from_ms);
  };
  for (let n = 0; n < 4; n++) (async () => { for (;;) await one(); })();
  setInterval(() => console.log(done, slowest_ms), 200);
`;

interface Running {
  readonly out: () => string;
  readonly err: () => string;
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
}

const reason = reasonToSkip();
const name = 'a token brings in a node of another host; it is refused, let in, and cut off';

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 450; i++) {
    if (await holds()) return;
    await sleep(200);
  }
  throw new Error(`not in time: ${what}`);
}

if (reason !== undefined) {
  test.skip(`${name}: ${reason}`, () => {});
} else {
  test(name, async (t) => {
    t.timeout(240_000);
    const base = mkdtempSync(join(tmpdir(), 'x0t-member-'));
    const hosts = new TwoHosts(7);
    t.teardown(() => {
      hosts.remove();
      rmSync(base, { recursive: true, force: true });
    });
    const run = (side: 0 | 1, ...args: string[]): Running => {
      const child = hosts.spawnNode(side, ...args);
      let [out, err] = ['', ''];
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
      const ended = once(child, 'close');
      return {
        out: () => out,
        err: () => err,
        stop: async (signal = 'SIGTERM') => {
          child.kill(signal);
          await ended;
        },
      };
    };
    const x0t = async (side: 0 | 1, ...args: string[]): Promise<string> => {
      const child = hosts.spawnNode(side, MAIN, ...args);
      let [out, err] = ['', ''];
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
      const [code] = (await once(child, 'close')) as [number];
      if (code !== 0) throw new Error(`${args.join(' ')}: ${err}`);
      return out;
    };

    // two validators on the first host: without the second one nothing is final
    const at = (folder: string): string => join(base, folder);
    const keys = [await createNodeKeys(at('one')), await createNodeKeys(at('two'))];
    const operator = await createKeyFile(at('one/operator.key'));
    const active = newGenesisSchema();
    const genesis = makeGenesis('hosts', keys, [operator.actor], Date.now(), active);
    const [address] = hosts.addresses;
    const bootstrap = keys.map(({ peer }, i) => `/ip4/${address}/tcp/${4420 + i}/p2p/${peer}`);
    for (const [i, folder] of ['one', 'two'].entries()) {
      await finishDataDir(at(folder), genesis, {
        api: { port: 8420 + i },
        p2p: { listen: [`/ip4/${address}/tcp/${4420 + i}`], bootstrap },
      });
    }
    const first = run(0, MAIN, 'start', '--data', at('one'), '--log', 'info');
    let second = run(0, MAIN, 'start', '--data', at('two'), '--log', 'warn');
    await until('the first node runs', () => first.out().includes('Ctrl-C'));
    await until('the second node runs', () => second.out().includes('Ctrl-C'));
    await x0t(0, 'invite', '--data', at('one'), '--label', 'host=two', '--output', at('token'));
    await second.stop();

    const joiner = run(1, MAIN, 'join', '--token-file', at('token'), '--data', at('joined'));
    const waits = () => joiner.err().includes('waiting until the join is final');
    await until('it says that it waits', waits);
    const refused = () => /"code":"not_on_ledger"/.test(first.err());
    await until('its hello is refused', refused);
    const status = async (side: 0 | 1, folder: string) =>
      JSON.parse(await x0t(side, 'status', '--data', at(folder), '--json')) as {
        actor: string; membership: string; peers: number; finalSeq: number;
      };
    const waiting = await status(1, 'joined');
    t.like(waiting, { membership: 'none', peers: 0, finalSeq: 0 });

    second = run(0, MAIN, 'start', '--data', at('two'), '--log', 'warn');
    await until('it is ready', () => joiner.err().includes('ready: active member'));
    t.like(await status(1, 'joined'), { membership: 'active' });

    const load = run(0, '-e', LOAD, '--', tokenFile(at('one'), 'operator'));
    const loaded = () => load.out().trim().split('\n').at(-1)?.split(' ').map(Number) ?? [];
    await until('writes are final', () => (loaded()[0] ?? 0) > 20);
    const removing = ['remove', waiting.actor, '--reason', 'the end of the test', '--wait'];
    const where = ['--data', at('one'), '--json'];
    const { id } = JSON.parse(await x0t(0, 'member', ...removing, ...where)) as { id: string };
    const { ts_ms } = JSON.parse(await x0t(0, 'event', 'show', id, ...where)) as { ts_ms: number };
    const cut = /"time":"([^"]+)"[^\n]*"code":"member_removed"[^\n]*let in no more/;
    await until('the link is cut', () => cut.test(first.err()));
    const took_ms = Date.parse(cut.exec(first.err())?.[1] ?? '') - ts_ms;
    t.log(`cut off ${took_ms} ms after the time of the commit, under load`);
    const [, slowest_ms = 0] = loaded();
    t.true(took_ms < Math.max(1000, 2 * slowest_ms), `${took_ms} ms, writes ${slowest_ms} ms`);
    let before = await status(1, 'joined');
    await until('the others cut it, too', async () => {
      before = await status(1, 'joined');
      return before.peers === 0;
    });
    await sleep(1500);
    const after = await status(1, 'joined');
    t.is(after.peers, 0);
    const said = await x0t(1, 'status', '--data', at('joined'));
    // it may have heard of its removal, or not
    t.regex(said, /others refuse it|Other nodes refuse this one: member_removed/);
    t.is(after.finalSeq, before.finalSeq, 'it gets nothing any more');
    await until('the others go on', async () => (await status(0, 'one')).finalSeq > after.finalSeq);
    await Promise.all([load, joiner, first, second].map((one) => one.stop()));
  });
}
