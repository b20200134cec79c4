import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { ADDRS_MAX } from '#ledger/invite.ts';
import type { Client } from '#node/client.ts';
import type { MemberJson, MembersJson } from '#node/client.ts';
import { addCommand } from './command.ts';
import { registerLifecycle } from './member-steps.ts';
import { presentOfNode } from './own-key.ts';
import { actorOf, operate } from './operate.ts';
import { columns } from './output.ts';
import { withSignature } from '#node/client-auth.ts';
import { clientAt, clientOf, clientWith } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { LANE_BESIDE_NODE, readSigningKey, signingKey, submitSigned } from './signing.ts';
import { describeWritten, withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

/** `x0t member`: who belongs to the network and who sits in the committee (docs/membership.md). */
export function registerMember(program: Command): void {
  const about = 'show the members, change their states and the committee';
  const group = program.command('member').description(about);

  const list = addCommand<NodeOptions>(group, 'list', 'all members and their roles', [
    'x0t member list',
  ]);
  withNode(list.command);
  list.does(async (out, options) => {
    const members = await (await clientOf(options)).members();
    out.show(members, () => describe(members));
  });

  const shown = addCommand<NodeOptions>(group, 'show <actor>', 'one member', [
    'x0t member show 4f2a…',
  ]);
  withNode(shown.command);
  shown.does(async (out, options, actor = '') => {
    const member = await (await clientOf(options)).member(actor);
    out.show(member, () => describeOne(member));
  });

  registerSeats(group);
  registerLifecycle(group);
}

function registerSeats(group: Command): void {
  const add = addCommand<WritingOptions>(
    group,
    'add <url...>',
    'nodes, by their APIs, become validators at the end of this epoch; by an operator',
    ['x0t member add http://192.0.2.9:8420 --wait'],
  );
  withWriting(add.command);
  add.does(async (out, options, ...urls) => {
    const joining = await Promise.all(urls.flat().map((url) => joiningAt(url, options)));
    await operate(out, options, 'committee.change/1', { add: joining });
  });

  const unseat = addCommand<WritingOptions>(
    group,
    'unseat <actor...>',
    'validators lose their seats at the end of this epoch and stay members; by an operator',
    ['x0t member unseat 4f2a…'],
  );
  withWriting(unseat.command);
  unseat.does(async (out, options, ...actors) => {
    await operate(out, options, 'committee.change/1', { remove: actors.flat().map(actorOf) });
  });

  const leave = addCommand<WritingOptions>(
    group,
    'leave',
    "the node of the data directory gives up its seat; by the node's own key",
    ['x0t member leave --data ./alpha --wait'],
  );
  withWriting(leave.command);
  leave.does(async (out, options) => {
    const client = await clientOf(options);
    const { key: file } = options;
    const key = file ? await readSigningKey(file, options) : await presentOfNode(client, options);
    const { wait = false, timeout } = options;
    const written = await submitSigned(
      client,
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
  return key ? clientWith(withSignature(key), url, options) : clientAt(url, options);
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

/** Commits that a joiner may lack: they are made while it is asked. */
const BEHIND_MAX = 100;

function describe({ epoch, quorum, members }: MembersJson): string {
  const rows = members.map(({ actor, roles, state, author, barred }) => {
    const seat = author === undefined ? '' : `author ${author}`;
    const standing = state === 'active' ? '' : state;
    const notes = [roles.join(', ') || 'member', seat, standing, barred ? 'barred' : ''];
    return [actor, notes.filter((note) => note !== '').join(', ')] as const;
  });
  return `epoch ${epoch}, quorum ${quorum}\n${columns(rows)}`;
}

function describeOne(member: MemberJson): string {
  const rows: (readonly [string, string | number])[] = [
    ['actor', member.actor],
    ['state', member.state],
    ['roles', member.roles.join(', ') || 'member'],
  ];
  const { author, peer, addrs = [], labels = [], capabilities = [], reason } = member;
  if (author !== undefined) rows.push(['author', author]);
  if (peer !== undefined) rows.push(['peer', peer]);
  for (const addr of addrs) rows.push(['address', addr]);
  for (const label of labels) rows.push(['label', label]);
  for (const capability of capabilities) rows.push(['capability', capability]);
  if (reason !== undefined) rows.push(['reason', reason]);
  return columns(rows);
}
