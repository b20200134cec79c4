import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { parseId } from '#ledger/ids.ts';
import type { InvitesJson } from '#node/client.ts';
import { dataPaths, isInitialised } from '#node/data-paths.ts';
import { addCommand, collect } from './command.ts';
import { rolesOf } from './invite.ts';
import { assertOwnStep, assertStepNow } from './member-transition.ts';
import { actorOf, operate } from './operate.ts';
import { utc } from './output.ts';
import type { Output } from './output.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { LANE_BESIDE_NODE, readSigningKey, submitSigned } from './signing.ts';
import { NOTHING, table } from './table.ts';
import { describeWritten, withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

/** The steps of a member's life as commands: each is one event (docs/membership.md). */

interface ReasonOptions extends WritingOptions {
  readonly reason?: string;
}

interface SelfOptions extends ReasonOptions {
  readonly self?: boolean;
}

interface DescribeOptions extends WritingOptions {
  readonly role?: readonly string[];
  readonly label?: readonly string[];
  readonly capability?: readonly string[];
}

const BY_OPERATOR: readonly (readonly [name: string, about: string])[] = [
  ['cordon', 'a member keeps what it has and gets nothing new'],
  ['uncordon', 'a cordoned or draining member works again as before'],
];

const BY_EITHER: readonly (readonly [name: string, about: string])[] = [
  ['drain', 'a member gives up its seat and ends its work; `--self`: the node of --data itself'],
  ['retire', 'a drained member leaves for good; `--self`: the node of --data itself'],
];

export function registerLifecycle(group: Command): void {
  for (const [name, about] of BY_OPERATOR) {
    const { command, does } = addCommand<ReasonOptions>(
      group, `${name} <actor>`, `${about}; by an operator`, [`x0t member ${name} 4f2a…`],
    );
    withWriting(command).option('--reason <text>', 'why, for people');
    does(async (out, options, actor = '') => {
      const reason = name === 'uncordon' ? undefined : options.reason;
      await saySomebody(out, options, `member.${name}/1`, named(actor, reason));
    });
  }
  for (const [name, about] of BY_EITHER) {
    const { command, does } = addCommand<SelfOptions>(group, `${name} [actor]`, about, [
      `x0t member ${name} 4f2a…`,
      `x0t member ${name} --self --data ./alpha`,
    ]);
    withWriting(command)
      .option('--reason <text>', 'why, for people')
      .option('--self', "by the node's own key");
    does(async (out, options, actor) => {
      const kind = `member.${name}/1`;
      if (options.self) await saySelf(out, options, kind);
      else await saySomebody(out, options, kind, named(actor ?? '', options.reason));
    });
  }
  registerRemoval(group);
  registerDescription(group);
  registerInvites(group);
}

function registerRemoval(group: Command): void {
  const about = 'put a member out for good, with its seat and its connections; by an operator';
  const { command, does } = addCommand<ReasonOptions>(group, 'remove <actor>', about, [
    "x0t member remove 4f2a… --reason 'its disk was stolen' --wait",
  ]);
  withWriting(command).requiredOption('--reason <text>', 'why: it stands on the ledger');
  does(async (out, options, actor = '') => {
    await saySomebody(out, options, 'member.remove/1', named(actor, options.reason));
  });
}

function registerDescription(group: Command): void {
  const about = 'replace roles, labels or capabilities of a member; by an operator';
  const { command, does } = addCommand<DescribeOptions>(group, 'describe <actor>', about, [
    'x0t member describe 4f2a… --label site=berlin --label rack=7',
    'x0t member describe 4f2a… --role participant --role operator',
  ]);
  withWriting(command)
    .option('--role <role>', 'observer, participant, auditor, operator; may be repeated', collect)
    .option('--label <name=value>', 'may be repeated', collect)
    .option('--capability <text>', 'may be repeated', collect);
  does(async (out, options, actor = '') => {
    const { role, label, capability } = options;
    if (!role && !label && !capability) fail('usage', 'Give --role, --label or --capability.');
    await saySomebody(out, options, 'member.describe/1', {
      actor: actorOf(actor),
      ...(role && { roles: rolesOf(role) }),
      ...(label && { labels: label }),
      ...(capability && { capabilities: capability }),
    });
  });
}

function registerInvites(group: Command): void {
  const list = addCommand<NodeOptions>(group, 'invites', 'invites and what became of them', [
    'x0t member invites',
  ]);
  withNode(list.command);
  list.does(async (out, options) => {
    const invites = await (await clientOf(options)).invites();
    out.show(invites, () => describe(invites));
  });

  const about = 'take back an invite that nobody has used; by an operator';
  const { command, does } = addCommand<WritingOptions>(group, 'withdraw <invite>', about, [
    'x0t member withdraw 07c1…',
  ]);
  withWriting(command);
  does(async (out, options, invite = '') => {
    const body = { invite: Uint8Array.fromHex(parseId(invite)) };
    await operate(out, options, 'member.withdraw/1', body);
  });
}

type Named = Body & { readonly actor: Uint8Array };

function named(actor: string, reason: string | undefined): Named {
  return { actor: actorOf(actor), ...(reason !== undefined && { reason }) };
}

/** By an operator's key. */
async function saySomebody(
  out: Output,
  options: WritingOptions,
  kind: string,
  body: Named,
): Promise<void> {
  await assertStepNow(await clientOf(options), kind, body.actor.toHex());
  await operate(out, options, kind, body);
}

async function saySelf(out: Output, options: SelfOptions, kind: string): Promise<void> {
  const { data, wait = false, timeout, reason } = options;
  if (!isInitialised(data)) fail('not_initialised', 'There is no node here: name its --data.');
  const key = await readSigningKey(options.key ?? dataPaths(data).key, options);
  const client = await clientOf(options);
  await assertOwnStep(client, kind, key.actor);
  const body = named(key.actor, reason);
  const limit_ms = timeout * 1000;
  const written = await submitSigned(client, key, kind, body, wait, limit_ms, LANE_BESIDE_NODE);
  out.show(written, () => describeWritten(written));
}

function describe({ invites }: InvitesJson): string {
  const rows = invites.map(({ id, state, roles, notAfter_ms, usedBy = NOTHING }) => {
    return [id, state, utc(notAfter_ms), roles.join(', ') || 'member', usedBy];
  });
  return table(['invite', 'state', 'until', 'roles', 'used by'], rows);
}
