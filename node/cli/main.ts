/**
 * The command line `x0t` (docs/cli.md). Runs on load. Ends with the codes of `exit-codes.ts`; nothing is forced, so
 * what was written reaches its reader.
 */
import { Command, CommanderError } from 'commander';
import { registerAudit } from './audit.ts';
import { registerEvent } from './event.ts';
import { exitCodeOf } from './exit-codes.ts';
import { registerExport } from './export.ts';
import { registerInit } from './init.ts';
import { registerKey } from './key.ts';
import { registerKv } from './kv.ts';
import { registerLog } from './log.ts';
import { reportError } from './output.ts';
import { registerRebuild } from './rebuild.ts';
import { registerStart } from './start.ts';
import { registerStatus } from './status.ts';
import { registerTestnet } from './testnet.ts';

const isJson = process.argv.includes('--json');

const program = new Command('x0t')
  .description('A node of x0tta6bl4, and the tools around its signed, replicated log')
  .exitOverride()
  .showSuggestionAfterError()
  // errors are written once, by `reportError`
  .configureOutput({ outputError: () => undefined })
  .addHelpText('after', '\nEvery command has --json and --help. Exit codes: docs/cli.md\n');

for (const register of [
  registerInit,
  registerStart,
  registerStatus,
  registerKv,
  registerEvent,
  registerLog,
  registerKey,
  registerExport,
  registerAudit,
  registerRebuild,
  registerTestnet,
]) {
  register(program);
}

// a reader that has enough, such as `head`, is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  const code = exitCodeOf(error);
  // help without a command was printed by commander
  const isHelp = error instanceof CommanderError && error.code === 'commander.help';
  if (code !== 0 && !isHelp) reportError(error, isJson);
  process.exitCode = code;
}
