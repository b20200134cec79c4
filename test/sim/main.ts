import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describe } from './faults.ts';
import { hunt, mutantsOf } from '#test/sim/mutants/hunt.ts';
import type { Catch } from '#test/sim/mutants/hunt.ts';
import { explore, SimWorker } from './pool.ts';
import type { Outcome } from './run.ts';
import { scenarioOf } from './scenario.ts';
import type { ScenarioOptions } from './scenario.ts';
import { commandFor, shrink } from './shrink.ts';
import { Tally } from './summary.ts';
import type { Failure, SimSummary } from './summary.ts';

/**
 * `npm run sim`: plays one seed again, or explores many. Exit code 0: all passed; 1: some did not;
 * 2: wrong usage.
 */

const ROOT = resolve(import.meta.dirname, '../..');
/** Failures that are made smaller; more of them are mostly the same again. */
const SHRUNK_MAX = 3;
/** Exploring ends after so many failures. */
const FAILURES_MAX = 20;

const USAGE = `npm run sim -- --seed S [options]          plays one run and prints it
npm run sim -- [--runs N] [--minutes M]    explores seeds, 100 runs if not told
npm run sim -- --mutants [NAME...]         plays runs of deliberately broken copies

  --from SEED      first seed to explore; the current second if not told
  --n N            validators
  --traitors MODE  none, some (tolerated), or over (one too many)
  --lives MODE     none, or some (members come and go, rules change)
  --snapshots MODE  none, story, or more (a drawn run with snapshots and pruning)
  --real, --no-real  whether ML-DSA-65 signs
  --keep I,J,...   only these faults of the schedule ("none" for no fault)
  --load N         only the first N operations of the load
  --workers N      processes
  --json           prints one JSON object`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    seed: { type: 'string' },
    n: { type: 'string' },
    traitors: { type: 'string' },
    snapshots: { type: 'string' },
    lives: { type: 'string' },
    real: { type: 'boolean' },
    keep: { type: 'string' },
    load: { type: 'string' },
    runs: { type: 'string' },
    minutes: { type: 'string' },
    from: { type: 'string' },
    workers: { type: 'string' },
    json: { type: 'boolean' },
    mutants: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) usage(`${text} is no number`);
  return number;
}

function usage(problem: string): never {
  console.error(`${problem}\n\n${USAGE}`);
  process.exit(2);
}

const MODES = ['none', 'some', 'over'] as const;
const LIVES = ['none', 'some'] as const;
const PARTS = ['none', 'story', 'more'] as const;

function optionsOf(): ScenarioOptions {
  const traitors = MODES.find((mode) => mode === values.traitors);
  if (values.traitors !== undefined && !traitors) usage(`--traitors is ${MODES.join(', ')}`);
  const snapshots = PARTS.find((part) => part === values.snapshots);
  if (values.snapshots !== undefined && !snapshots) usage(`--snapshots is ${PARTS.join(', ')}`);
  const lives = LIVES.find((part) => part === values.lives);
  if (values.lives !== undefined && !lives) usage(`--lives is ${LIVES.join(', ')}`);
  const { keep } = values;
  const kept = keep === 'none' ? [] : keep?.split(',').map((index) => numberOf(index) ?? 0);
  return {
    validators: numberOf(values.n),
    traitors,
    snapshots,
    lives,
    isReal: values.real,
    keep: kept,
    load: numberOf(values.load),
  };
}

function line(outcome: Outcome): string {
  const { seed, validators, verdict, trace, virtual_ms, acknowledged, finals, epochs } = outcome;
  const events = `${acknowledged} acknowledged, ${finals} final`;
  const what = `${events}, ${epochs} epochs entered, ${virtual_ms} virtual ms`;
  return `seed ${seed}, n=${validators}: ${verdict}; ${what}; trace ${trace}`;
}

/** Plays one run in this process's only worker and tells its story. */
async function one(seed: number): Promise<boolean> {
  const options = optionsOf();
  const worker = new SimWorker(ROOT);
  const outcome = await worker.play({ seed, options });
  worker.close();
  if (values.json) console.log(JSON.stringify(outcome, undefined, 2));
  else {
    const { faults, traitors, load, link, defect } = scenarioOf(seed, options);
    console.log(`link ${JSON.stringify(link)}, ${load.length} operations`);
    for (const { author, habits } of traitors) {
      console.log(`traitor ${author}: ${habits.join(', ')}`);
    }
    if (defect) console.log(`defect of node ${defect.node}: ${JSON.stringify(defect)}`);
    for (const [index, fault] of faults.entries()) console.log(`${index}: ${describe(fault)}`);
    const { lives } = outcome;
    if (Object.keys(lives).length > 0) console.log(`members and rules: ${JSON.stringify(lives)}`);
    for (const { checker, at_ms, detail } of outcome.findings) {
      console.log(`${at_ms} ms, ${checker}: ${detail}`);
    }
    console.log(line(outcome));
  }
  return outcome.verdict === 'pass';
}

async function many(): Promise<boolean> {
  const from = numberOf(values.from) ?? Math.floor(Date.now() / 1000);
  const tally = new Tally(from);
  const minutes = numberOf(values.minutes) ?? Number.POSITIVE_INFINITY;
  const runs = numberOf(values.runs) ?? (values.minutes === undefined ? 100 : 1e9);
  const workers = numberOf(values.workers) ?? availableParallelism();
  const options = optionsOf();
  let told_ms = performance.now();
  await explore({ from, runs, minutes, workers, root: ROOT, options }, (outcome) => {
    tally.add(outcome);
    if (outcome.verdict !== 'pass') console.error(line(outcome));
    if (performance.now() - told_ms > 5000) {
      told_ms = performance.now();
      console.error(`${tally.runs} of ${runs} done, ${tally.failed.length} failed`);
    }
    return tally.failed.length < FAILURES_MAX;
  });
  const summary = tally.summary(await failuresOf(tally.failed, options));
  if (values.json) console.log(JSON.stringify(summary, undefined, 2));
  else print(summary);
  return tally.failed.length === 0;
}

async function failuresOf(
  failed: readonly Outcome[],
  options: ScenarioOptions,
): Promise<Failure[]> {
  const worker = new SimWorker(ROOT);
  const failures: Failure[] = [];
  for (const [index, { seed, validators, verdict, findings }] of failed.entries()) {
    if (index < SHRUNK_MAX) console.error(`making seed ${seed} smaller`);
    const small = index < SHRUNK_MAX ? await shrink(worker, seed, options, verdict) : options;
    const detail = findings[0]?.detail ?? '';
    failures.push({ seed, validators, verdict, detail, command: commandFor(seed, small) });
  }
  worker.close();
  return failures;
}

function print(summary: SimSummary): void {
  const { runs, passed, virtual_hours, acknowledged, lost, healed_ms, failures } = summary;
  const { checkpoints, receipts } = summary;
  console.log(`${passed} of ${runs} runs passed; ${virtual_hours} virtual hours`);
  console.log(`${acknowledged} events acknowledged, ${lost} lost`);
  console.log(`${checkpoints} checkpoints certified, ${receipts} receipts verified`);
  const { installed, interrupted, rowsPruned, commitsPruned } = summary.snapshots;
  console.log(`${installed} snapshots installed, ${interrupted} times interrupted`);
  console.log(`${rowsPruned} rows pruned, ${commitsPruned} commits among them`);
  console.log(`faults: ${JSON.stringify(summary.faults)}`);
  console.log(`habits of traitors: ${JSON.stringify(summary.habits)}`);
  console.log(`healed after ${healed_ms.median} ms (median), ${healed_ms.max} ms at most`);
  const { epochs } = summary;
  const over = `${epochs.runs} runs over ${epochs.entered} ends of epochs`;
  const why = `${epochs.changes} changes of the committee, ${epochs.returned} returned`;
  console.log(`${over}, by ${why}`);
  const { lives } = summary;
  console.log(`${lives.runs} runs with members that come and go: ${JSON.stringify(lives.events)}`);
  const slow = summary.slowest.map(({ seed, healed_ms: ms }) => `${seed} (${ms} ms)`);
  console.log(`slowest seeds: ${slow.join(', ')}`);
  for (const { verdict, detail, command } of failures) {
    console.log(`${verdict}: ${detail}\n  ${command}`);
  }
}

/** Every deliberate bug must be found. */
async function mutants(): Promise<boolean> {
  const workers = numberOf(values.workers) ?? availableParallelism();
  const from = numberOf(values.from) ?? 1;
  const catches: Catch[] = [];
  for (const mutant of mutantsOf(positionals)) {
    const caught = await hunt(mutant, ROOT, from, workers, optionsOf(), numberOf(values.runs));
    catches.push(caught);
    if (!values.json) {
      const { name, about, checker = 'NOT FOUND', seeds, seed } = caught;
      console.log(`| ${name} | ${about} | ${checker} | ${seeds} | ${seed ?? ''} |`);
    }
  }
  if (values.json) console.log(JSON.stringify(catches, undefined, 2));
  return catches.every(({ checker }) => checker !== undefined);
}

if (values.help) console.log(USAGE);
else {
  const seed = numberOf(values.seed);
  if (positionals.length > 0 && !values.mutants) usage(`what is ${positionals.join(' ')}?`);
  const isFine = await (values.mutants ? mutants() : seed === undefined ? many() : one(seed));
  process.exitCode = isFine ? 0 : 1;
}
