import { join } from 'node:path';
import test from 'ava';
import { NodeProcess } from '#node/node-process.ts';
import { openTestnet } from '#node/testnet.ts';
import { envelope, folder, run, x0t } from './support.ts';
import { freePorts } from '#test/support/ports.ts';

interface Line {
  readonly type: string;
  readonly isEqual?: boolean;
  readonly chain?: string;
  readonly nodes: readonly {
    readonly finalSeq: number;
    readonly stateHash: string;
    readonly peers: number;
  }[];
}

test.serial('two validators run, agree, and go on when started again', async (t) => {
  const cwd = folder(t);
  const base = await freePorts(4);
  const ports = ['--base-api-port', `${base}`, '--base-p2p-port', `${base + 2}`];
  const first = await x0t(
    cwd,
    'testnet',
    '--nodes',
    '2',
    ...ports,
    '--dir',
    'net',
    '--seconds',
    '10',
    '--json',
  );
  t.is(first.code, 0, first.stderr);
  const lines = first.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  t.deepEqual(
    [lines[0]?.type, lines[1]?.type, lines.at(-1)?.type],
    ['started', 'nodes', 'summary'],
  );
  const summary = lines.at(-1);
  t.true(summary?.isEqual);
  t.is(new Set(summary?.nodes.map(({ stateHash }) => stateHash)).size, 1);
  t.true((summary?.nodes[0]?.finalSeq ?? 0) >= 2, 'the probes are in the log');

  const again = await x0t(cwd, 'testnet', '--dir', 'net', '--seconds', '1', '--no-probe');
  t.is(again.code, 0, again.stderr);
  t.regex(again.stdout, /^node-2 +http/m);
  t.regex(again.stdout, /All nodes hold the same final log and state\.\n$/);

  const other = await x0t(cwd, 'testnet', '--nodes', '3', '--dir', 'net', '--json');
  t.is(other.code, 5);
  t.is(envelope(other).code, 'testnet_other_size');
});

test.serial('a node process is ready, is killed, and comes back with its log', async (t) => {
  const cwd = folder(t);
  const base = await freePorts(2);
  const ports = ['--base-api-port', `${base}`, '--base-p2p-port', `${base + 1}`];
  const made = await x0t(
    cwd,
    'testnet',
    '--nodes',
    '1',
    ...ports,
    '--dir',
    'net',
    '--seconds',
    '1',
    '--json',
  );
  t.is(made.code, 0, made.stderr);
  const node = (await openTestnet(join(cwd, 'net')))?.nodes[0];
  if (!node) throw new Error('no test net');
  const launch = async (): Promise<NodeProcess> => {
    const running = new NodeProcess(node.directory, { url: node.url });
    t.teardown(() => running.kill());
    await running.ready(120_000);
    return running;
  };
  const before = await launch();
  const { seq = 0 } = await before.client.putKv('k', Uint8Array.of(1), undefined, {
    isFinal: true,
  });
  t.deepEqual(await before.kill(), { reason: 'SIGKILL', wasAsked: true });
  const after = await launch();
  t.is((await after.client.getKv('k')).seq, seq);
  t.deepEqual(await after.stop(), { reason: 0, wasAsked: true });
});

test.serial('a stop ends requests under way and takes no time-out', async (t) => {
  const cwd = folder(t);
  const base = await freePorts(4);
  const ports = ['--base-api-port', `${base}`, '--base-p2p-port', `${base + 2}`];
  const net = await run(t, cwd, 'testnet', '--nodes', '2', ...ports, '--dir', 'net', '--json');
  const { nodes } = JSON.parse(net.first) as { nodes: { url: string }[] };
  // a client of its own, with a connection that it would keep
  t.is((await fetch(`${nodes[0]?.url}/livez`)).status, 200);
  const start_ms = performance.now();
  const { code, stderr } = await net.stop('SIGINT');
  t.is(code, 0, stderr);
  t.is(stderr, 'stopping ...\n');
  // after ten seconds a node is ended by force
  t.true(performance.now() - start_ms < 9000);
});
