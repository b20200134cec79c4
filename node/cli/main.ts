/**
 * Runs the command line `x0t` on load. What is compiled is kept for the next time, in the user's
 * own part of the temporary folder: that has to be said before anything else is loaded, and threads
 * hear it from the environment.
 */
import { enableCompileCache } from 'node:module';
import { dirname } from 'node:path';
import { becomeFrugal } from '#node/frugal.ts';

/** Commands that run a node in this process. */
const NODES = new Set(['auditor', 'join', 'start']);

const { directory } = enableCompileCache();
// it is that of this version of Node.js, in the one that is named
if (directory !== undefined) process.env['NODE_COMPILE_CACHE'] ??= dirname(directory);
// before the rest is loaded: it begins anew
if (NODES.has(process.argv[2] ?? '')) becomeFrugal();
await import('./program.ts');
