import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openChain } from '#ledger/chain.ts';
import { dataPaths } from '#node/data-dir.ts';
import { randomOf } from '#test/sim/random.ts';
import { makeNet } from '#test/support/processes.ts';
import { FaultSchedule } from './faults.ts';
import type { FaultCounts } from './faults.ts';
import { SoakLoad, loadActors } from './load.ts';
import { Seat } from './seats.ts';
import { auditOf, differences, statusOf, untilSettled } from './verify.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly nodes: number;
  readonly seed: number;
  /** Events per second, offered to all nodes together. */
  readonly rate: number;
}

export interface SoakSummary extends SoakOptions, FaultCounts {
  readonly ok: boolean;
  readonly sent: number;
  readonly acknowledged: number;
  /** Events in the final log; an unanswered one may be there too. */
  readonly final: number;
  /** Acknowledged events that some node does not have as final. */
  readonly lost: number;
  /** Events that stand twice in some node's log. */
  readonly doubled: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Acknowledged events that were not final everywhere when the faults ended. */
  readonly openAtHeal: number;
  /** Until the last of them was final on the last node, all nodes being up and linked again. */
  readonly longestToFinal_ms: number;
  readonly failedStarts: number;
  readonly auditedSignatures: number;
  readonly logRoot: string;
  readonly stateRoot: string;
  /** In sentences; empty when all held. */
  readonly problems: readonly string[];
}

const ACTORS = 12;
const SAY_EVERY_MS = 10_000;
/** After the faults the nodes have so long to agree, and more the more events there are. */
const SETTLE_MS = 120_000;
const SETTLE_MS_PER_EVENT = 2;
/** Whatever hangs ends the run so long after its time. */
const OVERTIME_MS = 900_000;

/** Runs one soak in a fresh directory and ends all its processes. */
export async function soak(
  directory: string,
  options: SoakOptions,
  say: (line: string) => void,
): Promise<SoakSummary> {
  const actors = await loadActors(ACTORS);
  const operators = actors.map(({ actor }) => actor);
  const directories = await makeNet(directory, options.nodes, operators);
  const seats = directories.slice(0, options.nodes).map((one, index) => new Seat(index, one));
  const guard = setTimeout(() => {
    say('the soak hangs: it is given up');
    process.exit(1);
  }, options.minutes * 60_000 + OVERTIME_MS);
  try {
    for (const seat of seats) await seat.start();
    const chain = openChain(readFileSync(dataPaths(directories[0] as string).genesis)).id;
    const load = new SoakLoad(chain, actors, seats, randomOf(options.seed, 'load'));
    return await play(options, seats, load, say);
  } finally {
    await Promise.all(seats.map((seat) => seat.stop()));
    clearTimeout(guard);
  }
}

async function play(
  options: SoakOptions,
  seats: readonly Seat[],
  load: SoakLoad,
  say: (line: string) => void,
): Promise<SoakSummary> {
  const end = new AbortController();
  const faults = new FaultSchedule(seats, randomOf(options.seed, 'faults'), end.signal);
  const saying = startSaying(seats, load, faults.counts, say);
  say(`seed ${options.seed}: faults for ${options.minutes} minutes`);
  const running = Promise.all([faults.run(), load.run(options.rate, end.signal)]);
  await Promise.race([sleep(options.minutes * 60_000), running]);
  end.abort();
  await running;
  clearInterval(saying);
  await Promise.all(seats.map((seat) => seat.start()));

  say(`healed; ${load.acknowledged.size} events are acknowledged`);
  const wait_ms = SETTLE_MS + SETTLE_MS_PER_EVENT * load.acknowledged.size;
  const settled = await untilSettled(seats, load.acknowledged, wait_ms);
  const problems = differences(settled, load.acknowledged);
  for (const { index, ownEnds } of seats) {
    if (ownEnds.length > 0) problems.push(`node ${index} ended by itself: ${ownEnds.join()}`);
  }
  if (load.acknowledged.size === 0) problems.push('no event was acknowledged');

  // alone it goes on no more, so what it says is what is audited
  const audited = seats[options.seed % seats.length] as Seat;
  await Promise.all(seats.filter((seat) => seat !== audited).map((seat) => seat.stop()));
  const { logRoot, stateRoot } = await statusOf(audited);
  await audited.stop();
  say(`auditing node ${audited.index}`);
  const audit = await auditOf(audited);
  if (!audit.ok) problems.push(`audit of node ${audited.index}: ${JSON.stringify(audit.finding)}`);
  else if (audit.summary?.stateRoot !== stateRoot || audit.summary.logRoot !== logRoot) {
    problems.push('the audit gives other roots than the nodes');
  }
  const lost = new Set(settled.logs.flatMap((log) => log.lacks(load.acknowledged)));
  return {
    ok: problems.length === 0,
    ...options,
    ...faults.counts,
    sent: load.sent,
    acknowledged: load.acknowledged.size,
    final: settled.logs[0]?.ids.length ?? 0,
    lost: lost.size,
    doubled: settled.logs.reduce((sum, { doubled }) => sum + doubled.length, 0),
    refused: load.refused,
    openAtHeal: settled.openAtHeal,
    longestToFinal_ms: settled.lastFinal_ms,
    failedStarts: seats.reduce((sum, seat) => sum + seat.failedStarts, 0),
    auditedSignatures: audit.signatures,
    logRoot,
    stateRoot,
    problems,
  };
}

function startSaying(
  seats: readonly Seat[],
  load: SoakLoad,
  counts: FaultCounts,
  say: (line: string) => void,
): NodeJS.Timeout {
  const start_ms = performance.now();
  const line = async (): Promise<void> => {
    const finals = await Promise.all(
      seats.map(async (seat) => {
        const status = seat.node && (await statusOf(seat).catch(() => undefined));
        return status ? status.finalSeq : 'down';
      }),
    );
    const { kills, killsWhileStarting, restarts, blocks } = counts;
    const seconds = Math.round((performance.now() - start_ms) / 1000);
    const faults = `${kills + killsWhileStarting} kills, ${restarts} restarts, ${blocks} blocks`;
    const events = `${load.acknowledged.size} of ${load.sent} acknowledged`;
    say(`${seconds} s: ${events}; final ${finals.join(' ')}; ${faults}`);
  };
  return setInterval(() => void line(), SAY_EVERY_MS);
}
