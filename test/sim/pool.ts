import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Outcome } from './run.ts';
import type { ScenarioOptions } from './scenario.ts';
import type { Answer, Job } from './worker.ts';

/** A run that takes longer than this in real time hangs. */
const HUNG_MS = 180_000;
/** Simulated nodes make many short-lived objects. */
const EXEC_ARGV = ['--max-semi-space-size=32', '--disable-warning=ExperimentalWarning'];

/** A worker process that plays one run at a time; a hung or broken one is replaced. */
export class SimWorker {
  readonly #script: string;
  #child: ChildProcess | undefined;

  /** `root`: the project whose simulator and whose node run there. */
  constructor(root: string) {
    this.#script = join(root, 'test/sim/worker.ts');
  }

  /** Plays one run. Never rejects: a run that breaks off has the verdict `broken` or `hung`. */
  play(job: Job): Promise<Outcome> {
    const child = (this.#child ??= fork(this.#script, { execArgv: EXEC_ARGV }));
    return new Promise((resolve) => {
      const timer = setTimeout(() => end(failed(job, 'hung', `over ${HUNG_MS} ms`)), HUNG_MS);
      const end = (outcome: Outcome): void => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (outcome.verdict === 'broken' || outcome.verdict === 'hung') this.close();
        resolve(outcome);
      };
      child.once('message', (answer: Answer) => {
        end('outcome' in answer ? answer.outcome : failed(job, 'broken', answer.error));
      });
      child.once('exit', (code) => end(failed(job, 'broken', `exit code ${code}`)));
      child.send(job);
    });
  }

  close(): void {
    this.#child?.removeAllListeners();
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}

function failed({ seed, options }: Job, verdict: string, detail: string): Outcome {
  return {
    seed,
    validators: options.validators ?? 0,
    verdict,
    findings: [{ checker: verdict, at_ms: 0, detail }],
    trace: '',
    virtual_ms: 0,
    faults: {},
    habits: {},
    acknowledged: 0,
    lost: 0,
    finals: 0,
    snapshots: { installed: 0, interrupted: 0, rowsPruned: 0, commitsPruned: 0 },
    blocks: 0,
    checkpoints: 0,
    receipts: 0,
    healed_ms: undefined,
    isBeyond: false,
    isNoticed: false,
    epochs: 0,
    changes: 0,
    lives: {},
    returned: 0,
  };
}

/** Which runs, and when to stop. */
export interface Plan {
  readonly from: number;
  readonly runs: number;
  readonly minutes: number;
  readonly workers: number;
  readonly root: string;
  readonly options: ScenarioOptions;
}

/**
 * Plays seeds from `from` on until enough runs are done or the time is up, several at a time;
 * `done` hears of each and returns whether to go on.
 */
export async function explore(
  { from, runs, minutes, workers, root, options }: Plan,
  done: (outcome: Outcome) => boolean,
): Promise<void> {
  const end_ms = performance.now() + minutes * 60_000;
  let next = from;
  let isOver = false;
  const work = async (): Promise<void> => {
    const worker = new SimWorker(root);
    while (!isOver && next < from + runs && performance.now() < end_ms) {
      if (!done(await worker.play({ seed: next++, options }))) isOver = true;
    }
    worker.close();
  };
  await Promise.all(Array.from({ length: Math.min(workers, runs) }, work));
}
