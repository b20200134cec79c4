/**
 * Runs the command line `x0t` on load. What is compiled is kept for the next time, in the user's
 * own part of the temporary folder: that has to be said before anything else is loaded, and threads
 * hear it from the environment.
 */
import { enableCompileCache } from 'node:module';
import { dirname } from 'node:path';

const { directory } = enableCompileCache();
// it is that of this version of Node.js, in the one that is named
if (directory !== undefined) process.env['NODE_COMPILE_CACHE'] ??= dirname(directory);
await import('./program.ts');
