import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { X0tError, fail } from '#ledger/errors.ts';
import { NodeProcess } from '#node/node-process.ts';
import {
  BASE_API_PORT,
  BASE_P2P_PORT,
  TESTNET_NODES_MAX,
  createTestnet,
  openTestnet,
} from '#node/testnet.ts';
import type { Testnet } from '#node/testnet.ts';
import { addCommand, portNumber, wholeNumber } from './command.ts';
import { guardsKeys } from './key-guard.ts';
import { counted } from './output.ts';
import type { Output } from './output.ts';
import { printable } from './printable.ts';
import { startProgress } from './progress.ts';
import { stopRequest } from './signals.ts';
import { jsonOf, lineOf, tableOf } from './testnet-table.ts';
import { areEqual, lookAt, settle } from './testnet-watch.ts';
import type { NodeLine, Watched } from './testnet-watch.ts';

interface Options {
  readonly nodes?: number;
  readonly dir: string;
  readonly baseApiPort: number;
  readonly baseP2pPort: number;
  readonly seconds?: number;
  readonly actors: number;
  readonly probe: boolean;
}

const NODES = 4;
const ACTORS_MAX = 4096;
const SECONDS_MAX = 86_400 * 30;
const READY_MS = 60_000;
const SETTLE_MS = 20_000;
/** A table is redrawn, a line is printed after so long. */
const TABLE_MS = 1000;
const LINE_MS = 5000;

export function registerTestnet(program: Command): void {
  const about = 'run several validators on this machine, each in a process of its own';
  const { command, does } = addCommand<Options>(program, 'testnet', about, [
    'x0t testnet --nodes 4',
    'x0t testnet --nodes 4 --dir /var/tmp/net --seconds 30 --json',
  ]);
  guardsKeys(command)
    .option(
      '--nodes <count>',
      'validators (default: 4, or those that are there)',
      wholeNumber(1, TESTNET_NODES_MAX),
    )
    .option('--dir <dir>', 'where their data is; an existing test net goes on', './testnet')
    .option('--base-api-port <port>', "the first node's API port", portNumber, BASE_API_PORT)
    .option('--base-p2p-port <port>', "the first node's libp2p port", portNumber, BASE_P2P_PORT)
    .option(
      '--seconds <count>',
      'end after so long and compare the nodes',
      wholeNumber(1, SECONDS_MAX),
    )
    .option('--actors <count>', 'operator keys to make', wholeNumber(0, ACTORS_MAX), 1)
    .option('--no-probe', 'write nothing to measure latency');
  does(async (out, options) => {
    const stop = stopRequest();
    const net = await prepare(options);
    await run(net, options, out, stop);
  });
}

/** Opens the test net of the directory, or makes it. Throws `testnet_other_size`. */
async function prepare(options: Options): Promise<Testnet> {
  const { dir, nodes, actors, baseApiPort, baseP2pPort } = options;
  const found = await openTestnet(dir);
  if (!found) {
    const bar = startProgress('keys', 'keys');
    const progress = bar.set;
    try {
      return await createTestnet(dir, {
        nodes: nodes ?? NODES,
        actors,
        baseApiPort,
        baseP2pPort,
        progress,
      });
    } finally {
      bar.stop();
    }
  }
  if (nodes !== undefined && nodes !== found.nodes.length) {
    fail(
      'testnet_other_size',
      'The test net there has another size: leave out --nodes, or name another --dir.',
      {
        directory: dir,
        nodes: found.nodes.length,
      },
    );
  }
  return found;
}

async function run(
  net: Testnet,
  options: Options,
  out: Output,
  stop: Promise<void>,
): Promise<void> {
  const nodes = net.nodes.map(({ name, url, directory }): Watched => {
    return { name, url, process: new NodeProcess(directory, { url }) };
  });
  let isStopping = false;
  const stopped = stop.then(() => (isStopping = true));
  const tell = async ({ name, process }: Watched): Promise<void> => {
    const { wasAsked, reason } = await process.exited;
    if (!wasAsked && !isStopping && !isTable(out)) report(name, process, reason);
  };
  for (const node of nodes) void tell(node);
  try {
    const ready = Promise.all(nodes.map(({ process }) => process.ready(READY_MS)));
    await Promise.race([ready, stopped]);
    if (isStopping) return;
    announce(net, out);
    const began_ms = performance.now();
    await watch(nodes, options, out, stopped);
    if (!isStopping) await conclude(nodes, out, began_ms);
  } finally {
    isStopping = true;
    process.stderr.write('stopping ...\n');
    await Promise.all(nodes.map(({ process }) => process.stop()));
  }
}

/** A table is drawn over and over; it says by itself what has ended. */
function isTable({ isJson }: Output): boolean {
  return !isJson && process.stdout.isTTY;
}

function report(name: string, { logFile }: NodeProcess, reason: number | string): void {
  process.stderr.write(`x0t: ${name} ended (${reason}): see ${logFile}\n`);
}

function announce({ directory, chain, nodes, operators }: Testnet, out: Output): void {
  const first = `--data ${nodes[0]?.directory ?? ''}`;
  const started = { type: 'started', directory, chain, nodes, operators };
  out.show(started, () =>
    [
      `${counted(nodes.length, 'validator')} in ${directory}; the log of each is node.log there.`,
      `  npx x0t kv put greeting hello --wait ${first}`,
      ...(operators[0] === undefined
        ? []
        : [`  npx x0t kv put greeting signed --wait ${first} --key ${operators[0]}`]),
      `  npx x0t log --follow --data ${nodes.at(-1)?.directory ?? ''}`,
      'Ctrl-C stops them.',
      '',
    ].join('\n'),
  );
}

/**
 * Shows the nodes until the time is over or `stopped`. Throws `testnet_node_ended` when none is
 * left.
 */
async function watch(
  nodes: readonly Watched[],
  { seconds, probe }: Options,
  out: Output,
  stopped: Promise<unknown>,
): Promise<void> {
  const isDrawn = isTable(out);
  const start_ms = performance.now();
  const end_ms = seconds === undefined ? Number.POSITIVE_INFINITY : start_ms + seconds * 1000;
  let drawn = 0;
  while (performance.now() < end_ms) {
    const began_ms = performance.now();
    const lines = await Promise.race([lookAt(nodes, probe), stopped.then(() => undefined)]);
    if (!lines) return;
    const passed = Math.round((performance.now() - start_ms) / 1000);
    if (isDrawn) drawn = redraw(tableOf(lines), drawn);
    else out.show(jsonOf(passed, lines), () => lineOf(passed, lines));
    if (lines.every(({ exit }) => exit !== undefined)) {
      fail('testnet_node_ended', 'All nodes have ended: see their logs.', { nodes: lines.length });
    }
    const pause_ms = (isDrawn ? TABLE_MS : LINE_MS) - (performance.now() - began_ms);
    await pauseOr(stopped, Math.max(0, Math.min(pause_ms, end_ms - performance.now())));
  }
}

/** Waits for a time, or until `stopped`. */
async function pauseOr(stopped: Promise<unknown>, pause_ms: number): Promise<void> {
  const timer = new AbortController();
  const pause = sleep(pause_ms, undefined, { signal: timer.signal });
  await Promise.race([pause.catch(() => undefined), stopped]);
  timer.abort();
}

/** Draws over what was drawn before; gives the number of lines. */
function redraw(table: string, before: number): number {
  const up = before > 0 ? `\u001b[${before}A` : '';
  process.stdout.write(`${up}${printable(table).replaceAll('\n', '\u001b[K\n')}`);
  return table.split('\n').length - 1;
}

/** Waits until the nodes stand alike. Throws `testnet_node_ended` or `testnet_disagrees`. */
async function conclude(
  nodes: readonly Watched[],
  out: Output,
  began_ms: number,
): Promise<void> {
  const lines = await settle(nodes, SETTLE_MS);
  const isEqual = areEqual(lines);
  const verdict = isEqual ? 'All nodes hold the same final log and state.' : 'The nodes differ.';
  const seconds = Math.round((performance.now() - began_ms) / 1000);
  const summary = { ...jsonOf(seconds, lines), type: 'summary', isEqual };
  out.show(summary, () => `${tableOf(lines)}${verdict}`);
  const gone = lines.filter(({ exit }) => exit !== undefined).map(({ name }) => name);
  if (gone.length > 0)
    fail('testnet_node_ended', 'Nodes ended by themselves: see their logs.', { nodes: gone });
  if (!isEqual) throw disagreement(lines);
}

function disagreement(lines: readonly NodeLine[]): X0tError {
  return new X0tError('testnet_disagrees', 'The nodes do not hold the same final log and state.', {
    nodes: lines.map(({ name, status }) => `${name} ${status?.finalSeq ?? 'no answer'}`),
  });
}
