import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { X0tError } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { fail } from '#ledger/errors.ts';
import { addCommand, wholeNumber } from './command.ts';
import { operate } from './operate.ts';
import { columns, utc } from './output.ts';
import type { Output } from './output.ts';
import { inLine } from './printable.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { registerPolicyTrials } from './policy-trials.ts';
import { withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

interface ChangeOptions extends WritingOptions {
  readonly ifVersion?: number;
}

interface DecisionOptions extends NodeOptions {
  readonly denied?: boolean;
  readonly principal?: string;
  readonly limit: number;
}

const DECISIONS = 20;
const DECISIONS_MAX = 1000;

/** `x0t policy`: who may do what in a network (docs/policy.md). */
export function registerPolicy(program: Command): void {
  const about = 'who may do what: show, try and change the policies of a network';
  const group = program.command('policy').description(about);
  registerReads(group);
  registerChanges(group);
  registerPolicyTrials(group);
}

function registerReads(group: Command): void {
  const list = addCommand<NodeOptions>(group, 'list', 'the policies and roles that hold now', [
    'x0t policy list',
  ]);
  withNode(list.command);
  list.does(async (out, options) => {
    const shown = await (await clientOf(options)).policies();
    out.show(shown, () => {
      const roles = shown.roles.map((one) => `${one.principal}  ${one.roles.join(', ')}\n`);
      const texts = shown.policies.map(({ id, text }) => `# ${id}\n${text.trim()}\n`);
      const schema = shown.schema === undefined ? 'base' : 'own';
      const head = columns([
        ['version', shown.version],
        ['engine', shown.engine],
        ['schema', schema],
      ]);
      return [head, ...texts, ...roles].join('\n');
    });
  });

  const history = addCommand<NodeOptions>(group, 'history', 'versions that can be gone back to', [
    'x0t policy history',
  ]);
  withNode(history.command);
  history.does(async (out, options) => {
    const shown = await (await clientOf(options)).policyHistory();
    out.show(shown, () =>
      columns(
        shown.versions.map(({ version, kind, ts_ms, put, removed }) => {
          const changes = [...put.map((id) => `+${id}`), ...removed.map((id) => `-${id}`)];
          return [String(version), `${utc(ts_ms)}  ${kind}  ${changes.join(' ')}`.trim()] as const;
        }),
      ),
    );
  });

  const decisions = addCommand<DecisionOptions>(
    group,
    'decisions',
    'what the policies decided on a node since it started: denials, a sample of the rest',
    ['x0t policy decisions --denied'],
  );
  withNode(decisions.command)
    .option('--denied', 'denials only')
    .option('--principal <entity>', 'only of this one, e.g. Actor::4f2a…')
    .option('--limit <count>', 'at most', wholeNumber(1, DECISIONS_MAX), DECISIONS);
  decisions.does(async (out, options) => {
    const { denied = false, principal, limit } = options;
    const query = { limit, ...(denied && { isAllowed: 'false' }), ...(principal && { principal }) };
    const shown = await (await clientOf(options)).policyDecisions(query);
    out.show(shown, () => {
      const lines = shown.decisions.map((one) => {
        const said = one.isAllowed ? 'allow' : 'deny ';
        const by = one.policies.join(', ') || 'nothing permits it';
        const what = [one.where, one.principal, one.action, one.resource].map(inLine).join('  ');
        return `${utc(one.last_ms)}  ${said}  ${one.count}x  ${what}  (${by})\n`;
      });
      const forgotten = shown.forgotten.map(({ principal: name, isClaimed, count, last_ms }) => {
        const whose = name === '' ? 'others' : `${isClaimed ? 'claimed ' : ''}${inLine(name)}`;
        return `${utc(last_ms)}  ${count} more denials of ${whose}\n`;
      });
      const all = [...lines, ...forgotten].join('');
      return `${shown.allowed} allowed, ${shown.denied} denied\n${all}`;
    });
  });
}

function registerChanges(group: Command): void {
  const put = addCommand<ChangeOptions & { readonly id?: string }>(
    group,
    'put <file>',
    'add a policy or replace it; its id is the name of the file without .cedar',
    ['x0t policy put locked.cedar --wait', 'x0t policy put - --id locked < locked.cedar'],
  );
  withChange(put.command).option('--id <id>', 'id of the policy');
  put.does(async (out, options, file = '') => {
    const id = options.id ?? basename(file, '.cedar');
    await change(out, options, 'policy.put/1', { id, text: textOf(file) });
  });

  const remove = addCommand<ChangeOptions>(group, 'delete <id>', 'remove a policy', [
    'x0t policy delete locked --wait',
  ]);
  withChange(remove.command);
  remove.does((out, options, id = '') => change(out, options, 'policy.delete/1', { id }));

  const schema = addCommand<ChangeOptions>(
    group,
    'schema [file]',
    'replace the schema; without a file the base schema holds again',
    ['x0t policy schema schema.cedarschema --wait'],
  );
  withChange(schema.command);
  schema.does((out, options, file) =>
    change(out, options, 'policy.schema/1', file === undefined ? {} : { text: textOf(file) }),
  );

  const assign = addCommand<ChangeOptions>(
    group,
    'assign <principal> [role...]',
    'the roles that an actor or a SPIFFE ID has from now on; without any it loses all of them',
    ['x0t policy assign 4f2a… writer --wait'],
  );
  withChange(assign.command);
  assign.does((out, options, principal = '', ...roles) =>
    change(out, options, 'policy.assign/1', { principal, roles: roles.flat() }),
  );

  const rollback = addCommand<ChangeOptions>(
    group,
    'rollback <version>',
    'policies, schema and roles become those of an earlier version',
    ['x0t policy rollback 3 --wait'],
  );
  withChange(rollback.command);
  rollback.does((out, options, version = '') => {
    if (!/^[0-9]{1,15}$/.test(version)) {
      fail('usage', 'A version is a number: see `npx x0t policy history`.', { version });
    }
    return change(out, options, 'policy.rollback/1', { version: Number(version) });
  });
}

function withChange(command: Command): Command {
  return withWriting(command).option(
    '--if-version <version>',
    'only if this is the present version',
    wholeNumber(0, Number.MAX_SAFE_INTEGER),
  );
}

function change(
  out: Output,
  options: ChangeOptions,
  kind: string,
  body: Body,
): Promise<void> {
  const { ifVersion } = options;
  return operate(out, options, kind, { ...body, ...(ifVersion !== undefined && { ifVersion }) });
}

/** A file's text; `-` is stdin. */
function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new X0tError('file_unreadable', 'The file cannot be read.', { file }, { cause });
  }
}
