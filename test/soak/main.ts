import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { soak } from './soak.ts';

/**
 * `npm run soak`: real node processes under load, killed, restarted and cut off from each other for
 * some minutes; then healed and checked. Exit code 0: all held; 1: something did not; 2: wrong
 * usage.
 */

const USAGE = `npm run soak -- --minutes M [options]

  --minutes M   how long faults are played (default 1)
  --nodes N     validators, 1 to 16 (default 4)
  --seed S      draws faults and load (default: the current second)
  --rate R      events per second offered to all nodes together (default 40)
  --json        prints the summary as one JSON object`;

function usage(problem: string): never {
  console.error(`${problem}\n\n${USAGE}`);
  process.exit(2);
}

function optionsOf(): Record<'minutes' | 'nodes' | 'seed' | 'rate' | 'json' | 'help', unknown> {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  try {
    const options = {
      minutes: { ...text, default: '1' },
      nodes: { ...text, default: '4' },
      seed: text,
      rate: { ...text, default: '40' },
      json: flag,
      help: flag,
    };
    return parseArgs({ options }).values as ReturnType<typeof optionsOf>;
  } catch (error) {
    return usage((error as Error).message);
  }
}

function between(name: string, value: unknown, min: number, max: number): number {
  const number = Number(value);
  if (!(number >= min && number <= max)) usage(`--${name} is a number from ${min} to ${max}`);
  return number;
}

const values = optionsOf();
if (values.help === true) {
  console.log(USAGE);
  process.exit(0);
}
const options = {
  minutes: between('minutes', values.minutes, 0.1, 1440),
  nodes: Math.floor(between('nodes', values.nodes, 1, 16)),
  seed: Math.floor(between('seed', values.seed ?? Date.now() / 1000, 0, 2 ** 53)),
  rate: between('rate', values.rate, 0.1, 5000),
};
const directory = mkdtempSync(join(tmpdir(), 'x0t-soak-'));
const summary = await soak(directory, options, (line) => console.error(line));
if (values.json === true) console.log(JSON.stringify(summary, undefined, 2));
else for (const [name, value] of Object.entries(summary)) console.log(name, value);
if (summary.ok) rmSync(directory, { recursive: true, force: true });
else console.error(`the data directories are kept: ${directory}`);
process.exit(summary.ok ? 0 : 1);
