import type { Command } from 'commander';
import { forbidCoreDumps } from '#native/core-dumps.ts';

const EXPOSED =
  'A crash of this process may leave an image of its memory, with keys in it. It cannot forbid' +
  ' that itself here: forbid it from outside, such as by `ulimit -c 0`.';
/** They say it in their log. */
const RUN_NODES: ReadonlySet<string> = new Set(['auditor', 'start']);

let isForbidden: boolean | undefined;

/** What keys in memory are exposed to here, in sentences; none where nothing was left undone. */
export function exposures(): readonly string[] {
  isForbidden ??= forbidCoreDumps();
  return isForbidden ? [] : [EXPOSED];
}

/** For commands that read or make private keys: core dumps are forbidden before they begin. */
export function guardsKeys(command: Command): Command {
  return command.hook('preAction', (_hooked, running) => {
    const found = exposures();
    if (RUN_NODES.has(running.name())) return;
    for (const sentence of found) process.stderr.write(`x0t: ${sentence}\n`);
  });
}
