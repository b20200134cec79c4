import { existsSync } from 'node:fs';
import { join as pathOf, resolve } from 'node:path';
import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import { readToken } from '#node/membership/invite-token.ts';
import type { Token } from '#node/membership/invite-token.ts';
import { isStopped, joinAsSigner, needsNode, prepareToJoin } from '#node/membership/join-dir.ts';
import { createKeyFile, readKeyFile } from '#node/keys.ts';
import type { Node } from '#node/node.ts';
import { addCommand } from './command.ts';
import { readInput } from './files.ts';
import { columns, remark } from './output.ts';
import type { Output } from './output.ts';
import { newKeysPassphrase, passphraseOf } from './passphrases.ts';
import { stopRequest } from './signals.ts';
import { configOf, runNode, withStart } from './start.ts';
import type { StartOptions } from './start.ts';

interface Options extends StartOptions {
  readonly tokenFile?: string;
  readonly encrypt?: boolean;
  readonly start: boolean;
  readonly key?: string;
}

const LOOK_MS = 250;

/** `x0t join`: a new member out of a token, in one command (docs/membership.md). */
export function registerJoin(program: Command): void {
  const about = 'join a network with a token of `x0t invite`, and run the node until Ctrl-C';
  const { command, does } = addCommand<Options>(program, 'join [token]', about, [
    'x0t join --token-file ./token --data ./alpha',
    'x0t join --token-file - < ./token',
    'x0t join --token-file ./token --data ./watch --no-start',
    'x0t join x0t-invite-1.hFhh…',
  ]);
  withStart(command)
    .option('--token-file <file>', 'holds the token; - is stdin')
    .option('--encrypt', 'encrypt the keys; without this where a passphrase file is named')
    .option('--no-start', 'make the data directory, and leave it to `x0t start` or `x0t auditor`')
    .option('--key <file>', 'for roles without a node: the new key (default: DATA/member.key)');
  does(async (out, options, text) => {
    const token = await readToken(textOf(text, options.tokenFile));
    if (text !== undefined) process.stderr.write(`x0t join: ${EXPOSED}\n`);
    const stopping = new AbortController();
    const stop = stopRequest().then(() => stopping.abort());
    try {
      if (needsNode(token)) await joinWithNode(out, options, token, stop, stopping.signal);
      else await joinWithKey(out, options, token, stopping.signal);
    } catch (error) {
      if (!isStopped(error)) throw error;
      process.stderr.write(`x0t join: ${STOPPED}\n`);
    }
  });
}

const STOPPED = 'stopped; the keys are kept, and the same command goes on with them';
const EXPOSED =
  'other users of this machine can read the token in the list of processes while this waits; ' +
  'better: --token-file FILE, or - for stdin';

function textOf(text: string | undefined, file: string | undefined): string {
  if ((text === undefined) === (file === undefined)) {
    fail('usage', 'Give the token, or --token-file FILE.');
  }
  return text ?? new TextDecoder().decode(readInput(file === '-' ? 0 : (file as string)));
}

async function joinWithNode(
  out: Output,
  options: Options,
  token: Token,
  stop: Promise<unknown>,
  stopped: AbortSignal,
): Promise<void> {
  const { data } = options;
  const tell = teller();
  const { actor, peer } = await prepareToJoin({
    directory: data,
    token,
    config: configOf(options),
    passphrase: newKeysPassphrase(options),
    opener: passphraseOf(options),
    tell: (what) => tell(SAID[what] ?? `no member answers yet (${what})`),
    stopped,
  });
  if (!options.start) {
    const made = { directory: resolve(data), actor, peer, roles: token.invite.roles };
    out.show(made, () =>
      `${columns([
        ['directory', made.directory],
        ['actor', actor],
        ['peer', peer],
      ])}Start it: npx x0t start --data ${data}\n`,
    );
    return;
  }
  await runNode(out, options, stop, (node) => watchJoining(node, tell));
}

const SAID: Readonly<Record<string, string>> = {
  invited: 'the invite is on its way to the ledger',
  accepted: 'a member took it: waiting until the join is final',
  member: 'the join is final',
};

/** Says on stderr how far the node has come. */
function watchJoining(node: Node, tell: (line: string) => void): () => void {
  const timer = setInterval(() => {
    const { member, progress } = node.joining();
    const linked = node.network.peers().length;
    if (!member && linked === 0) tell(SAID[progress] ?? `refused until it is final (${progress})`);
    else if (!member) tell('admitted: catching up');
    else if (member.state === 'joining') tell('catching up; it will say that it is ready');
    else tell(`ready: ${member.state ?? 'active'} member`);
    if (member && member.state !== 'joining') clearInterval(timer);
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/** One line on stderr for each thing that is new. */
function teller(): (line: string) => void {
  let last = '';
  return (line) => {
    if (line === last) return;
    last = line;
    remark(` join: ${line}`);
  };
}

async function joinWithKey(
  out: Output,
  options: Options,
  token: Token,
  stopped: AbortSignal,
): Promise<void> {
  const file = options.key ?? pathOf(options.data, 'member.key');
  const tell = teller();
  const key = await joinAsSigner(
    (attempt) =>
      existsSync(file)
        ? readKeyFile(file, undefined, passphraseOf(options))
        : attempt.file(file, () => createKeyFile(file, newKeysPassphrase(options))),
    { token, tell: (what) => tell(SAID[what] ?? `waiting (${what})`), stopped },
  );
  const made = { key: resolve(file), actor: key.actor, roles: token.invite.roles };
  out.show(made, () => columns([
    ['key', made.key],
    ['actor', made.actor],
    ['roles', made.roles.join(', ') || 'member'],
  ]));
}
