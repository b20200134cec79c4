import type { Command } from 'commander';
import type { Client, PoliciesJson } from '#node/client.ts';
import {
  SHIPPED, compileBundle, mergeBundles, readBundle,
} from '#node/policy/bundle.ts';
import type { Bundle } from '#node/policy/bundle.ts';
import { readCases, runCases } from '#node/policy/cases.ts';
import { parseEntity, parsePrincipal } from '#node/policy/entities.ts';
import { addCommand, collect } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { columns, counted } from './output.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';

interface Options extends NodeOptions {
  readonly offline?: boolean;
}

interface TestOptions extends Options {
  readonly policies?: readonly string[];
}

interface ExplainOptions extends TestOptions {
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly role?: readonly string[];
  readonly label?: readonly string[];
  readonly behalf?: string;
}

const OFFLINE = 'beside the shipped policies, without a node';
const FILES = 'files or directories of policies over them; may be repeated';

/** What is tried here, with the same engine as on nodes: nothing is sent. */
export function registerPolicyTrials(group: Command): void {
  const check = addCommand<Options>(
    group,
    'check <path...>',
    'whether policies parse, fit the schema and lock nobody out, beside those of a node',
    ['x0t policy check locked.cedar', 'x0t policy check ./policies --offline'],
  );
  withNode(check.command).option('--offline', OFFLINE);
  check.does(async (out, options, ...paths) => {
    const bundle = await bundleOf(options, paths.flat());
    const compiled = compileBundle(bundle);
    compiled.assertSafe();
    const { warnings } = compiled.program;
    const shown = { policies: bundle.policies.size, warnings };
    out.show(shown, () => {
      const lines = warnings.map((warning) => `warning: ${warning}\n`);
      return `OK: ${bundle.policies.size} policies\n${lines.join('')}`;
    });
  });

  const test = addCommand<TestOptions>(
    group,
    'test <cases>',
    'ask what a file of cases asks, and compare the answers with what it expects',
    ['x0t policy test cases.json --policies ./policies --offline'],
  );
  withTrial(test.command);
  test.does(async (out, options, file = '') => {
    const cases = readCases(file);
    const results = runCases(compileBundle(await bundleOf(options, options.policies)), cases);
    const failed = results.filter(({ isOk }) => !isOk);
    out.show({ cases: results.length, failed: failed.length, results }, () => {
      const lines = results.map(({ isOk, question, expected, got, policies }) => {
        const by = policies.length > 0 ? ` by ${policies.join(', ')}` : '';
        const not = isOk ? '' : `, not ${expected}`;
        return `${isOk ? 'ok  ' : 'FAIL'}  ${question}: ${got}${by}${not}\n`;
      });
      return `${lines.join('')}${counted(results.length, 'case')}, ${failed.length} failed\n`;
    });
    if (failed.length > 0) process.exitCode = EXIT.failedCheck;
  });

  const explain = addCommand<ExplainOptions>(
    group,
    'explain',
    'who may do what, and which policies say so',
    [
      'x0t policy explain --principal 4f2a… --action kv.put/1 --resource Key::app/a',
      'x0t policy explain --offline --policies ./policies --principal Local::operator \\\n' +
        '      --action api.log.read --resource Api::readLog',
    ],
  );
  withTrial(explain.command)
    .requiredOption(
      '--principal <entity>',
      'actor, SPIFFE ID, Local::operator or Anonymous::remote',
    )
    .requiredOption('--action <name>', 'an event kind, or an action of the API')
    .requiredOption('--resource <entity>', 'e.g. Key::app/a, Policy::locked, Api::readLog')
    .option('--role <name>', 'offline: a role of its membership; may be repeated', collect)
    .option('--label <name>', 'offline: a label of its membership; may be repeated', collect)
    .option('--behalf <principal>', 'for whom a node speaks');
  explain.does(async (out, options) => {
    const answer = await explained(options);
    out.show(answer, () => {
      const texts = answer.policies.map(({ id, text }) => `\n# ${id}\n${text.trim()}\n`);
      const why = answer.policies.length > 0 ? 'decided by' : 'nothing permits it';
      return columns([
        ['decision', answer.isAllowed ? 'allow' : 'deny'],
        ['why', `${why} ${answer.policies.map(({ id }) => id).join(', ')}`.trim()],
        ...(answer.errors.length > 0
          ? ([['did not apply', answer.errors.join(', ')]] as const)
          : []),
      ]) + texts.join('');
    });
  });
}

function withTrial(command: Command): Command {
  return withNode(command)
    .option('--offline', OFFLINE)
    .option('--policies <path>', FILES, collect);
}

interface Explained {
  readonly isAllowed: boolean;
  readonly policies: readonly { readonly id: string; readonly text: string }[];
  readonly errors: readonly string[];
}

async function explained(options: ExplainOptions): Promise<Explained> {
  const { principal, action, resource, behalf, role, label, policies } = options;
  const isOnNode = options.offline !== true && policies === undefined;
  const behalfOf = behalf === undefined ? {} : { onBehalfOf: behalf };
  if (isOnNode) {
    const question = { principal, action, resource, ...behalfOf };
    return (await clientOf(options)).explainPolicy(question);
  }
  const bundle = await bundleOf(options, policies);
  const { isAllowed, reasons, errors } = compileBundle(bundle).decide({
    principal: parsePrincipal(principal),
    action,
    resource: parseEntity(resource),
    context: { ...behalfOf, ...(action.startsWith('api.') && { operation: action }) },
    ...(role && { roles: role }),
    ...(label && { labels: label }),
  });
  const named = reasons.map((id) => ({ id, text: bundle.policies.get(id) ?? '' }));
  return { isAllowed, policies: named, errors };
}

/** What is there, on a node or as shipped, with the files over it. */
async function bundleOf(options: Options, paths: readonly string[] = []): Promise<Bundle> {
  const below = options.offline ? SHIPPED : await bundleOn(await clientOf(options));
  return mergeBundles(below, readBundle(paths));
}

async function bundleOn(client: Client): Promise<Bundle> {
  const { policies, schema, roles }: PoliciesJson = await client.policies();
  return {
    policies: new Map(policies.map(({ id, text }) => [id, text])),
    roles: new Map(roles.map((one) => [one.principal, one.roles])),
    ...(schema !== undefined && { schema }),
  };
}
