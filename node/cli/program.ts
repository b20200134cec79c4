/**
 * The command line `x0t` (docs/cli.md). Runs on load. Ends with the codes of `exit-codes.ts`;
 * nothing is forced, so what was written reaches its reader.
 */
import { Command, CommanderError } from 'commander';
import { fail } from '#ledger/errors.ts';
import { exitCodeOf } from './exit-codes.ts';
import { reportError } from './output.ts';
import manifest from '#manifest' with { type: 'json' };

const isJson = process.argv.includes('--json');

const program = new Command('x0t')
  .description('A node of x0tta6bl4, and the tools around its signed, replicated log')
  .version(`x0t ${manifest.version}, Node.js ${process.versions.node}`, '-V, --version')
  .helpCommand('help [command...]', 'show the help of a command')
  .exitOverride()
  .showSuggestionAfterError()
  // errors are written once, by `reportError`
  .configureOutput({ outputError: () => undefined })
  .addHelpText('after', '\nEvery command has --json and --help. Exit codes: docs/cli.md\n');

/**
 * In the order of the help. Only what is asked for is loaded: libp2p and the store take most of a
 * second.
 */
const GROUPS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  init: async () => (await import('./init.ts')).registerInit,
  start: async () => (await import('./start.ts')).registerStart,
  status: async () => (await import('./status.ts')).registerStatus,
  kv: async () => (await import('./kv.ts')).registerKv,
  event: async () => (await import('./event.ts')).registerEvent,
  log: async () => (await import('./log.ts')).registerLog,
  receipt: async () => (await import('./receipt.ts')).registerReceipt,
  checkpoint: async () => (await import('./receipt.ts')).registerCheckpoint,
  verify: async () => (await import('./verify.ts')).registerVerify,
  invite: async () => (await import('./invite.ts')).registerInvite,
  join: async () => (await import('./join.ts')).registerJoin,
  member: async () => (await import('./member.ts')).registerMember,
  policy: async () => (await import('./policy.ts')).registerPolicy,
  identity: async () => (await import('./identity.ts')).registerIdentity,
  svid: async () => (await import('./svid.ts')).registerSvid,
  posture: async () => (await import('./posture.ts')).registerPosture,
  key: async () => (await import('./key.ts')).registerKey,
  token: async () => (await import('./token.ts')).registerToken,
  export: async () => (await import('./export.ts')).registerExport,
  audit: async () => (await import('./audit.ts')).registerAudit,
  rebuild: async () => (await import('./rebuild.ts')).registerRebuild,
  auditor: async () => (await import('./auditor.ts')).registerAuditor,
  'init-network': async () => (await import('./init-network.ts')).registerInitNetwork,
  testnet: async () => (await import('./testnet.ts')).registerTestnet,
};

/** Commands that hold others. Without one of them their help is shown, as that of `x0t` is. */
function groupsOf({ commands }: Command): readonly Command[] {
  return commands.filter(({ commands: inner }) => inner.length > 0);
}

/** Programs get an error instead of that help: throws `usage` with the commands that there are. */
function assertCommand(given: readonly string[]): void {
  const group = given.length === 0 ? program : groupsOf(program).find(isOnly);
  if (!group) return;
  const commands = group.commands.map((one) => one.name());
  fail('usage', 'A command is missing: name one of these.', { commands });

  function isOnly(one: Command): boolean {
    return given.length === 1 && given[0] === one.name();
  }
}

function isCommand(word = ''): boolean {
  return Object.hasOwn(GROUPS, word);
}

// `help kv put` is `kv put --help`
const argv = process.argv.slice(2);
const [first, ...others] = argv;
const isHelp = first === 'help' && others.length > 0;
const words = isHelp ? [...others, ...(isCommand(others[0]) ? ['--help'] : [])] : argv;
const asked = GROUPS[words[0] ?? ''];
for (const load of asked ? [asked] : Object.values(GROUPS)) (await load())(program);

for (const group of groupsOf(program)) {
  const name = group.name();
  const help = `npx x0t help ${name} ${group.commands[0]?.name() ?? ''}`;
  group.addHelpText('after', `\nExamples and options of a command: ${help}\n`);
}

// a reader that has enough, such as `head`, is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  throw error;
});

try {
  if (isJson) assertCommand(words.filter((word) => word !== '--json'));
  await program.parseAsync(words, { from: 'user' });
} catch (error) {
  const code = exitCodeOf(error);
  // help without a command was printed by commander
  const isShown = error instanceof CommanderError && error.code === 'commander.help';
  if (code !== 0 && !isShown) reportError(error, isJson);
  process.exitCode = code;
}
