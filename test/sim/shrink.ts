import type { SimWorker } from './pool.ts';
import { scenarioOf } from './scenario.ts';
import type { ScenarioOptions } from './scenario.ts';

/** Plays at most so many runs to make a failure smaller. */
const TRIES_MAX = 60;

/**
 * Makes a failing run smaller while its verdict stays: without traitors, with a part of its faults,
 * then one fault less at a time, and with half of its load again and again.
 */
export async function shrink(
  worker: SimWorker,
  seed: number,
  start: ScenarioOptions,
  verdict: string,
): Promise<ScenarioOptions> {
  let tries = 0;
  const stillFails = async (options: ScenarioOptions): Promise<boolean> => {
    if (tries++ >= TRIES_MAX) return false;
    return (await worker.play({ seed, options })).verdict === verdict;
  };
  let best = start;
  const attempt = async (change: ScenarioOptions): Promise<boolean> => {
    const options = { ...best, ...change };
    if (!(await stillFails(options))) return false;
    best = options;
    return true;
  };
  if (scenarioOf(seed, best).traitors.length > 0) await attempt({ traitors: 'none' });
  let keep = start.keep ?? scenarioOf(seed, best).faults.map((_, index) => index);
  for (let size = Math.ceil(keep.length / 2); size >= 1; size = size === 1 ? 0 : size >> 1) {
    for (let at = 0; at < keep.length; ) {
      const fewer = keep.toSpliced(at, size);
      if (await attempt({ keep: fewer })) keep = fewer;
      else at += size;
    }
  }
  for (let load = scenarioOf(seed, best).load.length >> 1; load >= 1; load >>= 1) {
    if (!(await attempt({ load }))) break;
  }
  return best;
}

/** The command line that plays a run again. */
export function commandFor(seed: number, options: ScenarioOptions): string {
  const { validators, traitors, snapshots, lives, keep, load, isReal } = options;
  const parts = [`npm run sim -- --seed ${seed}`];
  if (validators !== undefined) parts.push(`--n ${validators}`);
  if (traitors) parts.push(`--traitors ${traitors}`);
  if (snapshots) parts.push(`--snapshots ${snapshots}`);
  if (lives) parts.push(`--lives ${lives}`);
  if (isReal !== undefined) parts.push(isReal ? '--real' : '--no-real');
  if (keep) parts.push(`--keep ${keep.join(',') || 'none'}`);
  if (load !== undefined) parts.push(`--load ${load}`);
  return parts.join(' ');
}
