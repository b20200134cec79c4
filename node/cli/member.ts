import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import type { Client } from '#node/client.ts';
import { addCommand } from './command.ts';
import { registerLifecycle } from './member-steps.ts';
import { describeMember, describeMembers } from './member-view.ts';
import { presentOfNode } from './own-key.ts';
import { actorOf, operate } from './operate.ts';
import { withSignature } from '#node/client-auth.ts';
import { clientAt, clientOf, clientWith } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { LANE_BESIDE_NODE, readSigningKey, signingKey, submitSigned } from './signing.ts';
import { describeWritten, withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

interface ListOptions extends NodeOptions {
  readonly wide?: boolean;
}

/** `x0t member`: who belongs to the network and who sits in the committee (docs/membership.md). */
export function registerMember(program: Command): void {
  const about = 'show the members, change their states and the committee';
  const group = program.command('member').description(about);

  const list = addCommand<ListOptions>(group, 'list', 'all members, their states and roles', [
    'x0t member list',
    'x0t member list --wide',
  ]);
  withNode(list.command).option('--wide', 'with libp2p peer ids and labels');
  list.does(async (out, options) => {
    const members = await (await clientOf(options)).members();
    out.show(members, () => describeMembers(members, options.wide ?? false));
  });

  const shown = addCommand<NodeOptions>(group, 'show <actor>', 'all that is known of one member', [
    'x0t member show 4f2a…',
  ]);
  withNode(shown.command);
  shown.does(async (out, options, actor = '') => {
    const member = await (await clientOf(options)).member(actor);
    out.show(member, () => describeMember(member));
  });

  registerSeats(group);
  registerLifecycle(group);
}

function registerSeats(group: Command): void {
  const add = addCommand<WritingOptions>(
    group,
    'add <member...>',
    'members become validators at the end of this epoch: actors, or the URLs of their APIs, ' +
      'which also tell whether they are in step; by an operator',
    ['x0t member add 4f2a… --wait', 'x0t member add http://192.0.2.9:8420 --wait'],
  );
  withWriting(add.command);
  add.does(async (out, options, ...places) => {
    const actors = await Promise.all(places.flat().map((place) => joiningAt(place, options)));
    await operate(out, options, 'committee.change/1', {
      add: actors.map((actor) => ({ actor: actorOf(actor) })),
    });
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

/**
 * The member that is to get a seat. What its node says of itself is compared with what the ledger
 * says: whoever else answers there gets nothing.
 */
async function joiningAt(place: string, options: NodeOptions): Promise<string> {
  if (!/^https?:/.test(place)) return place;
  const url = place;
  const client = await clientOf(options);
  const { chain, commits } = await client.status();
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
  const { actor } = joiner;
  const { peer } = await client.member(actor);
  if (peer !== joiner.peer) {
    const message = "That node's libp2p key is not the one that the ledger has of this member.";
    fail('pair_differs', message, { url, actor, peer: joiner.peer });
  }
  return actor;
}

/** Commits that a joiner may lack: they are made while it is asked. */
const BEHIND_MAX = 100;
