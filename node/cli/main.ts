/**
 * Runs the command line `x0t` on load. `compile-cache.js` comes first: what is loaded after it
 * needs no compiler the next time.
 */
// oxlint-disable-next-line import/no-unassigned-import -- it acts on load, before the rest
import './compile-cache.js';
import { becomeFrugal } from '#node/frugal.ts';

/** Commands that run a node in this process. */
const NODES = new Set(['auditor', 'join', 'start']);

// before the rest is loaded: it begins anew
if (NODES.has(process.argv[2] ?? '')) becomeFrugal();
await import('./program.ts');
