import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare } from './against.ts';
import { sections } from './sections.ts';
import type { BenchContext, Plan } from './sections.ts';

/**
 * `npm run bench [-- --quick] [-- --only NAME,NAME]`: measures what `docs/performance.md` states
 * and prints one JSON document. Progress goes to stderr. All load is made before it is sent, and
 * everything runs on loopback in processes and directories that this program makes and removes.
 *
 * `npm run bench -- --against REVISION|DIRECTORY [--rounds N]`: how this version compares with
 * another one of this repository, in runs that alternate.
 */

/**
 * The full plan takes about fifteen minutes on two cores; the quick one shows in two or three that
 * everything works.
 */
const FULL: Plan = {
  seconds: 60,
  shortSeconds: 20,
  idleSeconds: 60,
  coldEvents: 20_000,
  snapshotEvents: 100_000,
  policyEvents: 10_000,
  cutoffs: 20,
  isolated: 40,
  perSecond: 1000,
  authoredPerSecond: 5000,
  actors: 100,
};
const QUICK: Plan = {
  seconds: 4,
  shortSeconds: 3,
  idleSeconds: 3,
  coldEvents: 600,
  snapshotEvents: 3000,
  policyEvents: 400,
  cutoffs: 2,
  isolated: 4,
  perSecond: 150,
  authoredPerSecond: 300,
  actors: 100,
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    against: { type: 'string' },
    rounds: { type: 'string', default: '5' },
  },
});
if (values.against !== undefined) {
  const { against, rounds } = values;
  const comparison = compare(against, Number(rounds), (line) => console.error(line));
  console.log(JSON.stringify({ against, comparison }, undefined, 2));
  process.exit(0);
}
const only = values.only?.split(',');
const directory = mkdtempSync(join(tmpdir(), 'x0t-bench-'));
const context: BenchContext = {
  directory,
  plan: values.quick ? QUICK : FULL,
  say: (line) => console.error(line),
  results: {},
  nodes: [],
};
const result: Record<string, unknown> = {
  command: `npm run bench${values.quick ? ' -- --quick' : ''}`,
  node: process.version,
  cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
  plan: context.plan,
};
try {
  for (const [name, run] of Object.entries(sections)) {
    if (only && !only.includes(name)) continue;
    context.say(`${name} ...`);
    context.results[name] = await run(context);
    context.say(`${name}: ${JSON.stringify(context.results[name])}`);
  }
} finally {
  for (const node of context.nodes) await node.stop();
  rmSync(directory, { recursive: true, force: true });
}
console.log(JSON.stringify({ ...result, ...context.results }, undefined, 2));
process.exit(0);
