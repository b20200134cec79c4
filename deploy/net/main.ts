/**
 * `deploy/testnet`: brings the network of compose.yaml up, does things to it, and checks after each
 * that all nodes have the same final state, that nothing acknowledged is lost and that the auditor
 * is content. See docs/containers.md.
 */
import { parseArgs } from 'node:util';
import { Load } from './load.ts';
import { Network, VALIDATORS } from './network.ts';
import { SCENARIOS, down, startAll, up } from './scenarios.ts';

const HELP = `deploy/testnet [OPTION...] STEP...

steps, done in the order given; each but up, down and status is checked:
  up           init, four validators, an observer and an auditor; waits until all are healthy
  load         writes for a while
  kill         node-3 is killed and started again
  disconnect   node-4 is cut off from its peers and connected again
  split        node-3 and node-4 are cut off: no quorum is left; then healed
  heal         connects and starts every node, where a step was interrupted
  chaos        the containers of the profile chaos cut and heal for a while
  add          the observer becomes a validator, by an event of the operator
  remove       it gives up its seat again
  roll         all nodes change to another image, one after the other: --image x0t:TAG
  status       shows how the nodes stand
  down         ends all and deletes the data

  --image IMAGE      for roll
  --seconds N        how long a fault or the load lasts (default: 5)
  --project NAME     name of the Compose project (default: x0t)
  --json             one JSON document for each step

Ends with 0 when every step went well, else with 1; the steps after a failure are not done.`;

interface Row {
  readonly step: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly what: string;
  readonly acknowledged?: number;
  readonly final?: number;
  readonly validators?: number;
  readonly epoch?: number;
  readonly audited?: number;
  readonly state?: string;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    image: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    project: { type: 'string', default: 'x0t' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const COLUMNS = [
  ['step', 10],
  ['result', 6],
  ['took', 7],
  ['acked', 6],
  ['final', 7],
  ['audited', 8],
  ['n', 3],
  ['epoch', 5],
  ['state', 12],
] as const;

function show(row: Row): void {
  if (values.json) {
    console.log(JSON.stringify(row));
    return;
  }
  const { step, ok, seconds, acknowledged, final, audited, validators, epoch, state } = row;
  const took = `${seconds.toFixed(1)} s`;
  const result = ok ? 'ok' : 'FAILED';
  const cells = [step, result, took, acknowledged, final, audited, validators, epoch, state];
  const line = COLUMNS.map(([, width], i) => String(cells[i] ?? '').padEnd(width));
  console.log(`${line.join(' ')} ${row.what}`.trimEnd());
}

async function scenario(net: Network, step: string, number: number): Promise<Row> {
  const began_ms = performance.now();
  const seconds = (): number => (performance.now() - began_ms) / 1000;
  const run = `testnet/${Date.now().toString(36)}-${number}-${step}`;
  const load = new Load(`${run}/load`);
  try {
    if (step === 'heal') await startAll(net);
    await net.find();
    load.start(net.apis(VALIDATORS));
    const hold_ms = Number(values.seconds) * 1000;
    const context = { net, load, hold_ms, image: values.image, run };
    let what: string;
    try {
      what = (await SCENARIOS[step]?.(context)) ?? '';
    } finally {
      await load.stop();
    }
    const { status, audited } = await net.settle();
    await net.assertKept(load);
    return {
      step,
      ok: true,
      seconds: seconds(),
      what,
      acknowledged: load.acknowledged.size,
      final: status.finalSeq,
      audited,
      validators: status.n,
      epoch: status.epoch,
      state: status.summaryHash.slice(0, 12),
    };
  } catch (error) {
    const what = (error as Error).message;
    return { step, ok: false, seconds: seconds(), what, acknowledged: load.acknowledged.size };
  }
}

async function doStep(net: Network, name: string, number: number): Promise<Row> {
  if (Object.hasOwn(SCENARIOS, name)) return scenario(net, name, number);
  const began_ms = performance.now();
  const seconds = (): number => (performance.now() - began_ms) / 1000;
  try {
    let what = '';
    if (name === 'up') await up(net);
    else if (name === 'down') await down(net);
    else what = (await net.compose.run('ps', '--all')).trimEnd();
    return { step: name, ok: true, seconds: seconds(), what };
  } catch (error) {
    return { step: name, ok: false, seconds: seconds(), what: (error as Error).message };
  }
}

async function main(): Promise<number> {
  const known = new Set(['up', 'down', 'status', ...Object.keys(SCENARIOS)]);
  const unknown = positionals.find((one) => !known.has(one));
  if (values.help || positionals.length === 0 || unknown !== undefined) {
    if (unknown !== undefined) console.error(`testnet: there is no step "${unknown}"\n`);
    console.log(HELP);
    return values.help ? 0 : 2;
  }
  const net = new Network(values.project);
  if (!values.json) {
    console.log(COLUMNS.map(([name, width]) => name.padEnd(width)).join(' ').trimEnd());
  }
  for (const [i, name] of positionals.entries()) {
    const row = await doStep(net, name, i);
    show(row);
    if (!row.ok) return 1;
  }
  return 0;
}

process.exitCode = await main();
