import type { Command } from 'commander';
import { Option } from 'commander';
import { GRADES } from '#projections/posture-grades.ts';
import { ISOLATE_KIND, RECOVER_KIND } from '#projections/posture-kinds.ts';
import { addCommand, wholeNumber } from './command.ts';
import { actorOf, operate } from './operate.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { describePosture, describePostureOf } from './posture-view.ts';
import type { PostureOf } from './posture-view.ts';
import { withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

interface IsolateOptions extends WritingOptions {
  readonly grade: string;
  readonly reason: string;
  /** Minutes. */
  readonly for: number;
}

interface RecoverOptions extends WritingOptions {
  readonly reason: string;
}

const MINUTES = 60;
const MINUTES_MAX = 30 * 24 * 60;

/** `x0t posture`: how members behave, and who is isolated (docs/zero-trust.md). */
export function registerPosture(program: Command): void {
  const about = 'how members behave, and who is isolated';
  const group = program.command('posture').description(about);

  const listed = addCommand<NodeOptions>(group, 'list', 'members of whom something is held', [
    'x0t posture list',
  ]);
  withNode(listed.command);
  listed.does(async (out, options) => {
    const shown = await (await clientOf(options)).posture();
    const none = 'no reports, and nobody is isolated\n';
    out.show(shown, () => (shown.members.length === 0 ? none : describePosture(shown.members)));
  });

  const show = addCommand<NodeOptions>(group, 'show <actor>', 'one member: score, reports, grade', [
    'x0t posture show 4f2a…',
  ]);
  withNode(show.command);
  show.does(async (out, options, actor) => {
    const { members } = await (await clientOf(options)).posture();
    const wanted = actorOf(actor);
    const one = members.find((member) => member.actor === wanted.toHex()) ?? cleanSheet(wanted);
    out.show(one, () => describePostureOf(one));
  });

  const isolate = addCommand<IsolateOptions>(
    group,
    'isolate <actor>',
    'give a member a graver grade for a time; by an operator',
    ['x0t posture isolate 4f2a… --grade quarantined --reason "key may be stolen" --wait'],
  );
  withWriting(isolate.command)
    .addOption(grades().makeOptionMandatory())
    .requiredOption('--reason <text>', 'why; it stands in the log')
    .option('--for <minutes>', 'until it ends', wholeNumber(1, MINUTES_MAX), MINUTES);
  isolate.does(async (out, options, actor) => {
    const { grade, reason, for: minutes } = options;
    const until_ms = Date.now() + minutes * 60_000;
    const body = { actor: actorOf(actor), grade, reason, until_ms, by: 'operator' };
    await operate(out, options, ISOLATE_KIND, body);
  });

  const recover = addCommand<RecoverOptions>(
    group,
    'recover <actor>',
    "lower a member's grade by one step; by an operator",
    ['x0t posture recover 4f2a… --reason "disk replaced" --wait'],
  );
  withWriting(recover.command).requiredOption('--reason <text>', 'why; it stands in the log');
  recover.does(async (out, options, actor) => {
    const { reason } = options;
    const body = { actor: actorOf(actor), reason, by: 'operator' };
    await operate(out, options, RECOVER_KIND, body);
  });
}

const grades = (): Option => new Option('--grade <grade>', 'which').choices(GRADES.slice(1));

function cleanSheet(actor: Uint8Array): PostureOf {
  const none = { score: 0, grade: 'none', due: 'none', canSpare: true, isConvicted: false };
  return { actor: actor.toHex(), ...none, reports: [] };
}
