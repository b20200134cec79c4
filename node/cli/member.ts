import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { Client } from '#node/client.ts';
import type { MembersJson } from '#node/client.ts';
import { dataPaths } from '#node/data-dir.ts';
import { addCommand } from './command.ts';
import { columns } from './output.ts';
import type { Output } from './output.ts';
import { withSignature } from '#node/client-auth.ts';
import { clientAt, clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { LANE_BESIDE_NODE, readSigningKey, signingKey, submitSigned } from './signing.ts';
import { describeWritten, withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

/** `x0t member`: who sits in the committee, and changes of it (docs/epochs.md). */
export function registerMember(program: Command): void {
  const about = 'show the members, and change the committee';
  const group = program.command('member').description(about);

  const list = addCommand<NodeOptions>(group, 'list', 'all members and their roles', [
    'x0t member list',
  ]);
  withNode(list.command);
  list.does(async (out, options) => {
    const members = await (await clientOf(options)).members();
    out.show(members, () => describe(members));
  });

  const add = addCommand<WritingOptions>(
    group,
    'add <url...>',
    'nodes, by their APIs, become validators at the end of this epoch; by an operator',
    ['x0t member add http://192.0.2.9:8420 --wait'],
  );
  withWriting(add.command);
  add.does(async (out, options, ...urls) => {
    const joining = await Promise.all(urls.flat().map((url) => joiningAt(url, options)));
    await change(out, options, { add: joining });
  });

  const remove = addCommand<WritingOptions>(
    group,
    'remove <actor...>',
    'validators lose their seats at the end of this epoch; by an operator',
    ['x0t member remove 4f2a…'],
  );
  withWriting(remove.command);
  remove.does(async (out, options, ...actors) => {
    await change(out, options, { remove: actors.flat().map(actorOf) });
  });

  const leave = addCommand<WritingOptions>(
    group,
    'leave',
    "the node of the data directory gives up its seat; by the node's own key",
    ['x0t member leave --data ./alpha --wait'],
  );
  withWriting(leave.command);
  leave.does(async (out, options) => {
    const file = options.key ?? dataPaths(options.data).key;
    const key = await readSigningKey(file, options);
    const { wait = false, timeout } = options;
    const written = await submitSigned(
      await clientOf(options),
      key,
      'committee.leave/1',
      {},
      wait,
      timeout * 1000,
      LANE_BESIDE_NODE,
    );
    out.show(written, () => describeWritten(written));
  });
}

async function joinerAt(url: string, options: NodeOptions): Promise<Client> {
  const key = await signingKey(options);
  return key ? new Client(url, { auth: withSignature(key) }) : clientAt(url, options);
}

/** What a node says of itself, as `committee.change/1` takes it; it must be of the same network. */
async function joiningAt(url: string, options: NodeOptions): Promise<Body> {
  const { chain, commits } = await (await clientOf(options)).status();
  // that node is another one, which knows members by their keys
  const joiner = await (await joinerAt(url, options)).status();
  if (joiner.chain !== chain) {
    fail('foreign_chain', 'That node belongs to another network.', { url, chain: joiner.chain });
  }
  if (joiner.commits + BEHIND_MAX < commits) {
    fail('joiner_behind', 'That node has not caught up yet: a quorum would wait for it.', {
      url,
      commits: joiner.commits,
      present: commits,
    });
  }
  const addrs = joiner.addrs.slice(0, ADDRS_MAX);
  return {
    key: Uint8Array.fromBase64(joiner.key),
    peer: joiner.peer,
    stake: 1,
    ...(addrs.length > 0 && { addrs }),
  };
}

/** As many as the body of `committee.change/1` takes for one node. */
const ADDRS_MAX = 8;

/** Commits that a joiner may lack: they are made while it is asked. */
const BEHIND_MAX = 100;

function actorOf(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(text)) {
    const message = 'An actor is written in 64 hex digits: see `npx x0t member list`.';
    fail('usage', message, { actor: text });
  }
  return Uint8Array.fromHex(text);
}

async function change(out: Output, options: WritingOptions, body: Body): Promise<void> {
  const key =
    (await signingKey(options)) ?? fail('usage', "Name an operator's key with --key FILE.");
  const { wait = false, timeout } = options;
  const written = await submitSigned(
    await clientOf(options),
    key,
    'committee.change/1',
    body,
    wait,
    timeout * 1000,
  );
  out.show(written, () => describeWritten(written));
}

function describe({ epoch, quorum, members }: MembersJson): string {
  const rows = members.map(({ actor, roles, author, barred }) => {
    const seat = author === undefined ? '' : `author ${author}`;
    const notes = [roles.join(', ') || 'member', seat, barred ? 'barred' : ''];
    return [actor, notes.filter((note) => note !== '').join(', ')] as const;
  });
  return `epoch ${epoch}, quorum ${quorum}\n${columns(rows)}`;
}
